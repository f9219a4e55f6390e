"""The command that publishes a bundle."""

from pathlib import Path
from typing import Annotated

import typer

import portproof
from portproof.bundle.errors import UsageError
from portproof.cli.application import app
from portproof.reporting.printing import say


@app.command()
def publish(
    bundle: Annotated[Path, typer.Argument(help="The bundle, or a name in portproof.toml.")],
    destination: Annotated[
        str,
        typer.Argument(
            help="A folder, a URL such as s3://... or oci://host/repository:tag; without one, what "
            "portproof.toml says."
        ),
    ] = "",
    version: Annotated[
        str, typer.Option(help="A name that will not change; by default of the bundle's digest.")
    ] = "",
    sign_key: Annotated[
        Path | None, typer.Option(help="A private EC key in PEM, to sign with.")
    ] = None,
    unverified: Annotated[
        bool, typer.Option("--unverified", help="Publish what is not proven; this is recorded.")
    ] = False,
) -> None:
    """Publish a bundle that is proven, for `portproof verify ADDRESS` elsewhere."""
    from portproof.building import bundles_of
    from portproof.project import find_project

    project = find_project()
    names = bundles_of(project, [str(bundle)]) if project else []
    if project and names:
        bundle = project.bundle(names[0])
        if not destination and (named := project.models[names[0]].publish):
            # As every path of the file, one of a folder begins where the file is.
            destination = named if "://" in named else str(project.root / named)
    if not destination:
        raise UsageError("name a destination, or write `publish` into the model's portproof.toml.")
    address = portproof.publish(
        bundle, destination, version=version, sign_key=sign_key, unverified=unverified
    )
    say(f"published {address}")
