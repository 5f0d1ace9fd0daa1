"""Arithmetic: how much a model does for a frame, and how much this machine could do."""

import time
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from andon_monitor.common.cores import available_cores
from onnx import TensorProto, helper, shape_inference

SIDE = 2048  # of the matrices: 3 x 16 MB, far more arithmetic than memory traffic
PRODUCTS = 8


def flops_of(path: Path) -> float:
    """Floating-point operations of one frame's score: two for each multiplication in a convolution or a product.

    What else the graph does (normalisation, activations, resizing) is less than a hundredth of it and is left out.
    """
    graph = shape_inference.infer_shapes(onnx.load(path)).graph
    shapes = {tensor.name: list(tensor.dims) for tensor in graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        shapes[value.name] = [size.dim_value or 1 for size in value.type.tensor_type.shape.dim]  # N is one frame
    total = 0
    for node in graph.node:
        if node.op_type in ("Conv", "Gemm", "MatMul"):
            total += 2 * int(np.prod(shapes[node.output[0]])) * _terms(node, shapes)
    return float(total)


def _terms(node: onnx.NodeProto, shapes: dict[str, list[int]]) -> int:
    """How many products are summed for one number of the output."""
    first, second = (shapes[name] for name in node.input[:2])
    if node.op_type == "Conv":
        return int(np.prod(second[1:]))
    transposed = any(attribute.name == "transA" and attribute.i for attribute in node.attribute)
    return first[-2 if transposed else -1]


def peak_flops() -> float:
    """Floating-point operations a second of a float32 matrix product in onnxruntime on all cores."""
    shape = [SIDE, SIDE]
    a, b, c = (helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in "abc")
    graph = helper.make_graph([helper.make_node("MatMul", ["a", "b"], ["c"])], "product", [a, b], [c])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = available_cores()
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    matrix = np.random.default_rng(0).random(shape, np.float32)
    feed = {"a": matrix, "b": matrix}
    session.run(None, feed)
    started = time.monotonic()
    for _ in range(PRODUCTS):
        session.run(None, feed)
    return PRODUCTS * 2 * SIDE**3 / (time.monotonic() - started)
