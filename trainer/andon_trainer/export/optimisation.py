"""The exported graph with constants folded and operators merged, by those rules of the optimiser that apply to it.

All of its rules take a third of an export, most of that for one which compares each operator with all others.
"""

from typing import Any

import numpy as np
import onnx_ir as ir
import onnx_ir.passes.common as passes
from numpy.typing import NDArray
from onnx_ir import Model
from onnxscript.optimizer import fold_constants_ir, inline
from onnxscript.rewriter import rewrite
from onnxscript.rewriter.rules import common as rules

from andon_trainer.network.tensors import BYTE_STEPS

MIN_STORED_WEIGHTS = 4096  # fewer of them are not worth other operators
Floats = NDArray[np.float32]
PASSES = 2  # of the rules; the first makes room for more
RULES = (
    rules.mul_by_1_rule,
    rules.collapse_slice_rule,
    rules.collapse_slice2_rule,
    rules.materialize_reshape_shape_rule,
    rules.max_min_rule,
    rules.reshape_reshape_rule,
    rules.squeeze_reshape_1d_rule,
    rules.flatten_to_reshape_rule,
    rules.fuse_batchnorm_into_conv_rule,
    rules.remove_optional_bias_from_conv_rule,
)


def optimise(model: Model) -> None:
    """Optimise a graph in place: the same outputs from fewer operators."""
    inline(model)
    for _ in range(PASSES):
        fold_constants_ir(model, onnx_shape_inference=True)
        rewrite(model, RULES)
    passes.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
    passes.DeduplicateInitializersPass()(model)
    passes.CommonSubexpressionEliminationPass()(model)
    pad_while_pooling(model)
    passes.RemoveUnusedNodesPass()(model)
    store_exactly(model)
    passes.OutputFixPass()(model)
    passes.NameFixPass()(model)
    forget_source(model)


def forget_source(model: Model) -> None:
    """Remove what the exporter notes of the source code, with paths of this machine: a tenth of a model file."""
    model.metadata_props.clear()
    model.graph.metadata_props.clear()
    for value in (*model.graph.inputs, *model.graph.outputs, *model.graph.initializers.values()):
        value.metadata_props.clear()
    for node in model.graph:
        node.doc_string = None
        node.metadata_props.clear()
        for value in node.outputs:
            value.metadata_props.clear()


def pad_while_pooling(model: Model) -> None:
    """Let pooling of largest values add its own border, which another operator adds before it.

    onnxruntime keeps the maps of convolutions in an order of its own, and an operator in between costs it three copies.
    """
    for node in list(model.graph):
        pad = node.inputs[0].producer() if node.op_type == "MaxPool" and node.inputs[0] is not None else None
        sizes = constant(pad.inputs[1]) if pad is not None and pad.op_type == "Pad" else None
        own = node.attributes.get("pads")
        if pad is None or sizes is None or (own is not None and any(own.as_ints())):
            continue
        border, filling = sizes.reshape(2, -1), constant(pad.inputs[2]) if len(pad.inputs) > 2 else None
        if border.shape[1] == 4 and not border[:, :2].any() and filling is not None and np.isneginf(filling).all():
            node.attributes["pads"] = ir.AttrInt64s("pads", border[:, 2:].ravel().tolist())
            node.replace_input_with(0, pad.inputs[0])
            if not pad.outputs[0].uses():
                model.graph.remove(pad, safe=True)


def constant(value: ir.Value | None) -> NDArray[Any] | None:
    """A value of the graph, if it is a constant."""
    tensor = None if value is None else ir.convenience.get_const_tensor(value)
    return None if tensor is None else tensor.numpy()


def store_exactly(model: Model) -> None:
    """Store weights with fewer bits, as float16 or as rows of bytes, where they lose nothing by it.

    The trainer rounds them (`network.tensors`). Operators on constants make them float32 again, once, when a runtime
    loads the graph.
    """
    for name, value in list(model.graph.initializers.items()):
        tensor = value.const_value
        if tensor is None or tensor.dtype != ir.DataType.FLOAT or tensor.size < MIN_STORED_WEIGHTS:
            continue
        weights = tensor.numpy()
        smaller = as_half(weights) or as_bytes(weights)
        if smaller is None:
            continue
        constants = {}
        for part, array in smaller.items():
            constants[part] = ir.Value(name=f"{name}_{part}", const_value=ir.tensor(array, name=f"{name}_{part}"))
            constants[part].dtype, constants[part].shape = ir.DataType.from_numpy(array.dtype), ir.Shape(array.shape)
        stored, *scale = constants.values()
        nodes = [ir.node("Cast", inputs=[stored], attributes={"to": ir.DataType.FLOAT.value})]
        if scale:
            nodes.append(ir.node("Mul", inputs=[nodes[0].outputs[0], *scale]))
        for node in nodes:
            node.outputs[0].dtype, node.outputs[0].shape = ir.DataType.FLOAT, value.shape
        value.replace_all_uses_with(nodes[-1].outputs[0])
        model.graph.initializers.pop(name)
        for constant in constants.values():
            model.graph.register_initializer(constant)
        nodes[-1].outputs[0].name = name
        model.graph.insert_before(model.graph[0], nodes)


def as_half(weights: Floats) -> dict[str, NDArray[Any]] | None:
    """Weights as float16, if that is exact."""
    with np.errstate(over="ignore"):
        halved = weights.astype(np.float16)
    return {"half": halved} if np.array_equal(halved.astype(np.float32), weights) else None


def as_bytes(weights: Floats) -> dict[str, NDArray[Any]] | None:
    """Rows of weights or kernels [n, ...] as bytes and the scale of each, [n, 1] or [n, 1, 1, 1], if that is exact."""
    if weights.ndim < 2:
        return None
    scale = np.abs(weights).max(axis=tuple(range(1, weights.ndim)), keepdims=True) / np.float32(BYTE_STEPS)
    scale[scale == 0] = 1
    stored = np.round(weights / scale).astype(np.int8)
    return {"bytes": stored, "scale": scale} if np.array_equal(stored * scale, weights) else None
