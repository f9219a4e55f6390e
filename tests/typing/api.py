"""What a user may write: mypy --strict reads this file, and nothing runs it."""

from collections.abc import Iterator
from pathlib import Path
from typing import assert_type

import numpy as np

import portproof


def export_and_verify(
    model: portproof.Source, data: np.ndarray[tuple[int, ...], np.dtype[np.float32]]
) -> bool:
    source = portproof.make_source(model, name="scale", imports=["my.layers"])
    assert_type(source, portproof.Source)
    bundle = portproof.export(
        "model.keras",
        Path("artifacts/scale"),
        inputs={"x": data},
        formats=["tflite int8"],
        log=print,
    )
    assert_type(bundle, portproof.Bundle)
    report = portproof.verify(
        bundle.path,
        "s3://bucket/scale",
        runtimes=["litert"],
        time_limit=10,
        strict=True,
        key="key.pub",
    )
    assert_type(report, portproof.Report)
    assert_type(report.failures, list[portproof.Cell])
    assert_type(report.exit_status, int)
    verdicts = {cell.runtime: cell.verdict for cell in report.cells}
    assert verdicts["litert"] == "exact"
    portproof.print_report(report, quiet=True)
    return report.ok


def publish_and_time(path: Path) -> str:
    for timed in portproof.bench(path, runtimes=["litert"]):
        assert_type(timed, portproof.Performance)
    assert_type(portproof.diagnose(path, "litert"), Iterator[portproof.Diagnosis])
    try:
        return portproof.publish(path, "oci://host/repository:tag", sign_key="key.pem")
    except portproof.BundleError as error:
        raise SystemExit(error.exit_status) from None


portproof.start_tensorflow()


def write(source: portproof.Source, root: Path, folder: str) -> portproof.Written:
    endpoint = portproof.Endpoint(path=folder, inputs={"x": "x"}, outputs={"y": "y"})
    return portproof.Written(dict.fromkeys(source.functions, endpoint))


def load(request: portproof.Request) -> portproof.Infer:
    return lambda inputs: {"y": inputs["x"]}


portproof.add_format(portproof.Format("mine", write))
portproof.add_runtime(portproof.Runtime("mine", formats=("mine",), command=lambda: ["mine"]))
portproof.serve({"mine": "1.0"}, load)

# Each of these is a mistake, and mypy says so: an unused "ignore" is an error too.
portproof.verify(runtimes="litert", strict="yes")  # type: ignore[arg-type]
portproof.export("model.keras", format="tflite")  # type: ignore[call-arg]
portproof.train("quadratic")  # type: ignore[attr-defined]


def check_a_file_alone(file: Path) -> int:
    alone = portproof.check(file, runtimes=["litert@1.4.0", "litert"], log=print)
    assert_type(alone, portproof.Report)
    assert_type(alone.held_to, dict[str, str])
    return alone.exit_status
