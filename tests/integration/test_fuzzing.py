"""Bundles and messages that hypothesis makes up: each ends in a verdict or in one clear line.

`make fuzz` looks for much longer than `make test` does.
"""

import copy
import io
import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from typer.testing import CliRunner

from portproof.bundle import tensors
from portproof.bundle.bundle import Bundle
from portproof.bundle.errors import PortproofError, UsageError
from portproof.bundle.text import is_printable
from portproof.cli.application import app
from portproof.exporting import export_source
from portproof.formats.table import select
from portproof.reporting import page
from portproof.runtimes import protocol
from portproof.runtimes.channel import Channel
from portproof.runtimes.process import Limits, RunnerProcess
from portproof.runtimes.protocol import Answer, ProtocolError, Refusal, Request
from portproof.runtimes.runtime import Runtime
from portproof.sources.examples import read_examples
from tests.helpers.sources import heads
from verify.hostile.draft import Draft

ODD: st.SearchStrategy[Any] = st.sampled_from(
    [
        *(0, -1, 1, 2**31, 2**63, 10**30, 0.5, -0.0, 1e308, 1e-320, float("inf"), float("nan")),
        *(
            "",
            ".",
            "..",
            "../outside",
            "/etc/passwd",
            "a/b",
            "x" * 5000,
            "\x1b[31m",
            "\n",
            "\u202e",
        ),
        *(None, True, False, [], {}, [[]], {"": {}}, "float32", "NaN", "1e999", "::error::x"),
    ]
)
JSON = ODD | st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=8,
)
BYTES = st.binary(max_size=300)
CASE = itemgetter("case")
# Judging a bundle takes a fifth of a second.
JUDGED = settings(deadline=None, max_examples=settings().max_examples // 4)
READ = settings(deadline=None)
Draw = Callable[[st.SearchStrategy[Any]], Any]


def places(document: Any, place: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Where something is in a JSON document."""
    items: Any = ()
    if isinstance(document, dict):
        items = document.items()
    elif isinstance(document, list):
        items = enumerate(document)
    for key, value in items:
        yield (*place, key)
        yield from places(value, (*place, key))


def changed_json(draw: Draw, document: Any) -> Any:
    """A JSON document with some of its values replaced, removed, moved or renamed."""
    changed = copy.deepcopy(document)
    for _ in range(draw(st.integers(1, 3))):
        if not (there := list(places(changed))):
            break
        *parents, last = draw(st.sampled_from(there))
        parent = changed
        for key in parents:
            parent = parent[key]
        match draw(st.sampled_from(["replace", "replace", "remove", "copy", "rename"])):
            case "remove":
                del parent[last]
            case "copy":
                source: Any = changed
                for key in draw(st.sampled_from(there)):
                    source = source[key]
                parent[last] = copy.deepcopy(source)
            case "rename" if isinstance(parent, dict):
                parent[draw(st.text(max_size=9) | ODD.map(str))] = parent.pop(last)
            case _:
                parent[last] = copy.deepcopy(draw(JSON))  # or it could come to hold itself
    return changed


def changed_bytes(draw: Draw, content: bytes) -> bytes:
    """Bytes of which some are replaced, removed, put in between or said twice."""
    for _ in range(draw(st.integers(1, 4))):
        # Not of its length: safetensors writes the same arrays in one order or another.
        begin = draw(st.integers(0, 1 << 14)) % (len(content) + 1)
        end = begin + draw(st.integers(0, 64))
        content = content[:begin] + draw(BYTES | st.just(content[begin:end] * 2)) + content[end:]
    return content


class Parrot(RunnerProcess):
    """Answers with the references of an honest bundle, without a process."""

    honest: Bundle

    def compute(  # type: ignore[override]
        self, _: Request, inputs: tensors.Arrays, *_limits: float
    ) -> tuple[Answer | Refusal, tensors.Arrays]:
        for vector in self.honest.vectors("serving_default"):
            arrays = self.honest.read(vector)
            reference = tensors.in_group(arrays, "reference")
            if [len(a) for a in tensors.in_group(arrays, "inputs").values()] == [
                len(a) for a in inputs.values() if a.ndim
            ]:
                [artifact] = self.honest.manifest.artifacts
                names = artifact.endpoints["serving_default"].outputs
                return Answer(seconds=0, backend="BUILTIN"), {
                    names[name]: array for name, array in reference.items()
                }
        return Refusal(error="never heard of it"), {}


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bundle]:
    folder = tmp_path_factory.mktemp("honest")
    bundle = export_source(heads(), folder / "honest", formats=select(["tflite"]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Parrot, "honest", bundle, raising=False)
        patch.setattr(Runtime, "runner", lambda *_, **__: Parrot([], {}, Limits()))
        patch.setattr(page, "MAX_PLOTS", 0)  # they take a second each
        look(bundle.path)
        yield bundle


def look(path: Path) -> None:
    """What the command line does with a bundle: a verdict or a line, and nothing else."""
    for command in (["verify", str(path), "--runtime", "litert"], ["show", str(path)]):
        result = CliRunner().invoke(app, command)
        if not isinstance(result.exception, SystemExit | PortproofError | OSError | None):
            raise result.exception
        assert all(is_printable(line) for line in result.output.split("\n"))


@JUDGED
@given(data=st.data())
def test_any_manifest_is_refused_or_judged(honest: Bundle, data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        draft = Draft(honest.path, Path(folder))
        draft.manifest = changed_json(data.draw, draft.manifest)
        look(draft.save())


@JUDGED
@given(data=st.data())
def test_any_bytes_of_a_manifest_are_refused_or_judged(honest: Bundle, data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Draft(honest.path, Path(folder)).path
        file = path / "manifest.json"
        file.write_bytes(changed_bytes(data.draw, file.read_bytes()))
        look(path)


ARRAYS = st.dictionaries(
    st.sampled_from(["inputs/x", "reference/y", "reference/z", "oracle/y", "rounding/y"])
    | st.text(max_size=12),
    npst.arrays(
        st.sampled_from([np.float32, np.float64, np.float16, np.int32, np.int8, np.bool_]),
        npst.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
    ),
    max_size=4,
)


@JUDGED
@given(data=st.data())
def test_any_test_vectors_are_refused_or_judged(honest: Bundle, data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        draft = Draft(honest.path, Path(folder))
        for vector in data.draw(
            st.lists(st.sampled_from(draft.deciding()), max_size=3, unique_by=CASE)
        ):
            arrays = {**draft.arrays(vector), **data.draw(ARRAYS)}
            for name in data.draw(st.lists(st.sampled_from(list(arrays)), max_size=2)):
                arrays.pop(name, None)
            content = tensors.to_bytes(arrays)
            if data.draw(st.booleans()):
                content = changed_bytes(data.draw, content)
            draft.replace(vector["file"], content)
        look(draft.save())


@JUDGED
@given(data=st.data())
def test_any_artifact_is_refused_or_judged(honest: Bundle, data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        draft = Draft(honest.path, Path(folder))
        record = draft.artifact["files"][0]
        content = (draft.path / record["path"]).read_bytes()
        draft.replace(record, changed_bytes(data.draw, content))
        look(draft.save())


@JUDGED
@given(data=st.data(), name=st.sampled_from(["report.json", "README.md", "document"]))
def test_any_earlier_report_and_card_are_refused_or_replaced(
    honest: Bundle, data: st.DataObject, name: str
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Draft(honest.path, Path(folder)).path
        if name == "document":
            report = json.loads((honest.path / "report.json").read_text())
            (path / "report.json").write_text(json.dumps(changed_json(data.draw, report)))
        else:
            content = (honest.path / name).read_bytes()
            (path / name).write_bytes(changed_bytes(data.draw, content))
        look(path)


def read(line: str) -> None:
    for reader in (protocol.read_hello, protocol.read_answer):
        with suppress(ProtocolError):
            message = reader(line)
            for field in ("note", "error"):
                assert is_printable(getattr(message, field, ""))


MESSAGES = [protocol.EXAMPLE_HELLO, protocol.EXAMPLE_ANSWER, protocol.EXAMPLE_REFUSAL]


@READ
@given(message=st.sampled_from(MESSAGES), data=st.data())
def test_any_message_of_a_runner_is_read_or_refused(message: Any, data: st.DataObject) -> None:
    read(json.dumps(changed_json(data.draw, json.loads(message.to_line()))))
    read(changed_bytes(data.draw, message.to_line().encode()).decode(errors="replace"))
    read(data.draw(st.text()))


@READ
@given(pieces=st.lists(BYTES | st.just(b"\n"), max_size=6), size=st.integers(0, 400))
def test_any_bytes_of_a_runner_are_a_line_or_an_end(pieces: list[bytes], size: int) -> None:
    channel = Channel(lambda: True)
    try:
        for piece in pieces:
            channel.theirs.sendall(piece)
        channel.theirs.close()
        said = b"".join(pieces)
        line = channel.line(1)
        assert line == (said[: said.index(b"\n") + 1] if b"\n" in said else None)
        rest = said[len(line) :] if line else said
        assert channel.content(size, 1) == (rest[:size] if size <= len(rest) else None)
    finally:
        channel.close()


@READ
@given(arrays=ARRAYS, suffix=st.sampled_from([".npz", ".npy", ".safetensors"]), data=st.data())
def test_any_file_of_inputs_is_read_or_refused(
    arrays: tensors.Arrays, suffix: str, data: st.DataObject
) -> None:
    stream = io.BytesIO()
    if suffix == ".npy":
        np.save(stream, next(iter(arrays.values()), np.zeros(3)))
    elif suffix == ".npz":
        np.savez(stream, *arrays.values())
    else:
        stream.write(tensors.to_bytes(arrays))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"inputs{suffix}")
        path.write_bytes(changed_bytes(data.draw, stream.getvalue()))
        with suppress(UsageError):
            read_examples(path)
