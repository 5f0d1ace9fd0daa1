"""What a model file may contain, checked before onnxruntime reads it: only what `andon-trainer` writes.

A file may come from a stranger. Its graph must end on every frame and do nothing but arithmetic.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import DecodeError

from andon_monitor.common.text import shown
from andon_monitor.errors import ModelError
from andon_monitor.model.onnx_format import ModelProto

# The operators of the graphs that the trainer exports (conv-dense and dense networks, registration, patch memory,
# classifiers of kinds), and what the exporter of another version of torch may write instead of them: plain arithmetic.
# None of them loops, branches, calls, draws random numbers or reads files.
OPERATORS = frozenset({
    "Abs", "Add", "And", "ArgMax", "ArgMin", "AveragePool", "BatchNormalization", "Cast", "Ceil", "Clip", "Concat",
    "Constant", "ConstantOfShape", "Conv", "ConvTranspose", "DepthToSpace", "Div", "Equal", "Erf", "Exp", "Expand",
    "Flatten", "Floor", "Gather", "GatherElements", "GatherND", "Gemm", "GlobalAveragePool", "Greater",
    "GreaterOrEqual", "GridSample", "Identity", "InstanceNormalization", "LayerNormalization", "LeakyRelu", "Less",
    "LessOrEqual", "Log", "LogSoftmax", "MatMul", "Max", "MaxPool", "Min", "Mul", "Neg", "Not", "Or", "Pad", "Pow",
    "Range", "Reciprocal", "ReduceL2", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceSum", "ReduceSumSquare", "Relu",
    "Reshape", "Resize", "Round", "Shape", "Sigmoid", "Slice", "Softmax", "Split", "Sqrt", "Squeeze", "Sub", "Tanh",
    "Tile", "TopK", "Transpose", "Unsqueeze", "Where",
})  # fmt: skip
OPSETS = range(18, 21)  # versions of the operators; the trainer writes 20
MAX_FILE_BYTES = 512 * 2**20  # a usual export has 4 MB
# A usual export has 1,200 nodes and 140 initialisers.
MAX_NODES = 20_000
MAX_INITIALIZERS = 10_000
MAX_ELEMENTS = MAX_FILE_BYTES  # of one tensor: it has at least a byte for each
MAX_RANK = 8
DOMAINS = ("", "ai.onnx")  # two names of the standard operators' domain
# Attribute types of onnx.proto that hold numbers, text or a tensor. The others hold graphs, types or sparse tensors.
_PLAIN_TYPES = {1, 2, 3, 4, 6, 7, 8}  # FLOAT, INT, STRING, TENSOR, FLOATS, INTS, STRINGS


@dataclass(frozen=True)
class GraphFile:
    """A checked graph's outputs, and the file's metadata."""

    outputs: tuple[str, ...]
    metadata: dict[str, str]


def check_graph(content: bytes, path: str) -> GraphFile:
    """Read a model file's graph; `path` names it in errors.

    Raises ModelError: not ONNX, too large, another opset, or anything in it that `andon-trainer` never writes.
    """
    if len(content) > MAX_FILE_BYTES:
        raise ModelError(f"{path}: {len(content)} bytes; a model file has at most {MAX_FILE_BYTES}")
    try:
        file = ModelProto.FromString(content)
    except (DecodeError, ValueError) as error:
        raise ModelError(f"{path}: not a readable ONNX file ({shown(str(error))})") from None
    if not file.graph.node:
        raise ModelError(f"{path}: not a readable ONNX file (no graph in it)")
    fault = next(_faults(file), None)
    if fault is not None:
        raise ModelError(f"{path}: {fault}, which andon-trainer never writes; export the model again")
    return GraphFile(
        tuple(output.name for output in file.graph.output),
        {entry.key: entry.value for entry in file.metadata_props},
    )


def _faults(file: Any) -> Iterator[str]:
    graph = file.graph
    if len(graph.node) > MAX_NODES or len(graph.initializer) > MAX_INITIALIZERS:
        yield f"its graph has {len(graph.node)} nodes and {len(graph.initializer)} initialisers"
    if file.functions:
        yield f"its graph defines the function {shown(file.functions[0].name)}"
    domains = [entry.domain for entry in file.opset_import]
    for entry in file.opset_import:
        if entry.domain not in DOMAINS:
            yield f"its graph uses operators of {shown(entry.domain)}"
        elif entry.version not in OPSETS:
            yield f"its graph has opset {entry.version} instead of {OPSETS.start} to {OPSETS.stop - 1}"
    if len(domains) != 1:
        yield f"its graph names {len(domains)} sets of operators"
    keys = Counter(entry.key for entry in file.metadata_props)
    if doubled := [key for key, count in keys.items() if count > 1]:
        yield f"its metadata has {shown(doubled[0])} twice"
    if graph.sparse_initializer:
        yield "its graph has a sparse initialiser"
    for tensor in graph.initializer:
        yield from _tensor_faults(tensor)
    for node in graph.node:
        yield from _node_faults(node)


def _node_faults(node: Any) -> Iterator[str]:
    if node.domain not in DOMAINS:
        yield f"its graph has the operator {shown(node.op_type)} of {shown(node.domain)}"
    if node.op_type not in OPERATORS:
        yield f"its graph has the operator {shown(node.op_type)}"
    for attribute in node.attribute:
        graphs = attribute.HasField("g") or attribute.graphs or attribute.HasField("sparse_tensor")
        if graphs or attribute.type not in _PLAIN_TYPES:
            yield f"{shown(node.op_type)} has {shown(attribute.name)}, no plain attribute"
        if attribute.HasField("t"):
            yield from _tensor_faults(attribute.t)


def _tensor_faults(tensor: Any) -> Iterator[str]:
    if tensor.external_data or tensor.data_location:
        yield f"its tensor {shown(tensor.name)} lies in another file"
    elements = 1
    for length in tensor.dims:
        elements *= max(1, length)
        if length < 0 or elements > MAX_ELEMENTS:
            yield f"its tensor {shown(tensor.name)} claims an impossible size"
            return
    if len(tensor.dims) > MAX_RANK:
        yield f"its tensor {shown(tensor.name)} has {len(tensor.dims)} dimensions"
