"""Which of a file's tensors is which of the model's: by name, else by the one way that fits."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from portproof.bundle.errors import UsageError
from portproof.bundle.forms import Form
from portproof.bundle.signature import Signature, TensorSpec
from portproof.checking.interface import Interface, OwnTensor

# The orders that converters write images, sequences and volumes in: where channels are last, and
# where they are first.
_LAYOUTS = {
    3: ((0, 2, 1),),
    4: ((0, 3, 1, 2), (0, 2, 3, 1)),
    5: ((0, 4, 1, 2, 3), (0, 2, 3, 4, 1)),
}


@dataclass(frozen=True)
class Match:
    """A signature of the model in a file.

    Attributes:
        interface: What is called in the file.
        inputs: The file's names, by the signature's.
        outputs: The same.
        input_forms: The forms of those that are in another form.
        output_forms: The same.
        one_row: Whether it takes exactly one row, where the model takes any number.
    """

    interface: Interface
    inputs: dict[str, str]
    outputs: dict[str, str]
    input_forms: dict[str, Form]
    output_forms: dict[str, Form]
    one_row: bool

    def notes(self) -> list[str]:
        """What was not the same, in words: nothing is assumed in silence."""
        told = [
            f"{name} is {self_name} there"
            for names in (self.inputs, self.outputs)
            for name, self_name in names.items()
            if name != self_name
        ]
        forms = {**self.input_forms, **self.output_forms}
        told += [f"{name} is in another form there: {form}" for name, form in forms.items()]
        return told


def match(
    name: str, signature: Signature, interface: Interface, mapped: Mapping[str, str], file: str
) -> Match:
    """Match a model's signature with what can be called in a file.

    Args:
        name: The signature's name.
        signature: The signature.
        interface: What can be called.
        mapped: The file's names that the person stated, by the signature's.
        file: The file, as the person calls it.

    Raises UsageError where nothing fits, or several ways do.
    """
    pairs = _Pairs(name, signature, interface, mapped, file)
    inputs = pairs.of("input", signature.inputs, interface.inputs)
    outputs = pairs.of("output", signature.outputs, interface.outputs)
    one_row = signature.batched and any(
        _takes_one_row(interface.inputs[own], form) for own, form in inputs.values()
    )
    return Match(
        interface,
        {key: own for key, (own, _) in inputs.items()},
        {key: own for key, (own, _) in outputs.items()},
        {key: form for key, (_, form) in inputs.items() if form != Form()},
        {key: form for key, (_, form) in outputs.items() if form != Form()},
        one_row,
    )


@dataclass(frozen=True)
class _Pairs:
    """The arguments of `match`, of which each message shows both sides."""

    name: str
    signature: Signature
    interface: Interface
    mapped: Mapping[str, str]
    file: str

    def of(
        self, kind: str, specs: Mapping[str, TensorSpec], own: Mapping[str, OwnTensor]
    ) -> dict[str, tuple[str, Form]]:
        """The file's name and form of each of the signature's inputs or outputs."""
        known = self._known(specs, own)
        pairs: dict[str, tuple[str, Form]] = {}
        for key, other in known.items():
            form = form_of(specs[key], own[other], self.signature.batched)
            if form is None:
                raise self._error(
                    f"{kind} {key} is {specs[key]} in the model and {other}: {own[other]} there"
                )
            pairs[key] = other, form
        rest = {key: spec for key, spec in specs.items() if key not in pairs}
        free = {key: tensor for key, tensor in own.items() if key not in known.values()}
        batched = self.signature.batched
        fitting = {key: _fitting(spec, free, batched) for key, spec in rest.items()}
        # Those with the fewest to choose from first, or there would be no end to the ways.
        in_order = {key: rest[key] for key in sorted(rest, key=lambda key: len(fitting[key]))}
        possible = len(free) == len(rest) and all(fitting.values())
        ways = list(islice(_assignments(in_order, free, batched), 2)) if possible else []
        if not ways:
            raise self._error(f"its {kind}s do not fit the model's")
        if len(ways) > 1:
            open_ = {key: way for key, (way, _) in ways[0].items() if way != ways[1][key][0]}
            example = " ".join(f"--map {key}={other}" for key, other in open_.items())
            raise self._error(f"its {kind}s fit in several ways. Say which is which: {example}")
        return pairs | ways[0]

    def _known(
        self, specs: Mapping[str, TensorSpec], own: Mapping[str, OwnTensor]
    ) -> dict[str, str]:
        """Those that the person stated, and those of one name."""
        stated = {key: other for key, other in self.mapped.items() if key in specs}
        for key, other in stated.items():
            if other not in own:
                raise self._error(f"--map {key}={other}: there is no {other}")
        if len(set(stated.values())) < len(stated):
            raise self._error("two names of --map are one of its tensors")
        plain = {_plain(other, self.name): other for other in own}
        same = {
            key: plain[key]
            for key in specs
            if key in plain and key not in stated and plain[key] not in stated.values()
        }
        return stated | same

    def _error(self, reason: str) -> UsageError:
        return UsageError(
            f"{self.file}: {reason}.\n"
            f"  the model: {self.name}{self.signature}\n"
            f"  the file:  {self.interface.name}{self.interface}"
        )


def _plain(name: str, signature: str) -> str:
    """A name without what converters add: `serving_default_x:0` is `x`."""
    return name.removesuffix(":0").removeprefix(f"{signature}_")


def _fitting(spec: TensorSpec, own: Mapping[str, OwnTensor], batched: bool) -> list[str]:
    return [name for name, tensor in own.items() if form_of(spec, tensor, batched) is not None]


def _assignments(
    specs: Mapping[str, TensorSpec], own: Mapping[str, OwnTensor], batched: bool
) -> Iterator[dict[str, tuple[str, Form]]]:
    """Every way to give each of the signature's tensors one of the file's that it fits."""
    if not specs:
        yield {}
        return
    key = next(iter(specs))
    rest = {name: spec for name, spec in specs.items() if name != key}
    for other, tensor in own.items():
        form = form_of(specs[key], tensor, batched)
        if form is not None:
            left = {name: t for name, t in own.items() if name != other}
            for way in _assignments(rest, left, batched):
                yield {key: (other, form), **way}


def form_of(spec: TensorSpec, own: OwnTensor, batched: bool) -> Form | None:
    """In which form a file's tensor is one of the signature's; None: in none."""
    dtype = _dtype_of(spec, own)
    if dtype is None:
        return None
    kind = Form()
    if dtype:
        kind = Form(dtype=dtype, scale=own.scale, zero_point=own.zero_point)
    if own.shape is None or _fits(spec.shape, own.shape):
        return kind
    for axes in _LAYOUTS.get(len(spec.shape), ()):
        if _fits(tuple(spec.shape[axis] for axis in axes), own.shape):
            return kind.model_copy(update={"axes": axes})
    if batched and spec.shape[:1] == (None,) and _fits_inside(spec.shape[1:], own.shape):
        return kind.model_copy(update={"one_row": True})
    return None


def _dtype_of(spec: TensorSpec, own: OwnTensor) -> str | None:
    """The file's dtype, where it is another one that can stand for the signature's."""
    if own.dtype in ("", spec.dtype):
        return ""
    is_integer = "int" in spec.dtype and "int" in own.dtype
    is_quantised = own.scale is not None and "float" in spec.dtype
    return own.dtype if is_integer or is_quantised else None


def _fits(shape: tuple[int | None, ...], own: tuple[int | None, ...]) -> bool:
    """Whether a file's shape takes the signature's. Of any number of rows it may take one alone."""
    if len(shape) != len(own):
        return False
    first = shape[:1] == own[:1] or own[:1] == (None,) or (shape[:1], own[:1]) == ((None,), (1,))
    return first and _fits_inside(shape[1:], own[1:])


def _fits_inside(shape: tuple[int | None, ...], own: tuple[int | None, ...]) -> bool:
    # What is dynamic in the file is whatever it is given, or gives.
    same_rank = len(shape) == len(own)
    return same_rank and all(a == b or b is None for a, b in zip(shape, own, strict=True))


def _takes_one_row(own: OwnTensor, form: Form) -> bool:
    return not form.one_row and own.shape is not None and own.shape[:1] == (1,)
