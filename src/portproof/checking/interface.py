"""What can be called in a file of somebody's: names, dtypes and shapes, as far as it says them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class OwnTensor:
    """An input or output of a file.

    Attributes:
        dtype: A key of `signature.DTYPES`; empty where the file does not say it.
        shape: `None` is a dynamic dimension; None alone: the file does not say it.
        scale: Of integers that stand for floats, what one step is.
        zero_point: The integer that is zero.
        feed: Of a SavedModel, the tensor of its graph.
    """

    dtype: str = ""
    shape: tuple[int | None, ...] | None = None
    scale: float | None = None
    zero_point: int = 0
    feed: str = ""

    def __str__(self) -> str:
        if self.shape is None:
            return self.dtype or "?"
        sizes = ", ".join("?" if size is None else str(size) for size in self.shape)
        return f"{self.dtype or '?'}[{sizes}]"


@dataclass(frozen=True)
class Interface:
    """One thing that can be called in a file.

    Attributes:
        name: The file's name of it; empty: it has none.
        inputs: By the file's own names.
        outputs: The same.
    """

    name: str
    inputs: dict[str, OwnTensor]
    outputs: dict[str, OwnTensor]

    def __str__(self) -> str:
        def listed(tensors: dict[str, OwnTensor]) -> str:
            return ", ".join(f"{name}: {tensor}" for name, tensor in tensors.items())

        return f"({listed(self.inputs)}) -> ({listed(self.outputs)})"


@dataclass(frozen=True)
class Contents:
    """What a file or a folder is.

    Attributes:
        format: Its format.
        variant: The variant that it is, by its weights and what flows in it; empty: plain float32.
        interfaces: What can be called in it.
        loaded: Of a folder, the file in it that a runtime is given; empty: the folder.
    """

    format: str
    variant: str
    interfaces: tuple[Interface, ...]
    loaded: str = ""
