"""The exported graph with constants folded and operators merged, by those rules of the optimiser that apply to it.

All of its rules take a third of an export, most of that for one which compares each operator with all others.
"""

import onnx_ir.passes.common as passes
from onnx_ir import Model
from onnxscript.optimizer import fold_constants_ir, inline
from onnxscript.rewriter import rewrite
from onnxscript.rewriter.rules import common as rules

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
    passes.OutputFixPass()(model)
    passes.NameFixPass()(model)
