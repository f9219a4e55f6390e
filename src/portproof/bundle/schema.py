"""Versions of what is written: `portproof/manifest/4`. docs/compatibility.md is the policy."""

import re
from importlib.metadata import PackageNotFoundError, version

from pydantic import BaseModel, Field, ValidationError

FIRST_RELEASED = {"portproof/manifest": 4, "portproof/report": 3}


class _Document(BaseModel):
    schema_: str = Field(alias="schema")


def other_schema(content: bytes, schema: str) -> str:
    """Why a JSON document of another schema cannot be read, and what to do.

    Args:
        content: The document, which was not what the schema says.
        schema: The newest schema of its kind that this version reads: `portproof/manifest/4`.

    Returns:
        A sentence, or nothing where it is not the schema.
    """
    try:
        named = _Document.model_validate_json(content).schema_
    except (ValidationError, RecursionError):
        return ""
    kind, _, number = schema.rpartition("/")
    found = re.fullmatch(rf"{re.escape(kind)}/(\d{{1,9}})", named)
    if not found or found[1] == number:
        return ""
    if int(found[1]) > int(number):
        return (
            f"it is of schema {found[1]}, and this Portproof ({_installed()}) reads {number}: "
            "install a newer one, pip install --upgrade portproof"
        )
    if int(found[1]) >= FIRST_RELEASED[kind]:
        return ""  # one that is read, and is damaged
    again = "export the model" if kind.endswith("manifest") else "verify the bundle"
    return f"it is of schema {found[1]}, which no release wrote: {again} again"


def _installed() -> str:
    try:
        return version("portproof")
    except PackageNotFoundError:
        return "not installed"
