"""What came of the tests of a format or a runtime."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

Outcome = Literal["passed", "failed", "not tried"]


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: What it is: `names`, `empty batch`.
        outcome: `not tried` is what the format or the runtime says itself that it does not do.
        detail: What was found, or why it was not tried.
    """

    name: str
    outcome: Outcome
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.outcome:<9}  {self.name}{f': {self.detail}' if self.detail else ''}"


@dataclass
class Conformance:
    """All that was looked at of one format or runtime.

    Attributes:
        subject: Its name.
        checks: What was found, in the order in which it was tried.
        required: The names of checks that have to have passed: what is not tried proves nothing.
    """

    subject: str
    required: Sequence[str]
    checks: list[Check] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing failed, and all that is required was tried and passed."""
        passed = {check.name for check in self.checks if check.outcome == "passed"}
        return not self.failures and passed.issuperset(self.required)

    @property
    def failures(self) -> list[Check]:
        """What failed."""
        return [check for check in self.checks if check.outcome == "failed"]

    def add(self, name: str, outcome: Outcome, detail: str = "") -> None:
        """Add one, once."""
        check = Check(name, outcome, detail)
        if check not in self.checks:
            self.checks.append(check)

    def __str__(self) -> str:
        lacking = set(self.required) - {c.name for c in self.checks if c.outcome == "passed"}
        lines = [f"{self.subject}: {'conforms' if self.ok else 'does not conform'}"]
        lines += [f"  {check}" for check in self.checks]
        lines += [f"  required, and never passed: {name}" for name in sorted(lacking)]
        return "\n".join(lines)
