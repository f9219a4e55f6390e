"""Reports of several hosts become one, in which nothing is averaged away."""

from collections.abc import Mapping

import pytest

from portproof.bundle.errors import UsageError
from portproof.bundle.manifest import DECIDING
from portproof.bundle.merging import merged
from portproof.bundle.report import Cell, Environment, Report, renewed
from portproof.bundle.verdicts import Verdict
from portproof.reporting.conflicts import conflicts

DIGEST = "0" * 64


def report(
    host: str,
    verdicts: Mapping[str, Verdict],
    *,
    digest: str = DIGEST,
    processor: str = "a processor",
    interrupted: bool = False,
) -> Report:
    """A report of one host: by runtime, the verdict of its only artifact's only output."""
    cells = [
        Cell(
            model="m",
            format="tflite",
            variant="",
            runtime=runtime,
            signature="s",
            output="y",
            regime=regime,
            verdict=verdict,
            detail="off by 3" if verdict == "wrong" else "",
        )
        for runtime, verdict in verdicts.items()
        for regime in DECIDING
    ]
    environment = Environment(
        host=host,
        platform="a system",
        processor=processor,
        python="3.11",
        portproof="0.1.0",
        runtimes={runtime: {"library": "1.0"} for runtime in verdicts},
    )
    return Report(
        bundle={"m": digest}, environment=environment, cells=cells, interrupted=interrupted
    ).finished()


def test_every_cell_names_its_host_and_those_of_a_runtime_are_side_by_side() -> None:
    desk = report("desk", {"litert": "exact", "openvino": "faithful"})
    phone = report("phone", {"litert": "faithful"})
    together = merged({"a": desk, "b": phone})
    assert together.ok
    assert list(dict.fromkeys(cell.place for cell in together.cells)) == [
        "litert on desk",
        "litert on phone",
        "openvino on desk",
    ]
    assert list(together.hosts) == ["desk", "phone"]
    assert together.hosts["phone"].runtimes == {"litert": {"library": "1.0"}}
    assert not list(conflicts(together))


@pytest.mark.parametrize("verdict", ["wrong", "failed", "unsupported"])
def test_one_host_that_does_not_prove_it_is_a_conflict(verdict: Verdict) -> None:
    desk = report("desk", {"litert": "exact"})
    phone = report("phone", {"litert": verdict})
    together = merged({"a": desk, "b": phone})
    [conflict] = conflicts(together)
    assert str(conflict).startswith(f"tflite in litert is proven on desk, and {verdict} on phone")
    assert together.exit_status == (0 if verdict == "unsupported" else 1)


def test_a_runtime_that_is_absent_on_one_host_was_run_on_another() -> None:
    desk = report("desk", {"litert": "absent", "openvino": "exact"})
    phone = report("phone", {"litert": "exact"})
    together = merged({"a": desk, "b": phone})
    assert not together.absent
    nowhere = merged({"a": desk, "b": report("board", {"litert": "absent"})})
    assert set(nowhere.absent) == {"litert"}


def test_another_bundle_is_refused() -> None:
    with pytest.raises(UsageError, match="b is of another bundle of m"):
        merged({"a": report("desk", {}), "b": report("phone", {}, digest="1" * 64)})


def test_what_was_interrupted_is_no_whole_report() -> None:
    with pytest.raises(UsageError, match="interrupted"):
        merged({"a": report("desk", {"litert": "exact"}, interrupted=True)})


def test_no_reports_are_no_proof() -> None:
    with pytest.raises(UsageError, match="name the reports"):
        merged({})


def test_a_host_that_verified_twice_counts_once_with_its_last_verdicts() -> None:
    first = report("desk", {"litert": "wrong", "openvino": "exact"})
    again = report("desk", {"litert": "exact"})
    together = merged({"a": first, "b": again})
    assert {cell.place: cell.verdict for cell in together.cells} == {
        "litert on desk": "exact",
        "openvino on desk": "exact",
    }
    assert len(together.cells) == 4
    assert set(together.hosts["desk"].runtimes) == {"litert", "openvino"}


def test_two_machines_of_one_name_are_two_hosts() -> None:
    one = report("runner", {"litert": "exact"})
    other = report("runner", {"litert": "wrong"}, processor="another one")
    together = merged({"a": one, "b": other})
    assert list(together.hosts) == ["runner", "runner (2)"]
    [conflict] = conflicts(together)
    assert conflict.others == ("runner (2)",)


def test_merged_reports_are_merged_again() -> None:
    desk, phone, board = (report(name, {"litert": "exact"}) for name in ("desk", "phone", "board"))
    twice = merged({"a": merged({"a": desk, "b": phone}), "c": board})
    assert twice.cells == merged({"a": desk, "b": phone, "c": board}).cells
    assert list(twice.hosts) == ["desk", "phone", "board"]
    read = Report.model_validate_json(twice.to_json())
    assert read == twice


def test_targets_of_one_report_do_not_hide_what_another_found() -> None:
    wrong = report("desk", {"litert": "wrong", "openvino": "exact"})
    aimed = report("board", {"openvino": "exact"}).model_copy(
        update={"targets": {"m": ("openvino",)}}
    )
    for pair in ({"a": wrong, "b": aimed}, {"b": aimed, "a": wrong}):
        together = merged(pair)
        assert not together.targets
        assert together.exit_status == 1
    of_litert = report("desk", {"litert": "wrong"}).model_copy(
        update={"targets": {"m": ("litert",)}}
    )
    together = merged({"a": of_litert, "b": aimed})
    assert together.targets == {"m": ("litert", "openvino")}
    assert together.exit_status == 1


def test_a_narrower_report_replaces_only_what_it_ran() -> None:
    first = report("desk", {"litert": "wrong"})
    other = [cell.model_copy(update={"variant": "int8"}) for cell in first.cells]
    exact = [cell.model_copy(update={"verdict": "exact", "detail": ""}) for cell in other]
    second = first.model_copy(update={"cells": exact}).finished()
    together = merged({"a": first, "b": second})
    assert {(cell.variant, cell.verdict) for cell in together.cells} == {
        ("", "wrong"),
        ("int8", "exact"),
    }


def test_machines_without_a_name_are_never_taken_for_one() -> None:
    together = merged({"a": report("", {"litert": "wrong"}), "b": report("", {"litert": "exact"})})
    assert list(together.hosts) == ["host", "host (2)"]
    assert together.exit_status == 1


def test_a_merged_report_is_not_renewed_in_part() -> None:
    both = merged(
        {"a": report("desk", {"litert": "exact"}), "b": report("board", {"litert": "wrong"})}
    )
    again = report("desk", {"litert": "exact"}).model_copy(update={"requested": ("litert",)})
    assert renewed(both, again) == again
