"""A runner's process, against small programs that keep or break the protocol."""

import sys
import time
from pathlib import Path

import pytest

from portproof.runtimes.process import Limits, RunnerError, RunnerProcess
from portproof.runtimes.protocol import EXAMPLE_REQUEST, VERSION, Answer, Refusal

HELLO = f'print(\'{{"ready": {{}}, "protocol": {VERSION}}}\', flush=True)\n'
ANSWER = "print('{\"seconds\": 1}', flush=True)\n"


def runner(program: str, **limits: float) -> RunnerProcess:
    program = f"import os, sys, time\n{program}"
    return RunnerProcess([sys.executable, "-c", program], {}, Limits(**limits))


def test_each_request_gets_its_answer() -> None:
    process = runner(
        HELLO + "for n, line in enumerate(sys.stdin): print(f'{{\"seconds\": {n}}}', flush=True)\n"
    )
    answers = [process.compute(EXAMPLE_REQUEST, {})[0] for _ in range(3)]
    process.stop()
    assert answers == [Answer(seconds=n) for n in range(3)]


def test_a_line_that_no_request_asked_for_is_no_answer() -> None:
    process = runner(HELLO + f"for line in sys.stdin:\n    {ANSWER}    {ANSWER}")
    assert isinstance(process.compute(EXAMPLE_REQUEST, {})[0], Answer)
    time.sleep(0.5)
    with pytest.raises(RunnerError, match="printed what no request asked for"):
        process.compute(EXAMPLE_REQUEST, {})
    assert isinstance(process.compute(EXAMPLE_REQUEST, {})[0], Answer)  # of a fresh process
    process.stop()


def test_a_closed_output_is_not_waited_for() -> None:
    process = runner("os.closerange(0, 2)\ntime.sleep(60)\n", start=30)
    started = time.monotonic()
    with pytest.raises(RunnerError, match="closed its standard output"):
        process.compute(EXAMPLE_REQUEST, {})
    assert time.monotonic() - started < 20


@pytest.mark.parametrize(
    "answer", ['{"error": ""}', '{"seconds": -1}', '{"seconds": NaN}', "[]", "{}", "text"]
)
def test_what_is_no_answer_costs_one_request(answer: str) -> None:
    process = runner(HELLO + f"for line in sys.stdin: print('{answer}', flush=True)\n")
    with pytest.raises(RunnerError, match="answered with"):
        process.compute(EXAMPLE_REQUEST, {})


def test_a_refusal_is_an_answer() -> None:
    process = runner(HELLO + 'for line in sys.stdin: print(\'{"error": "no"}\', flush=True)\n')
    assert process.compute(EXAMPLE_REQUEST, {}) == (Refusal(error="no"), {})
    process.stop()


def test_a_program_that_cannot_be_started_is_one_message(tmp_path: Path) -> None:
    process = RunnerProcess([str(tmp_path / "missing")], {}, Limits())
    with pytest.raises(RunnerError, match="cannot be started: No such file"):
        process.compute(EXAMPLE_REQUEST, {})
