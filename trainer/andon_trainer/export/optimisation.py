"""The exported graph with constants folded and operators merged, by those rules of the optimiser that apply to it.

All of its rules take a third of an export, most of that for one which compares each operator with all others.
"""

import numpy as np
import onnx_ir as ir
import onnx_ir.passes.common as passes
from onnx_ir import Model
from onnxscript.optimizer import fold_constants_ir, inline
from onnxscript.rewriter import rewrite
from onnxscript.rewriter.rules import common as rules

MIN_HALVED_WEIGHTS = 4096  # fewer of them are not worth another operator
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
    store_in_half_precision(model)
    passes.OutputFixPass()(model)
    passes.NameFixPass()(model)


def store_in_half_precision(model: Model) -> None:
    """Store those weights as float16 that lose nothing by it, as the encoder's: it comes in that precision.

    A Cast makes them float32 again, once, when a runtime loads the graph.
    """
    for name, value in list(model.graph.initializers.items()):
        tensor = value.const_value
        if tensor is None or tensor.dtype != ir.DataType.FLOAT or tensor.size < MIN_HALVED_WEIGHTS:
            continue
        weights = tensor.numpy()
        with np.errstate(over="ignore"):
            halved = weights.astype(np.float16)
        if not np.array_equal(halved.astype(np.float32), weights):
            continue
        stored = ir.Value(name=f"{name}_half", const_value=ir.tensor(halved, name=f"{name}_half"))
        stored.dtype, stored.shape = ir.DataType.FLOAT16, value.shape
        cast = ir.node("Cast", inputs=[stored], attributes={"to": ir.DataType.FLOAT.value})
        cast.outputs[0].dtype, cast.outputs[0].shape = ir.DataType.FLOAT, value.shape
        value.replace_all_uses_with(cast.outputs[0])
        model.graph.initializers.pop(name)
        model.graph.register_initializer(stored)
        cast.outputs[0].name = name
        model.graph.insert_before(model.graph[0], cast)
