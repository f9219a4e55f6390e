"""The oracle: a signature's graph with its weights, in float64, exactly and with rounding."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import graph_pb2

from bundle.signature import DTYPES
from bundle.tensors import Arrays
from oracle import rounding, variables
from oracle.disturbances import STATE
from oracle.frozen import freeze
from oracle.lowering import LOWERED
from oracle.perturbing import perturbed
from oracle.raising import narrow_ops, raised, widened
from oracle.splicing import spliced

# A sample may take so many times what the exact evaluation took, and at least so many seconds.
PATIENCE, LEAST_SECONDS = 100, 60


@dataclass(frozen=True)
class Deviations:
    """What the oracle gives and how far from it rounding may lead, in the original's structure.

    `correct` is for any correct implementation; `shader` for one within the precision that shading
    languages document, `None` where the graph has nothing that they treat apart.
    """

    exact: Any
    correct: Any
    shader: Any | None


class Oracle:
    """A concrete function's graph, frozen and raised.

    `frozen` is that graph in the original's own dtypes, in which large weights are variables.
    Inputs are arrays by the signature's names.
    """

    def __init__(self, concrete: Any) -> None:
        frozen = freeze(concrete)
        self._feeds = {name: tensor.name for name, tensor in frozen.inputs.items()}
        names = [tensor.name for tensor in frozen.outputs]
        self._fetches = tf.nest.pack_sequence_as(concrete.structured_outputs, names)
        self.frozen = variables.put(spliced(frozen.graph, LOWERED), frozen.weights)
        self._large = frozen.weights
        captured = [inner for _, inner in concrete.graph.captures if inner.dtype == tf.resource]
        self._weights = {tensor.op.name for tensor in captured}
        self._endless = False

    def __call__(self, inputs: Arrays, fetches: Any = None) -> Any:
        """The outputs in the structure of the original, floats as float64 arrays.

        `fetches` asks for other tensors of the graph instead, by name in any structure.
        """
        return self._exact.run(self._fetched(fetches), self._feed(inputs))

    def original(self, inputs: Arrays, fetches: Any = None) -> Any:
        """As the call, in the original's own dtypes."""
        feed = {self._feeds[name]: array for name, array in inputs.items()}
        return self._original.run(self._fetched(fetches), feed)

    def deviations(self, inputs: Arrays, fetches: Any = None) -> Deviations:
        """How far rounding may carry each element; see `oracle.rounding` for the rule."""
        started = time.monotonic()
        exact = self(inputs, fetches)
        limit = max(LEAST_SECONDS, PATIENCE * (time.monotonic() - started))
        sampled = partial(self._sampled, inputs, fetches, exact, limit)
        correct, shader = sampled(rounding.CORRECT), None
        if self.shaded:  # of which fewer samples are taken
            shader = tf.nest.map_structure(np.maximum, sampled(rounding.SHADER), correct)
        return Deviations(exact, correct, shader)

    def _sampled(
        self, inputs: Arrays, fetches: Any, exact: Any, seconds: float, precision: tuple[Any, ...]
    ) -> Any:
        """The largest deviation of any sample from `exact`, in its structure.

        One that fails says nothing: a sample may leave what the model asserts, or never converge.
        """
        samples, *factors = precision
        session, feed = self._perturbed, self._feed(inputs)
        options = tf.compat.v1.RunOptions(timeout_in_ms=int(1000 * seconds))
        largest = tf.nest.map_structure(lambda array: np.zeros(np.shape(array)), exact)
        for salt in range(1, samples + 1):
            if self._endless:
                break
            session.run("portproof_assign", {"portproof_state:0": [salt, *factors]})
            try:
                sample = session.run(self._fetched(fetches), feed, options)
            except tf.errors.DeadlineExceededError:
                self._endless = True  # as the others would be
            except tf.errors.OpError:
                continue
            else:
                largest = tf.nest.map_structure(_farther, largest, exact, sample)
        return largest

    def _fetched(self, fetches: Any) -> Any:
        return self._fetches if fetches is None else fetches

    @property
    def outputs(self) -> Any:
        """The names of the tensors that are the outputs, in the structure of the original."""
        return self._fetches

    def is_array(self, node: str) -> bool:
        """Whether a node's first output is an array of numbers, not a resource or a list."""
        outputs = self._original.graph.get_operation_by_name(node).outputs
        return bool(outputs) and outputs[0].dtype.name in DTYPES

    @cached_property
    def shaded(self) -> tuple[str, ...]:
        """The ops in the graph to which shaders are held less strictly."""
        functions = [node for f in self.frozen.library.function for node in f.node_def]
        ops = {node.op for node in [*self.frozen.node, *functions]}
        return tuple(sorted(ops & rounding.SHADED))

    @cached_property
    def narrow(self) -> tuple[str, ...]:
        """The ops that are computed in float32 all the same, for TensorFlow has no other."""
        return narrow_ops(self.frozen)

    @cached_property
    def _original(self) -> Any:
        return self._session(self.frozen)

    @cached_property
    def _exact(self) -> Any:
        return self._session(raised(self.frozen))

    @cached_property
    def _perturbed(self) -> Any:
        return self._session(perturbed(self.frozen, self._weights), with_state=True)

    def _session(self, graph_def: graph_pb2.GraphDef, with_state: bool = False) -> Any:
        graph = tf.Graph()
        with graph.as_default():
            tf.graph_util.import_graph_def(graph_def, name="")
            if with_state:
                state = tf.raw_ops.VarHandleOp(shared_name=STATE, dtype=tf.float64, shape=[3])
                value = tf.compat.v1.placeholder(tf.float64, [3], name="portproof_state")
                tf.raw_ops.AssignVariableOp(resource=state, value=value, name="portproof_assign")
        session = tf.compat.v1.Session(graph=graph)
        variables.assign(session, self._large)
        return session

    def _feed(self, inputs: Mapping[str, np.ndarray[Any, Any]]) -> Arrays:
        return {self._feeds[name]: widened(array) for name, array in inputs.items()}


def _farther(largest: Any, exact: Any, sample: Any) -> Any:
    """The larger of what was found and of this sample's deviation.

    A sample that is not finite where the oracle is, or of another shape, says nothing.
    """
    if np.asarray(exact).dtype != np.float64 or np.shape(sample) != np.shape(exact):
        return largest
    with np.errstate(invalid="ignore"):
        away = np.abs(sample - exact)
    return np.maximum(largest, np.where(np.isfinite(away), away, 0.0))


def narrowed(deviation: Any, dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """A deviation as it is kept: in float32, which is as exact as it is meant, or as float64.

    float64 for outputs of that dtype, whose range float32 does not have.
    """
    kept = np.float64 if dtype == np.float64 else np.float32
    small: np.ndarray[Any, Any] = np.minimum(np.asarray(deviation), np.finfo(kept).max)
    return small.astype(kept)
