"""What several runtimes compute of one file that nobody has the original of."""

from typing import Literal

from portproof.bundle.signature import Record

Finding = Literal["same", "near", "apart", "failed", "unsupported", "absent"]


class Held(Record):
    """An output of a file in one runtime, beside the same in the runtime that it is held to.

    Attributes:
        runtime: The runtime's name.
        version: The versions that its runner told.
        signature: The signature's name.
        output: The output's name; empty where no output was computed.
        finding: `same`: every bit is; `near`: within what is allowed; `apart`: beyond it.
        equal: The share of elements that are the same.
        largest: The largest difference.
        sqnr: The signal to noise ratio over all rows, in dB; None: there is no noise.
        detail: Why it is apart, or gave nothing.
    """

    runtime: str
    version: str = ""
    signature: str
    output: str = ""
    finding: Finding
    equal: float | None = None
    largest: float | None = None
    sqnr: float | None = None
    detail: str = ""


class Agreement(Record):
    """What several runtimes compute of one file.

    Attributes:
        file: The file's name.
        format: Its format and variant.
        reference: The runtime to which the others are held.
        version: That one's versions.
        floor: The signal to noise ratio below which two are apart, in dB.
        generated: Whether the inputs were made up.
        constant: The outputs, as SIGNATURE/OUTPUT, that are the same for every row of the inputs:
            they show nothing.
        rows: What was found, by runtime and output.
    """

    file: str
    format: str
    reference: str
    version: str
    floor: float
    generated: bool
    constant: tuple[str, ...]
    rows: tuple[Held, ...]

    @property
    def parted(self) -> list[Held]:
        """What is apart, or failed."""
        return [row for row in self.rows if row.finding in ("apart", "failed")]

    @property
    def compared(self) -> list[Held]:
        """What was computed in two runtimes, and depends on the inputs."""
        return [
            row
            for row in self.rows
            if row.finding in ("same", "near", "apart")
            and f"{row.signature}/{row.output}" not in self.constant
        ]

    @property
    def exit_status(self) -> int:
        """0: all agree; 1: one is apart or failed; 3: nothing was compared that shows anything."""
        return 1 if self.parted else 0 if self.compared else 3
