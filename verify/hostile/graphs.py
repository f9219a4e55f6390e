"""Models that reach for more than numbers: run in the sandbox, and stopped there."""

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from verify.hostile.case import Hostile
from verify.hostile.draft import Bases

# Builds a part of the graph from the input.
Body = Callable[[Bases, Any], Any]
_TIMES = ["--runtime", "tensorflow", "--time-limit", "8", "--total-limit", "30"]


def cases() -> Iterator[Hostile]:
    for name, (body, status) in BODIES.items():
        build = partial(_exported, body)
        yield Hostile("graphs at export", name, build, status)
    for name in ("reads the variables", "writes a file", "prints lines of its own"):
        body, _ = BODIES[name]
        yield Hostile(
            "graphs from elsewhere", name, partial(_fetched, body), (1,), "beyond numbers"
        )


def saved(body: Body, folder: Path, bases: Bases) -> Path:
    """A SavedModel that does something before it doubles its input."""
    import tensorflow as tf

    module = tf.Module()

    @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32, name="x")])
    def call(x: Any) -> dict[str, Any]:
        with tf.control_dependencies([tf.identity(body(bases, x))]):
            return {"y": x * 2.0}

    module.call = call
    path = folder / "model"
    tf.saved_model.save(module, str(path), signatures={"serving_default": call})
    return path


def _exported(body: Body, folder: Path, bases: Bases) -> list[str]:
    path = saved(body, folder, bases)
    return ["export", str(path), "--output", str(folder / "out"), "--format", "savedmodel",
            "--total-limit", "60"]  # fmt: skip


def _fetched(body: Body, folder: Path, bases: Bases) -> list[str]:
    """A release whose SavedModel is replaced by one with the body, digests and all."""
    import shutil

    from verify.hostile.draft import Draft
    from verify.hostile.releases import released

    draft = Draft(bases.bundle, folder)
    shutil.copyfile(saved(body, folder, bases) / "saved_model.pb", folder / "graph")
    [record] = [
        file
        for artifact in draft.manifest["artifacts"]
        for file in artifact["files"]
        if file["path"] == "savedmodel/saved_model.pb"
    ]
    draft.replace(record, (folder / "graph").read_bytes())
    return ["verify", f"file://{released(draft.save(), folder)}", *_TIMES]


def _read(path: str, bases: Bases, x: Any) -> Any:
    import tensorflow as tf

    return tf.strings.length(tf.io.read_file(path or str(bases.secret)))


def _copy(source: str, bases: Bases, x: Any) -> Any:
    import tensorflow as tf

    content = tf.io.read_file(source)
    with tf.control_dependencies([tf.io.write_file(str(bases.target), content)]):
        return tf.strings.length(content)


def _write(target: str, text: str, bases: Bases, x: Any) -> Any:
    import tensorflow as tf

    with tf.control_dependencies([tf.io.write_file(target or str(bases.target), text)]):
        return tf.constant(0)


def _say(text: str, bases: Bases, x: Any) -> Any:
    import tensorflow as tf

    with tf.control_dependencies([tf.print(text)]):
        return tf.constant(0)


def _forever(bases: Bases, x: Any) -> Any:
    import tensorflow as tf

    return tf.while_loop(lambda n: n >= 0, lambda n: tf.minimum(n + 1, 5), [tf.size(x)])[0]


def _fill(gibibytes: int, bases: Bases, x: Any) -> Any:
    import tensorflow as tf

    size = gibibytes * 2**28 + tf.size(x)
    return tf.reduce_sum(tf.random.uniform([size]))


_VARIABLES = "/proc/self/environ"
BODIES: dict[str, tuple[Body, tuple[int, ...]]] = {
    "reads the variables": (partial(_read, _VARIABLES), (0, 1)),
    "reads a secret": (partial(_read, ""), (1,)),
    "writes a file": (partial(_write, "", "escaped"), (0, 1)),
    "copies the variables": (partial(_copy, _VARIABLES), (0, 1)),
    "copies the first process's variables": (partial(_copy, "/proc/1/environ"), (0, 1)),
    "writes to its standard input": (
        partial(_write, "/proc/self/fd/0", '{"seconds": 0}\n'),
        (0, 1),
    ),
    "writes to its standard output": (
        partial(_write, "/proc/self/fd/1", '\n{"seconds": 0}\n'),
        (0, 1),
    ),
    "writes over the packages": (
        partial(_write, str(Path(os.__file__).with_name("this.py")), "escaped"),
        (0, 1),
    ),
    "prints lines of its own": (partial(_say, "::error::forged\n\x1b[2Jproven: all"), (0, 1)),
    "never ends": (_forever, (1, 2)),
    "takes all memory": (partial(_fill, 40), (1,)),
}
