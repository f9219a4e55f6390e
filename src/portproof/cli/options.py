"""Arguments and options that several commands have."""

from pathlib import Path
from typing import Annotated

import typer

Models = Annotated[
    list[str] | None,
    typer.Argument(
        help="A .keras file, a SavedModel folder, package.module:function, or a name in "
        "portproof.toml; without one, all that are there."
    ),
]
Runtimes = Annotated[
    list[str] | None,
    typer.Option(help="Only this runtime, at a version: litert@1.4.0; repeatable."),
]
Servers = Annotated[
    list[str] | None,
    typer.Option(help="A running TensorFlow Serving's URL of the model: http:// or grpc://."),
]
BundlesOrAddresses = Annotated[
    list[str] | None,
    typer.Argument(help="Bundles or addresses of published ones; without one, all of artifacts."),
]
Bundles = Annotated[
    list[Path] | None, typer.Argument(help="Bundles; without one, all of artifacts.")
]
JunitFile = Annotated[
    Path | None, typer.Option(help="Write JUnit XML, a test case for each signature.")
]
BadgeFile = Annotated[
    Path | None, typer.Option(help="Write a badge of the verdict, an SVG, to this file.")
]
JsonFile = Annotated[Path | None, typer.Option(help="Write the report to this file too.")]
KeyFile = Annotated[
    Path | None, typer.Option(help="The public key that a published bundle is signed with.")
]
