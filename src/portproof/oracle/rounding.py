"""The rounding that a correct evaluation of a graph may show: the rule, and all its constants.

**The rule.** A float output is `faithful` where each element is as near the float64 oracle as the
reference is, up to rounding: its error is at most the reference's own, and the largest deviation
that `SAMPLES` evaluations of the same graph in float64 show there, in each of which the result of
every operation is off by `AMPLITUDE` times what one correct operation may be off by, up or down.
That deviation counts as at least one unit in the last place of the oracle's value. And the n
elements of an output together use on average at most 1/(2 AMPLITUDE) of their bounds, plus a share
of the rest that falls with 1/sqrt(n). They would use that much if every rounding, which is half
its largest on average, went in the same direction everywhere. A wrong weight does that; rounding
does not. Where rounding does it all the same, because all elements depend on one result (a batch
normalisation's variance over few rows, in training), the reference shows it: twice its own mean
error is allowed too, because the reference is itself one sample of such an error.

**Why.** How far a float32 program may differ is not a property of the program but of the graph and
its input: a sum that cancels loses all its digits in any order of summation, and a table lookup
loses none. So the graph itself is evaluated. Doing it many times with disturbed roundings is
Monte Carlo arithmetic (D. S. Parker, "Monte Carlo Arithmetic", UCLA CSD-970002, 1997); the
original's own float32 evaluation is one such sample, and the samples here are more of them. It
judges every element by itself: a small output beside a huge one has a bound of its own, and where
a value stands at a step (a rounding, a comparison, a relu) the samples fall on both sides of it.

**How far one operation may be off** is taken in units in the last place (ULP):

- `+ - *` and conversions: half a unit, being correctly rounded (IEEE 754-2019, section 4.3), and
  nothing where the dtype can hold the result. Of a sum, half a unit of its larger operand, so that
  `(a + b) + c` may be computed as `a + (b + c)`.
- elementary functions: what OpenCL C 3.0 demands of float (section 7.4, "Relative Error as ULPs",
  the full profile), the one standard that states it for all of them.
- sums of n terms, and what is made of them (matrix products, convolutions, means, pooling). Added
  up one after the other, in random order, the partial sums S_k make an error of variance
  u^2/3 * sum(S_k^2), where sum(S_k^2) is on average n S^2/3 + n Q/6 for the total S and the sum of
  squares Q (a random walk that must end at S: S_k is k S/n on average, with variance
  k (1 - k/n) Q/n). So the result is disturbed by u sqrt(1 + n/9) of itself, and each term by
  u sqrt(1 + n/18). Any tree of partial sums, and a fused multiply-add, does better. The ones under
  the roots are the last rounding (of a mean, 2.5 ULP for its division, which may be a product with
  a rounded 1/n), and three of each term: the product, and its factors where an implementation
  folded a scale into them. That errors grow with sqrt(n), not n, is what is seen and proven under
  random rounding (N. J. Higham and T. Mary, "A New Approach to Probabilistic Rounding Error
  Analysis", SIAM J. Sci. Comput. 41, 2019). It does not hold for thousands of equal terms added one
  by one, whose roundings are equal too: such a sum is worse than float32 can do, and is flagged.
  Sums of whole numbers that stay below the dtype's precision are exact.
- a bias, or another constant that is added to such a sum: by u sqrt(n/3) of the bias too. It is one
  more term, and many implementations begin with it: each of the n partial sums has it in it, and
  their roundings make an error of variance u^2/3 * n b^2 (`oracle/folded_biases.py`).
- operations that the tables do not list: four units, unless they only move, choose or compare.

What does not depend on the values of inputs and weights is disturbed too: the scale and the
positions of a resized image, the coefficients of a window or a filter bank, which implementations
compute in float32, each in its own order. Only what the dtype can hold is not: a size or a whole
position, and what is chosen by it, is the same everywhere. A Fourier transform of n elements is n
sums of n products; a complex number's parts are disturbed each by what is allowed for its
magnitude.
A sample that fails, does not end, or gives other shapes or no numbers is left out.

Of an output of more than 10,000 elements one has a small bound by chance alone; by how much its
error may then be beyond it is derived in `comparing/judging.py` (`largest_ratio`).

`AMPLITUDE` is the distance in standard deviations, roughly, at which a correct program is still
called faithful where one operation decides; the largest of 16 samples of a sum of many is seldom
below its standard deviation (1 in 400) and 1.8 of them on average. One rule and one set of
constants serves every model.

**Shaders.** GPU shading languages promise less of some functions. `SHADER` is the same sampling
with what WGSL promises in addition (W3C, "WebGPU Shading Language", section "Floating Point
Accuracy"; GLSL ES 3.20, section 4.7.1, has the same figures for what it states, and nothing for
trigonometry). What is within that on a shader's backend, and not within the rule, is `close`.
"""

from tensorflow.core.framework import types_pb2

SAMPLES = 16
AMPLITUDE = 4.0

# The samples: a salt for the directions, and the factors of what a correct operation and a shader's
# operation may be off by. What shaders promise is the worst case already, so fewer samples are
# enough; but a shader's sine is a polynomial, which may be off in one direction over a whole range
# of values. Of two samples (salt 0) all elements go in one direction.
CORRECT = tuple((salt, AMPLITUDE, 0.0) for salt in range(1, SAMPLES + 1))
SHADER = (
    *((salt, AMPLITUDE, 1.0) for salt in range(1, SAMPLES // 4 + 1)),
    *((0, 0.0, direction) for direction in (1.0, -1.0)),
)

# Half a unit in the last place of 1: the largest relative error of one correct rounding.
ROUNDOFF = {
    types_pb2.DT_BFLOAT16: 2.0**-8,
    types_pb2.DT_HALF: 2.0**-11,
    types_pb2.DT_FLOAT: 2.0**-24,
    types_pb2.DT_DOUBLE: 2.0**-53,
    types_pb2.DT_COMPLEX64: 2.0**-24,
    types_pb2.DT_COMPLEX128: 2.0**-53,
}
