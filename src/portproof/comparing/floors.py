"""What a variant must keep of the model to be the model still: fixed beforehand, never measured.

No source states one figure for every model. These lie where published practice draws its lines:

- SQNR. A cosine of c between two outputs of one size is an SQNR of -10 log10(2 (1 - c)) dB. Of
  int8, TinyNeuralNetwork (examples/quantization/post_error_anaylsis.py) wants a final layer's
  cosine above 0.9, which is 7 dB, and TPU-MLIR's guide (docs/quick_start, 03_onnx) accepts 0.85.
  Of float16, coremltools' conversion of Stable Diffusion (torch2coreml.py) stops below a PSNR of
  35 dB, and its own tests below an SNR of 20. Of weights in 8 bits nobody states one: theirs lies
  between the two.
- Decisions. TensorFlow's guide (lite/g3doc/performance/model_optimization.md, table 1) publishes
  MobileNetV2 with 8-bit weights as usable at 0.637 top-1 for 0.719, which cannot agree in more than
  92 of 100 rows, and int8 ones have fewer digits. What is to be caught is below: a MobileNetV1
  whose int8 form has 0.018 for 0.705 (T. Sheng et al., "A Quantization-Friendly Separable
  Convolution for MobileNets", 2018, table 1).
"""

from dataclasses import dataclass

from portproof.comparing.metrics import Metrics

# Rows that may differ whatever the share: of few rows, one is a large share.
_FREE_ROWS = 1


@dataclass(frozen=True)
class Floor:
    """The least that a variant must keep.

    Attributes:
        sqnr: Signal to quantisation noise over a whole output, in dB.
        same_largest: The share of decided rows with the same largest element, where an output is
            a distribution or scores.
        accuracy_loss: By how much its accuracy may be below the model's, as a share of the labelled
            rows; None: not limited.
    """

    sqnr: float
    same_largest: float
    accuracy_loss: float | None = None

    @property
    def noise(self) -> float:
        """The noise that the floor allows, relative to the signal."""
        return float(10 ** (-self.sqnr / 20))


FLOORS = {
    "float16": Floor(sqnr=30.0, same_largest=0.99),
    "dynamic-range": Floor(sqnr=10.0, same_largest=0.85),
    "int8": Floor(sqnr=7.0, same_largest=0.80),
}
# Of a variant that someone else's format brings.
OTHER = FLOORS["int8"]

_ADVICE = {
    "float16": "ship the float32 file: float16 ends at 65504 and has 11 bits",
    "dynamic-range": "ship tflite float16",
    "int8": "calibrate with more of the model's own data, keep its loudest layers in floats "
    "(portproof diagnose lists them), or ship tflite float16",
}


def floor_of(variant: str) -> Floor:
    """A variant's floor by default."""
    return FLOORS.get(variant, OTHER)


def below_floor(metrics: Metrics, floor: Floor, variant: str, step: float | None) -> str:
    """Why an output is no more the model's, and what to do, or nothing.

    Args:
        metrics: The comparison with the original of all rows together.
        floor: What has to be kept.
        variant: The variant's name.
        step: The scale of a quantised output.
    """
    reasons = []
    if metrics.sqnr < floor.sqnr:
        reasons.append(f"its SQNR is {metrics.sqnr:.2g} dB, and {floor.sqnr:g} dB are wanted")
    differing = metrics.decided - metrics.same
    if differing > max(_FREE_ROWS, (1 - floor.same_largest) * metrics.decided):
        reasons.append(
            f"{differing:.0f} of {metrics.decided} rows have another largest element, and "
            f"{100 * floor.same_largest:g} % must have the same"
        )
    if reason := lost_accuracy(metrics, floor):
        reasons.append(reason)
    if not reasons:
        return ""
    return f"no more the model: {'; '.join(reasons)}: {_what_to_do(metrics, variant, step)}"


def lost_accuracy(metrics: Metrics, floor: Floor) -> str:
    """By how much the accuracy is below the model's, where that is more than was declared."""
    before, after = metrics.reference_accuracy, metrics.accuracy
    if before is None or after is None or floor.accuracy_loss is None:
        return ""
    if before - after <= floor.accuracy_loss:
        return ""
    return (
        f"its accuracy is {100 * after:.3g} % where the model's is {100 * before:.3g} %, "
        f"on {metrics.labelled} labelled rows"
    )


def _what_to_do(metrics: Metrics, variant: str, step: float | None) -> str:
    typical = (metrics.signal / max(metrics.finite, 1)) ** 0.5
    if step and typical and step > typical:
        return (
            f"the output's step {_as_fraction(step)} is {step / typical:.2g} times its typical "
            "value: export the logits, or keep the last layer in floats (--keep-float)"
        )
    return _ADVICE.get(variant, "ship a more precise variant")


def _as_fraction(step: float) -> str:
    """`1/256`, as a softmax has it, or three digits."""
    whole = round(1 / step)
    return f"1/{whole}" if whole > 1 and abs(whole * step - 1) < 1e-6 else f"{step:.3g}"
