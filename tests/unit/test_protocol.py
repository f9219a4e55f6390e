"""The runners' protocol: its messages, its version, and the messages it refuses."""

import json
import re
import sys

import pytest

from portproof.runtimes import protocol
from portproof.runtimes.process import Limits, RunnerError, RunnerProcess
from portproof.runtimes.protocol import (
    EXAMPLE_ANSWER,
    EXAMPLE_HELLO,
    EXAMPLE_REFUSAL,
    EXAMPLE_REQUEST,
    VERSION,
    Answer,
    ProtocolError,
    Refusal,
    Request,
    read_answer,
    read_hello,
)
from tests.conftest import PACKAGE
from tests.helpers.documents import ARCHITECTURE, protocol_example


def test_messages_are_read_as_they_were_written() -> None:
    assert read_hello(EXAMPLE_HELLO.to_line()) == EXAMPLE_HELLO
    assert read_answer(EXAMPLE_ANSWER.to_line()) == EXAMPLE_ANSWER
    assert read_answer(EXAMPLE_REFUSAL.to_line()) == EXAMPLE_REFUSAL
    assert Request.model_validate_json(EXAMPLE_REQUEST.to_line()) == EXAMPLE_REQUEST
    for message in (EXAMPLE_HELLO, EXAMPLE_REQUEST, EXAMPLE_ANSWER, EXAMPLE_REFUSAL):
        assert message.to_line().count("\n") == 1


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"ready": {}}', f"speaks version 1 .* this is version {VERSION}: update the package"),
        ('{"ready": {}, "protocol": 1}', "update the package that brings this runner"),
        ('{"ready": {}, "protocol": 99}', "update portproof"),
        ('{"hello": 1}', "did not say that it is ready"),
        ('{"ready": "yes"}', "did not say that it is ready"),
        ('{"error": "no GPU"}', "^no GPU$"),
        ("Loading...", "not a JSON object: Loading..."),
        ("[1]", "not a JSON object"),
    ],
)
def test_a_runner_that_is_not_ready_says_why(line: str, reason: str) -> None:
    with pytest.raises(ProtocolError, match=reason):
        read_hello(line)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{}", "without a valid seconds"),
        ('{"seconds": "long"}', "without a valid seconds"),
        ('{"seconds": 1, "backend": 3}', "without a valid backend"),
        ("null", "not a JSON object"),
    ],
)
def test_an_invalid_answer_is_refused(line: str, reason: str) -> None:
    with pytest.raises(ProtocolError, match=reason):
        read_answer(line)


def test_an_answer_may_have_unknown_fields() -> None:
    answer = read_answer('{"seconds": 0.5, "temperature": 40}')
    assert isinstance(answer, Answer)
    assert answer.seconds == 0.5
    assert isinstance(read_answer('{"error": "x", "restart": true}'), Refusal)


def test_an_old_runner_is_refused_with_a_clear_message() -> None:
    code = "print('{\"ready\": {}}', flush=True); input()"
    runner = RunnerProcess([sys.executable, "-c", code], {}, Limits(start=30))
    with pytest.raises(RunnerError, match=r"version 1 of the protocol.*update the package"):
        runner.compute(EXAMPLE_REQUEST, {})


def test_every_runner_speaks_this_version() -> None:
    javascript = (PACKAGE / "runtimes" / "js" / "loop.mjs").read_text()
    c = (PACKAGE / "runtimes" / "c" / "tensorflow_c.c").read_text()
    assert re.findall(r"PROTOCOL = (\d+)", javascript) == [str(VERSION)]
    assert re.findall(r"#define PROTOCOL (\d+)", c) == [str(VERSION)]


def test_each_field_is_documented() -> None:
    for kind in (protocol.Hello, protocol.Request, protocol.Answer, protocol.Refusal):
        assert kind.__doc__
        for name in kind.model_fields:
            assert f"        {name}: " in kind.__doc__, f"{kind.__name__}.{name}"


def test_architecture_md_shows_the_example_messages() -> None:
    assert protocol_example() in ARCHITECTURE.read_text()
    shown = [json.loads(line) for line in protocol_example().splitlines() if line[:1] == "{"]
    assert set(shown[0]) == {"ready", "protocol"}
