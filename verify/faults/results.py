"""Recall and false alarms, for us and for the tolerances that people use."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from verify.faults.corpus import Fault
from verify.faults.examine import JUDGES, OURS, Seen

# Faults of which some are too small to be told from rounding; page() says why.
SMALL = (
    *("lowest mantissa bit", "low mantissa bit", "lowest bit of a variable"),
    *("first activation", "last activation"),
)

MISSES = (
    "Misses are expected of faults that are smaller than what they hide in: one weight off by 1",
    "or by 64 units in its last place, beside float32's own errors on the way to the output; the",
    "scale or zero point of an int8 activation, which its writer and its reader share, beside the",
    "steps that kernels may differ by. Any other miss, and any false alarm, makes `make faults`",
    "fail.",
)


@dataclass(frozen=True)
class FaultResult:
    """One fault: which judges caught it, and whether by what decides the exit status."""

    architecture: str
    format: str
    title: str
    equivalent: bool
    caught: frozenset[str]
    counted: frozenset[str]
    bound_ratio: float
    mean_share: float
    reason: str

    def __str__(self) -> str:
        return f"{self.architecture} {self.format}: {self.title}"


@dataclass(frozen=True)
class RewriteResult:
    """One rewrite: which judges flagged it, why we did, and why that is no false alarm."""

    architecture: str
    format: str
    title: str
    verdict: str
    flagged: frozenset[str]
    bound_ratio: float
    mean_share: float
    reason: str
    known: str = ""

    def __str__(self) -> str:
        return f"{self.architecture} {self.format}, {self.title}"


@dataclass
class Results:
    """All of them."""

    faults: list[FaultResult] = field(default_factory=list)
    rewrites: list[RewriteResult] = field(default_factory=list)

    def fault(self, fault: Fault, seen: Seen, usual: Seen) -> None:
        beyond = {judge: seen.beyond(usual, judge) for judge in JUDGES}
        self.faults.append(
            FaultResult(
                fault.architecture,
                fault.format,
                fault.title,
                fault.equivalent,
                frozenset(judge for judge, found in beyond.items() if found),
                frozenset(
                    judge
                    for judge, found in beyond.items()
                    if any(regime != "edge" for regime, _, _ in found)
                ),
                seen.bound_ratio,
                seen.mean_share,
                seen.reason,
            )
        )

    def rewrite(
        self, architecture: str, format_: str, title: str, seen: Seen, known: str = ""
    ) -> None:
        flagged = frozenset(judge for judge in JUDGES if seen.counted(judge))
        self.rewrites.append(
            RewriteResult(
                architecture,
                format_,
                title,
                seen.verdict,
                flagged,
                seen.bound_ratio,
                seen.mean_share,
                seen.reason,
                known,
            )
        )

    @property
    def real(self) -> list[FaultResult]:
        """Faults that some number shows."""
        return [fault for fault in self.faults if not fault.equivalent]

    @property
    def equivalent(self) -> list[FaultResult]:
        return [fault for fault in self.faults if fault.equivalent]

    @property
    def misses(self) -> list[FaultResult]:
        return [fault for fault in self.real if OURS not in fault.caught]

    @property
    def ran(self) -> list[RewriteResult]:
        """Rewrites that computed something: a refusal is no verdict on numbers."""
        return [r for r in self.rewrites if r.verdict != "failed" and not r.known]

    @property
    def alarms(self) -> list[RewriteResult]:
        return [rewrite for rewrite in self.ran if OURS in rewrite.flagged]

    def as_good_as_told(self) -> bool:
        """Whether there were any, what can be caught was, and no rewrite was flagged."""
        unexpected = [m for m in self.misses if not any(kind in m.title for kind in SMALL)]
        return bool(self.real and self.ran) and not unexpected and not self.alarms

    def line(self) -> str:
        return (
            f"{len(self.real)} faults, {len(self.misses)} missed; "
            f"{len(self.ran)} rewrites, {len(self.alarms)} false alarms"
        )

    def table(self) -> Iterator[str]:
        """One row a judge."""
        yield f"{len(self.real)} faults, and {len(self.equivalent)} more that no number shows;"
        yield f"{len(self.ran)} harmless rewrites, and {self._others()}"
        yield ""
        yield "| judge | faults caught | recall | of them in typical or batch | false alarms |"
        yield "| --- | --- | --- | --- | --- |"
        for judge in JUDGES:
            caught = sum(judge in fault.caught for fault in self.real)
            counted = sum(judge in fault.counted for fault in self.real)
            alarms = sum(judge in rewrite.flagged for rewrite in self.ran)
            recall = 100 * caught / max(len(self.real), 1)
            share = 100 * alarms / max(len(self.ran), 1)
            yield (
                f"| {judge} | {caught} of {len(self.real)} | {recall:.1f} % "
                f"| {counted} | {alarms} of {len(self.ran)} ({share:.1f} %) |"
            )

    def _others(self) -> str:
        refused = sum(rewrite.verdict == "failed" for rewrite in self.rewrites)
        known = sum(bool(r.known) and r.verdict == "wrong" for r in self.rewrites)
        return f"{refused} that a runtime refused, {known} where it really is wrong"

    def page(self) -> Iterator[str]:
        """The committed page."""
        yield "# What is caught"
        yield ""
        yield "Written by `make faults`; how it is made is in `tests/faults/`."
        yield ""
        yield from self.table()
        yield ""
        yield from MISSES
        yield from _listed(
            "Missed",
            [
                f"{m} ({m.bound_ratio:.2g} of what is allowed of an element, "
                f"{m.mean_share:.2g} of a mean)"
                for m in self.misses
            ],
        )
        yield from _listed("False alarms", [f"{a}: {a.reason}" for a in self.alarms])
        known = [f"{r}: {r.known}" for r in self.rewrites if r.known and r.verdict == "wrong"]
        yield from _listed("Really wrong", known)
        edge = [str(f) for f in self.real if OURS in f.caught - f.counted]
        yield from _listed("Seen in `edge` alone", edge)
        yield from _listed(
            "Equivalent (less than one float32 rounding)", [str(f) for f in self.equivalent]
        )
        refused = [f"{r}: {r.reason}" for r in self.rewrites if r.verdict == "failed"]
        yield from _listed("Refused by a runtime", refused)
        yield ""
        yield "## Faults by kind"
        yield ""
        yield "| fault | caught | of | equivalent |"
        yield "| --- | --- | --- | --- |"
        every = Counter(fault.title for fault in self.faults)
        caught = Counter(f.title for f in self.real if OURS in f.caught)
        equivalent = Counter(f.title for f in self.equivalent)
        for title, count in sorted(every.items()):
            yield f"| {title} | {caught[title]} | {count} | {equivalent[title]} |"
        yield ""
        yield "## How far inside"
        yield ""
        for what in ("bound_ratio", "mean_share"):
            shares = sorted(getattr(r, what) for r in self.ran if r.verdict == "faithful")
            if shares:
                yield (
                    f"- Harmless rewrites, {_NORMS[what]} in units of what is allowed: at most "
                    f"{shares[-1]:.2f}, half of them at most {shares[len(shares) // 2]:.2f}."
                )


_NORMS = {"bound_ratio": "largest error", "mean_share": "mean error"}


def _listed(title: str, items: list[str]) -> Iterator[str]:
    yield ""
    yield f"## {title}: {len(items)}"
    yield ""
    yield from [f"- {item}" for item in items] or ["None."]
