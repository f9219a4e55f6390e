"""What a person asks for with `portproof check`, as another process can be told."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from portproof.bundle.errors import UsageError
from portproof.sources.names import check_name, is_reference


class CheckRequest(BaseModel):
    """What is checked, and against what.

    Attributes:
        file: The file or folder that something else made.
        model: The model that it should be: as `portproof.make_source` takes it, in words; empty:
            nobody has it.
        bundle: The folder of the bundle that is made.
        name: The model's name in it.
        inputs: A file of the model's own data.
        signature: The only signature of the model.
        imports: Modules with the model's own layers.
        mapped: The file's names of inputs and outputs, by the model's.
    """

    model_config = ConfigDict(frozen=True)

    file: Path
    model: str
    bundle: Path
    name: str
    inputs: Path | None = None
    signature: str | None = None
    imports: tuple[str, ...] = ()
    mapped: dict[str, str] = {}

    def to_json(self) -> str:
        return self.model_dump_json()

    @classmethod
    def from_json(cls, text: str) -> "CheckRequest":
        return cls.model_validate_json(text)


def request_of(
    file: str | Path,
    against: str | Path,
    inputs: str | Path | None,
    names: Mapping[str, str],
    signature: str | None,
    imports: Sequence[str],
    folder: str | Path,
) -> CheckRequest:
    """The request of `portproof.check`, which documents the arguments.

    Raises UsageError where a file is not there.
    """
    path = Path(file)
    if not path.exists():
        raise UsageError(f"{file} is not there.")
    if against:
        check_name(str(against))
        if not is_reference(str(against)) and not Path(against).exists():
            raise UsageError(f"{against} is not there.")
    name = f"{path.resolve().name if path.is_dir() else path.name}.checked"
    return CheckRequest(
        file=path,
        model=str(against),
        bundle=Path(folder) / name,
        name=name,
        inputs=Path(inputs) if inputs else None,
        signature=signature,
        imports=tuple(imports),
        mapped=dict(names),
    )
