"""Recall and false alarms, for Portproof and for common tolerances."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from verify.faults.corpus import Fault
from verify.faults.examine import JUDGES, PORTPROOF, Observation

# Parts of titles of faults. Some of these faults are too small to differ from rounding errors:
# see EXPECTED_MISSES.
SMALL_FAULTS = (
    "lowest mantissa bit",
    "low mantissa bit",
    "lowest bit of a variable",
    "first activation",
    "last activation",
)

EXPECTED_MISSES = (
    "Misses are expected of faults that are smaller than what they hide in: one weight off by 1",
    "or by 64 units in its last place, beside float32's own errors on the way to the output; the",
    "scale or zero point of an int8 activation, which its writer and its reader share, beside the",
    "steps that kernels may differ by. Any other miss, and any false alarm, makes `make faults`",
    "fail.",
)


@dataclass(frozen=True)
class FaultResult:
    """What was observed of one fault.

    Attributes:
        architecture: The model's name.
        format: The format of the faulty artifact.
        title: The kind of fault.
        equivalent: Whether the fault is too small for any output to show it.
        caught_by: The judges that caught it.
        caught_in_deciding_by: The judges that caught it in a regime that decides the exit status.
        bound_ratio: The largest error, in units of what is allowed of an element.
        mean_share: The largest mean error, in units of what is allowed of a mean.
        reason: Portproof's reason for its verdict.
    """

    architecture: str
    format: str
    title: str
    equivalent: bool
    caught_by: frozenset[str]
    caught_in_deciding_by: frozenset[str]
    bound_ratio: float
    mean_share: float
    reason: str

    def __str__(self) -> str:
        return f"{self.architecture} {self.format}: {self.title}"


@dataclass(frozen=True)
class RewriteResult:
    """What was observed of one harmless rewrite.

    Attributes:
        architecture: The model's name.
        format: The format of the rewritten artifact.
        title: The kind of rewrite.
        verdict: Portproof's verdict.
        flagged_by: The judges that flagged it.
        bound_ratio: The largest error, in units of what is allowed of an element.
        mean_share: The largest mean error, in units of what is allowed of a mean.
        reason: Portproof's reason for its verdict.
        known_defect: A known defect of the runtime in this case, or nothing. A flag that has such a
            cause is no false alarm.
    """

    architecture: str
    format: str
    title: str
    verdict: str
    flagged_by: frozenset[str]
    bound_ratio: float
    mean_share: float
    reason: str
    known_defect: str = ""

    def __str__(self) -> str:
        return f"{self.architecture} {self.format}, {self.title}"


@dataclass
class Results:
    """The results of all faults and all rewrites."""

    faults: list[FaultResult] = field(default_factory=list)
    rewrites: list[RewriteResult] = field(default_factory=list)

    def add_fault(self, fault: Fault, observation: Observation, undamaged: Observation) -> None:
        """Add a fault, and what was observed of it and of the undamaged artifact."""
        flagged = {judge: observation.flagged_beyond(undamaged, judge) for judge in JUDGES}
        self.faults.append(
            FaultResult(
                fault.architecture,
                fault.format,
                fault.title,
                fault.equivalent,
                frozenset(judge for judge, keys in flagged.items() if keys),
                frozenset(
                    judge
                    for judge, keys in flagged.items()
                    if any(regime != "edge" for regime, _, _ in keys)
                ),
                observation.bound_ratio,
                observation.mean_share,
                observation.reason,
            )
        )

    def add_rewrite(
        self,
        architecture: str,
        format_: str,
        title: str,
        observation: Observation,
        known_defect: str = "",
    ) -> None:
        """Add a rewrite, and what was observed of it."""
        flagged_by = frozenset(judge for judge in JUDGES if observation.flagged_in_deciding(judge))
        self.rewrites.append(
            RewriteResult(
                architecture,
                format_,
                title,
                observation.verdict,
                flagged_by,
                observation.bound_ratio,
                observation.mean_share,
                observation.reason,
                known_defect,
            )
        )

    @property
    def detectable(self) -> list[FaultResult]:
        """The faults that some output shows."""
        return [fault for fault in self.faults if not fault.equivalent]

    @property
    def equivalent(self) -> list[FaultResult]:
        return [fault for fault in self.faults if fault.equivalent]

    @property
    def misses(self) -> list[FaultResult]:
        return [fault for fault in self.detectable if PORTPROOF not in fault.caught_by]

    @property
    def judged_rewrites(self) -> list[RewriteResult]:
        """The rewrites that are judged.

        A refusal by the runtime gives no numbers to judge. A known defect is really wrong.
        """
        return [r for r in self.rewrites if r.verdict != "failed" and not r.known_defect]

    @property
    def false_alarms(self) -> list[RewriteResult]:
        return [rewrite for rewrite in self.judged_rewrites if PORTPROOF in rewrite.flagged_by]

    def meets_expectations(self) -> bool:
        """Whether there are results, every miss is of an expected kind, and no alarm is false."""
        unexpected_misses = [
            miss for miss in self.misses if not any(kind in miss.title for kind in SMALL_FAULTS)
        ]
        has_results = bool(self.detectable and self.judged_rewrites)
        return has_results and not unexpected_misses and not self.false_alarms

    def line(self) -> str:
        return (
            f"{len(self.detectable)} faults, {len(self.misses)} missed; "
            f"{len(self.judged_rewrites)} rewrites, {len(self.false_alarms)} false alarms"
        )

    def table(self) -> Iterator[str]:
        """The table of judges: one row for each."""
        detectable, equivalent = len(self.detectable), len(self.equivalent)
        yield f"{detectable} faults, and {equivalent} more that no number shows;"
        yield f"{len(self.judged_rewrites)} harmless rewrites, and {self._other_rewrites()}"
        yield ""
        yield "| judge | faults caught | recall | of them in typical or batch | false alarms |"
        yield "| --- | --- | --- | --- | --- |"
        for judge in JUDGES:
            caught = sum(judge in fault.caught_by for fault in self.detectable)
            in_deciding = sum(judge in fault.caught_in_deciding_by for fault in self.detectable)
            alarms = sum(judge in rewrite.flagged_by for rewrite in self.judged_rewrites)
            recall = 100 * caught / max(len(self.detectable), 1)
            share = 100 * alarms / max(len(self.judged_rewrites), 1)
            yield (
                f"| {judge} | {caught} of {len(self.detectable)} | {recall:.1f} % "
                f"| {in_deciding} | {alarms} of {len(self.judged_rewrites)} ({share:.1f} %) |"
            )

    def _other_rewrites(self) -> str:
        refused = sum(rewrite.verdict == "failed" for rewrite in self.rewrites)
        wrong = sum(bool(r.known_defect) and r.verdict == "wrong" for r in self.rewrites)
        return f"{refused} that a runtime refused, {wrong} where it really is wrong"

    def page(self) -> Iterator[str]:
        """The lines of the committed page, RESULTS.md."""
        yield "# What is caught"
        yield ""
        yield "Written by `make faults`; how it is made is in `verify/faults/`."
        yield ""
        yield from self.table()
        yield ""
        yield from EXPECTED_MISSES
        yield from _listed(
            "Missed",
            [
                f"{miss} ({miss.bound_ratio:.2g} of what is allowed of an element, "
                f"{miss.mean_share:.2g} of a mean)"
                for miss in self.misses
            ],
        )
        yield from _listed(
            "False alarms", [f"{alarm}: {alarm.reason}" for alarm in self.false_alarms]
        )
        wrong = [
            f"{rewrite}: {rewrite.known_defect}"
            for rewrite in self.rewrites
            if rewrite.known_defect and rewrite.verdict == "wrong"
        ]
        yield from _listed("Really wrong", wrong)
        caught_in_edge_only = [
            str(fault)
            for fault in self.detectable
            if PORTPROOF in fault.caught_by - fault.caught_in_deciding_by
        ]
        yield from _listed("Seen in `edge` alone", caught_in_edge_only)
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
        all_faults = Counter(fault.title for fault in self.faults)
        caught = Counter(f.title for f in self.detectable if PORTPROOF in f.caught_by)
        equivalent = Counter(fault.title for fault in self.equivalent)
        for title, count in sorted(all_faults.items()):
            yield f"| {title} | {caught[title]} | {count} | {equivalent[title]} |"
        yield ""
        yield "## How far inside"
        yield ""
        faithful = [r for r in self.judged_rewrites if r.verdict == "faithful"]
        for measure, description in _ERROR_MEASURES.items():
            errors = sorted(getattr(rewrite, measure) for rewrite in faithful)
            if errors:
                yield (
                    f"- Harmless rewrites, {description} in units of what is allowed: at most "
                    f"{errors[-1]:.2f}, half of them at most {errors[len(errors) // 2]:.2f}."
                )


# Fields of RewriteResult, and how the page describes them.
_ERROR_MEASURES = {"bound_ratio": "largest error", "mean_share": "mean error"}


def _listed(title: str, items: list[str]) -> Iterator[str]:
    yield ""
    yield f"## {title}: {len(items)}"
    yield ""
    yield from [f"- {item}" for item in items] or ["None."]
