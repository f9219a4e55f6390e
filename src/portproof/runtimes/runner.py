"""What answers requests: a process of this machine, or a device that came by a link."""

from typing import Protocol

from portproof.bundle.tensors import Arrays
from portproof.runtimes.protocol import Answer, Refusal, Request


class Runner(Protocol):
    """Computes requests, one after the other.

    Attributes:
        versions: The versions of what it runs, by name.
    """

    versions: dict[str, str]

    def start_if_needed(self) -> None:
        """Start what computes, so that its versions are known. Raises RunnerError."""

    def compute(
        self, request: Request, inputs: Arrays, largest: float = ...
    ) -> tuple[Answer | Refusal, Arrays]:
        """The answer, and the outputs where there are. Raises RunnerError where there is none.

        Args:
            request: The request, without its size.
            inputs: Arrays by the artifact's own names.
            largest: How many bytes the outputs may have.
        """

    @property
    def peak_memory(self) -> int:
        """The most bytes of memory that were seen since `reset_peak_memory`; 0: not known."""

    def reset_peak_memory(self) -> None:
        """Begin to look anew."""

    def stop(self) -> None:
        """End what computes. The next request starts it again."""

    def close(self) -> None:
        """End for good, from another thread: what is under way fails."""
