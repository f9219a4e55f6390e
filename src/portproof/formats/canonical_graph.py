"""Makes a SavedModel the same bytes at every export of the same model.

TensorFlow numbers functions and gradient registrations by a counter of the process
(`__inference_multiply_17`, `PartitionedCall-23`), orders the function library as a hash map does,
names captured weights by another counter, and puts a random uuid into `fingerprint.pb`. Here the
counters are replaced by consecutive numbers in the same order, the library is sorted, the names
that no user gave are left out, and the uuid is derived from the model.
"""

import re
import uuid
from pathlib import Path
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from tensorflow.core.protobuf import fingerprint_pb2, saved_model_pb2
from tensorflow.python.saved_model.pywrap_saved_model import fingerprinting

# A counter stands at the end, and inside too where a loop's body is named after its loop.
_COUNTER = re.compile(r"[_-](\d+)(?=[_-]|$)")


def rewrite(path: Path) -> None:
    """Rewrite `saved_model.pb` and `fingerprint.pb` in the SavedModel folder `path`."""
    file = path / "saved_model.pb"
    model = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    for graph in model.meta_graphs:
        _rename(graph, _renumbered(_counted_names(graph)))
        _leave_out_capture_names(graph)
        functions = sorted(graph.graph_def.library.function, key=lambda f: f.signature.name)
        del graph.graph_def.library.function[:]
        graph.graph_def.library.function.extend(functions)
    file.write_bytes(model.SerializeToString(deterministic=True))
    _rewrite_fingerprint(path)


def _rewrite_fingerprint(path: Path) -> None:
    serialized = fingerprinting.CreateFingerprintDef(str(path))
    fingerprint = fingerprint_pb2.FingerprintDef.FromString(serialized)
    if "uuid" in fingerprint.DESCRIPTOR.fields_by_name:  # since TensorFlow 2.19
        fingerprint.uuid = ""
        content = fingerprint.SerializeToString(deterministic=True)
        fingerprint.uuid = str(uuid.uuid5(uuid.NAMESPACE_OID, content.hex()))
    (path / "fingerprint.pb").write_bytes(fingerprint.SerializeToString(deterministic=True))


def _counted_names(graph: Any) -> set[str]:
    """Names with a counter of the process: library functions and gradient registrations."""
    library = graph.graph_def.library.function
    names = {function.signature.name for function in library}
    attrs = [function.attr for function in library]
    attrs += [node.attr for node in graph.graph_def.node]
    attrs += [node.attr for function in library for node in function.node_def]
    for attr in attrs:
        for key in ("_gradient_op_type", "forward_function_name", "backward_function_name"):
            if key in attr:
                names.add(attr[key].s.decode())
    return {name for name in names if _COUNTER.search(name)}


def _leave_out_capture_names(graph: Any) -> None:
    """Remove `_user_specified_name` from arguments that are captures: there it is a counter."""
    for function in graph.graph_def.library.function:
        for arg in function.arg_attr.values():
            if "_user_specified_name" in arg.attr and arg.attr["_user_specified_name"].s.isdigit():
                del arg.attr["_user_specified_name"]


def _renumbered(names: set[str]) -> dict[str, str]:
    """The names without their counters, numbered from 0 in the order of the last one."""

    def order(name: str) -> tuple[int, str]:
        return int(_COUNTER.findall(name)[-1]), _COUNTER.sub("", name)

    return {
        name: f"{_COUNTER.sub('', name)}_{n}" for n, name in enumerate(sorted(names, key=order))
    }


def _rename(message: Message, names: dict[str, str]) -> None:
    """Replace each string, bytes and map key that is one of `names`, in the whole message."""
    for field, value in message.ListFields():
        if field.message_type and field.message_type.GetOptions().map_entry:
            _rename_map(field, value, names)
        elif field.type == FieldDescriptor.TYPE_MESSAGE:
            for item in [value] if isinstance(value, Message) else value:
                _rename(item, names)
        elif field.type in (FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES):
            if isinstance(value, str | bytes):
                setattr(message, field.name, _replaced(value, names))
            else:
                value[:] = [_replaced(item, names) for item in value]


def _rename_map(field: FieldDescriptor, entries: Any, names: dict[str, str]) -> None:
    if field.message_type.fields_by_name["value"].message_type is None:
        renamed = {_replaced(k, names): _replaced(v, names) for k, v in entries.items()}
        entries.clear()
        entries.update(renamed)
        return
    kept = {k: type(v).FromString(v.SerializeToString()) for k, v in entries.items()}
    entries.clear()
    for key, value in kept.items():
        _rename(value, names)
        entries[_replaced(key, names)].CopyFrom(value)


def _replaced(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, bytes):
        try:
            return names.get(value.decode(), "").encode() or value
        except UnicodeDecodeError:
            return value
    return names.get(value, value) if isinstance(value, str) else value
