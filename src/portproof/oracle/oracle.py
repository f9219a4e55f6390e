"""The oracle: a signature's graph with its weights, in float64, exactly and with rounding."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from types import MappingProxyType
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import graph_pb2

from portproof.bundle.signature import DTYPES
from portproof.bundle.tensors import Arrays
from portproof.graphs import large_weights
from portproof.graphs.freezing import freeze
from portproof.graphs.splicing import spliced
from portproof.oracle import rounding
from portproof.oracle.disturbances import STATE
from portproof.oracle.lowering import LOWERED
from portproof.oracle.op_table import SHADER_OPS
from portproof.oracle.perturbing import perturbed
from portproof.oracle.raising import float32_only_ops, raised, widened

# A sample may take this many times as long as the exact evaluation, and at least so many seconds.
MAX_SLOWDOWN, MIN_SECONDS = 100, 60
# How many calls with fed tensors one session serves.
CALLS_FED = 20


@dataclass(frozen=True)
class Deviations:
    """What the oracle gives and how far from it rounding may lead, in the original's structure.

    Attributes:
        exact: The outputs in float64.
        correct: How far from `exact` any correct implementation may be, element by element.
        shader: The same for one within the precision that shading languages document; None where
            the graph has no op of which they promise less.
    """

    exact: Any
    correct: Any
    shader: Any | None


class Oracle:
    """A concrete function's graph, frozen and raised. Inputs are arrays by the signature's names.

    `graph` is the frozen graph in the original's own dtypes, in which large weights are variables.
    """

    def __init__(self, concrete: Any) -> None:
        frozen = freeze(concrete)
        self._placeholders = {name: tensor.name for name, tensor in frozen.inputs.items()}
        names = [tensor.name for tensor in frozen.outputs]
        self._outputs = tf.nest.pack_sequence_as(concrete.structured_outputs, names)
        self.graph = large_weights.as_variables(spliced(frozen.graph, LOWERED), frozen.weights)
        self._large_weights = frozen.weights
        captured = [inner for _, inner in concrete.graph.captures if inner.dtype == tf.resource]
        self._weight_names = {tensor.op.name for tensor in captured}
        self._sampling_timed_out = False
        self._feeding: Any = None
        self._fed = 0

    def __call__(self, inputs: Arrays, fetches: Any = None) -> Any:
        """The outputs in the structure of the original, floats as float64 arrays.

        `fetches` asks for other tensors of the graph instead, by name in any structure.
        """
        return self._exact.run(self._fetched(fetches), self._feed(inputs))

    def original(
        self,
        inputs: Arrays,
        fetches: Any = None,
        fed: Mapping[str, np.ndarray[Any, Any]] = MappingProxyType({}),
    ) -> Any:
        """As the call, in the original's own dtypes. `fed` are tensors inside that are given."""
        feed = {self._placeholders[name]: array for name, array in inputs.items()}
        session = self._session_for_feeding() if fed else self._original
        return session.run(self._fetched(fetches), {**feed, **fed})

    def _session_for_feeding(self) -> Any:
        """A session of the original, another one after some calls.

        A session keeps what it makes of each choice of fed and fetched tensors, weights and all.
        """
        if self._feeding is None or self._fed == CALLS_FED:
            if self._feeding is not None:
                self._feeding.close()
            self._feeding, self._fed = self._open(self._original.graph), 0
        self._fed += 1
        return self._feeding

    def deviations(self, inputs: Arrays, fetches: Any = None) -> Deviations:
        """How far rounding may carry each element; see `oracle.rounding` for the rule."""
        started = time.monotonic()
        exact = self(inputs, fetches)
        limit = max(MIN_SECONDS, MAX_SLOWDOWN * (time.monotonic() - started))
        largest = partial(self._largest_deviation, inputs, fetches, exact, limit)
        correct, shader = largest(rounding.CORRECT), None
        if self.shader_ops:  # of which fewer samples are taken
            shader = tf.nest.map_structure(np.maximum, largest(rounding.SHADER), correct)
        return Deviations(exact, correct, shader)

    def _largest_deviation(
        self, inputs: Arrays, fetches: Any, exact: Any, seconds: float, samples: Any
    ) -> Any:
        """The largest deviation of any sample from `exact`, in its structure.

        A sample that fails is left out: it may violate what the model asserts, or never converge.
        """
        session, feed = self._perturbed, self._feed(inputs)
        options = tf.compat.v1.RunOptions(timeout_in_ms=int(1000 * seconds))
        largest = tf.nest.map_structure(lambda array: np.zeros(np.shape(array)), exact)
        for state in samples:
            if self._sampling_timed_out:
                break
            session.run("portproof_assign", {"portproof_state:0": state})
            try:
                sample = session.run(self._fetched(fetches), feed, options)
            except tf.errors.DeadlineExceededError:
                self._sampling_timed_out = True  # as all others would
            except tf.errors.OpError:
                continue
            else:
                largest = tf.nest.map_structure(_larger_deviation, largest, exact, sample)
        return largest

    def _fetched(self, fetches: Any) -> Any:
        return self._outputs if fetches is None else fetches

    @property
    def outputs(self) -> Any:
        """The names of the tensors that are the outputs, in the structure of the original."""
        return self._outputs

    def is_array(self, node: str) -> bool:
        """Whether a node's first output is an array of numbers, not a resource or a list."""
        outputs = self._original.graph.get_operation_by_name(node).outputs
        return bool(outputs) and outputs[0].dtype.name in DTYPES

    @cached_property
    def shader_ops(self) -> tuple[str, ...]:
        """The ops in the graph of which shaders promise less precision."""
        in_functions = [node for f in self.graph.library.function for node in f.node_def]
        ops = {node.op for node in [*self.graph.node, *in_functions]}
        return tuple(sorted(ops & SHADER_OPS))

    @cached_property
    def float32_only_ops(self) -> tuple[str, ...]:
        """The ops that are computed in float32, because TensorFlow has no other kernel."""
        return float32_only_ops(self.graph)

    @cached_property
    def _original(self) -> Any:
        return self._session(self.graph)

    @cached_property
    def _exact(self) -> Any:
        return self._session(raised(self.graph))

    @cached_property
    def _perturbed(self) -> Any:
        return self._session(perturbed(self.graph, self._weight_names), with_state=True)

    def _session(self, graph_def: graph_pb2.GraphDef, with_state: bool = False) -> Any:
        graph = tf.Graph()
        with graph.as_default():
            tf.graph_util.import_graph_def(graph_def, name="")
            if with_state:
                state = tf.raw_ops.VarHandleOp(shared_name=STATE, dtype=tf.float64, shape=[3])
                value = tf.compat.v1.placeholder(tf.float64, [3], name="portproof_state")
                tf.raw_ops.AssignVariableOp(resource=state, value=value, name="portproof_assign")
        return self._open(graph)

    def _open(self, graph: tf.Graph) -> Any:
        config = tf.compat.v1.ConfigProto()
        # What it rewrites is worth less than it takes, which is seconds: some calls are made.
        config.graph_options.rewrite_options.disable_meta_optimizer = True
        session = tf.compat.v1.Session(graph=graph, config=config)
        large_weights.assign(session, self._large_weights)
        return session

    def _feed(self, inputs: Mapping[str, np.ndarray[Any, Any]]) -> Arrays:
        return {self._placeholders[name]: widened(array) for name, array in inputs.items()}


def _larger_deviation(largest: Any, exact: Any, sample: Any) -> Any:
    """The larger of the largest deviation so far and of this sample's.

    A sample that is not finite where the oracle is, or has another shape, is left out.
    """
    if np.asarray(exact).dtype != np.float64 or np.shape(sample) != np.shape(exact):
        return largest
    with np.errstate(invalid="ignore"):
        deviation = np.abs(sample - exact)
    return np.maximum(largest, np.where(np.isfinite(deviation), deviation, 0.0))
