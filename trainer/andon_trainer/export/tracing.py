"""A network as a program of operators for torch's ONNX exporter, which then need not trace it for a second time.

The exporter traces every program again to replace operators that it cannot translate. That takes two fifths of an
export, and our networks have few such operators, each of which means the same as one that it translates.
"""

import operator
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.export import Dim, ExportedProgram
from torch.fx import Graph, Node
from torch.fx.node import Argument

from andon_trainer.export.batch_size import NAME, TRACED_SIZE, free_batch_size

aten = torch.ops.aten


def trace(network: nn.Module, shapes: Mapping[str, Sequence[int]]) -> ExportedProgram:
    """The program of a network for batches of any size, from the shape [...] of each input uint8 [N, ...]."""
    with FakeTensorMode():  # tensors that have a shape and take no memory
        examples = tuple(torch.empty(TRACED_SIZE, *shape, dtype=torch.uint8) for shape in shapes.values())
    program = torch.export.export(network, examples, strict=False)
    free_batch_size(program)
    return program


def trace_symbolically(network: nn.Module, shapes: Mapping[str, Sequence[int]]) -> ExportedProgram:
    """The same by torch's own means, in twice the time; the exporter can trace the program again."""
    # Two frames, because the exporter treats a size of one as a constant, and one tensor for each input, because it
    # treats the same tensor as the same input.
    examples = tuple(torch.zeros(2, *shape, dtype=torch.uint8) for shape in shapes.values())
    axes = {name: {0: Dim(NAME)} for name in shapes}
    return torch.export.export(network, examples, dynamic_shapes=axes, strict=False)


def replace_operators(program: ExportedProgram) -> None:
    """Replace the operators that the exporter cannot translate, and keep it from tracing the program again.

    It says which one it cannot translate if the program has others.
    """
    graph = program.graph_module.graph
    for node in list(graph.nodes):
        replace = REPLACEMENTS.get(node.target)
        if replace is not None:
            with graph.inserting_before(node):
                same = replace(graph, node)
            if same is not node:
                node.replace_all_uses_with(same)
                graph.erase_node(node)
    program.graph_module.recompile()
    program.run_decompositions = lambda table: program


def _apply(graph: Graph, node: Node, target: Callable[..., object], *arguments: Argument, **options: Argument) -> Node:
    """A new node that stands for `node`."""
    new = graph.call_function(target, arguments, options)
    new.meta = dict(node.meta)
    return new


def _detach(graph: Graph, node: Node) -> Node:
    return _apply(graph, node, aten.detach.default, node.args[0])


def _relu(graph: Graph, node: Node) -> Node:
    changed = node.args[0]
    assert isinstance(changed, Node)
    if len(changed.users) > 1:  # something else may read what is changed in place
        return node
    return _apply(graph, node, aten.relu.default, changed)


def _square(graph: Graph, node: Node) -> Node:
    return _apply(graph, node, aten.pow.Tensor_Scalar, node.args[0], 2)


def _transpose(graph: Graph, node: Node) -> Node:
    axes = range(node.meta["val"].dim())
    return _apply(graph, node, aten.permute.default, node.args[0], list(reversed(axes)))


def _convert(graph: Graph, node: Node) -> Node:
    given = node.args[0]
    assert isinstance(given, Node)
    if given.meta["val"].dtype == node.meta["val"].dtype:  # to a device: all of the program is on one
        return given
    return _apply(graph, node, aten._to_copy.default, given, dtype=node.meta["val"].dtype)


def _normalise(graph: Graph, node: Node) -> Node:
    x, weight, bias, mean, variance, training, momentum, epsilon, _cudnn = node.args
    if training:
        return node
    arguments = (x, weight, bias, mean, variance, momentum, epsilon)
    results = _apply(graph, node, aten._native_batch_norm_legit_no_training.default, *arguments)
    results.meta["val"] = (node.meta["val"],) * 3
    return _apply(graph, node, operator.getitem, results, 0)


REPLACEMENTS: dict[object, Callable[[Graph, Node], Node]] = {
    aten.batch_norm.default: _normalise,
    aten.detach_.default: _detach,
    aten.numpy_T.default: _transpose,
    aten.relu_.default: _relu,
    aten.square.default: _square,
    aten.to.dtype: _convert,
    aten.to.dtype_layout: _convert,
}
