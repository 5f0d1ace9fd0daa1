"""Extracts the part of an ONNX graph between two of its tensors, without the onnx package, which the monitor lacks."""

from typing import Any

from andon_monitor.model.onnx_format import ModelProto


def extract(model: bytes, source: str, *targets: str) -> bytes:
    """The graph from tensor `source`, an input or output of `model`, to `targets`, outputs of it.

    Raises ValueError if they depend on more than `source` and constants.
    """
    whole = ModelProto.FromString(model)
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
