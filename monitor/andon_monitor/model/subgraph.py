"""Extracts the part of an ONNX graph between two of its tensors, without the onnx package, which the monitor lacks.

Only the fields of onnx.proto that extraction needs are declared here, by number; protobuf keeps all other fields.
"""

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

# message: (field, number, type: string or another of these messages). All fields are repeated except _SINGLE.
_FORMAT = {
    "Named": (("name", 1, "string"),),
    "Tensor": (("name", 8, "string"),),
    "Node": (("input", 1, "string"), ("output", 2, "string")),
    "Graph": (
        ("node", 1, "Node"),
        ("initializer", 5, "Tensor"),
        ("input", 11, "Named"),
        ("output", 12, "Named"),
        ("value_info", 13, "Named"),
    ),
    "Model": (("graph", 7, "Graph"),),
}
_SINGLE = ("name", "graph")


def extract(model: bytes, source: str, *targets: str) -> bytes:
    """The graph from tensor `source`, an input or output of `model`, to `targets`, outputs of it.

    Raises ValueError if they depend on more than `source` and constants.
    """
    whole = _Model.FromString(model)
    graph = whole.graph
    makers = {name: node for node in graph.node for name in node.output}
    constants = {tensor.name for tensor in graph.initializer}
    needed: set[str] = set()
    waiting = list(targets)
    while waiting:
        name = waiting.pop()
        if name in needed or name == "":
            continue
        needed.add(name)
        if name == source or name in constants:
            continue
        if name not in makers:
            raise ValueError(f"{', '.join(targets)} depends on {name}, not on {source} alone")
        waiting += makers[name].input
    ends = {value.name: value for value in (*graph.input, *graph.output)}
    kept = [node for node in graph.node if any(name in needed and name != source for name in node.output)]
    _replace(graph, "node", kept)
    _replace(graph, "initializer", [tensor for tensor in graph.initializer if tensor.name in needed])
    _replace(graph, "value_info", [])
    _replace(graph, "input", [ends[source]])
    _replace(graph, "output", [ends[target] for target in targets])
    part: bytes = whole.SerializeToString()
    return part


def _replace(message: Any, field: str, values: list[Any]) -> None:
    copies = [type(value).FromString(value.SerializeToString()) for value in values]
    message.ClearField(field)
    getattr(message, field).extend(copies)


def _message_classes() -> dict[str, Any]:
    field_type = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="andon/onnx_part.proto", package="andon.onnx", syntax="proto2")
    for name, fields in _FORMAT.items():
        message = file.message_type.add(name=name)
        for field, number, kind in fields:
            label = field_type.LABEL_OPTIONAL if field in _SINGLE else field_type.LABEL_REPEATED
            added = message.field.add(name=field, number=number, label=label)
            if kind == "string":
                added.type = field_type.TYPE_STRING
            else:
                added.type, added.type_name = field_type.TYPE_MESSAGE, f".andon.onnx.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"andon.onnx.{name}")) for name in _FORMAT}


_Model = _message_classes()["Model"]
