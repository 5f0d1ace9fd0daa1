"""A program that was traced at one batch size, made into one for any batch size.

torch can trace with a symbol for the batch size. It then does algebra for the shape of every intermediate result, which
takes most of the time of an export. We trace at a number that no other size or constant of a network is a multiple of:
whatever is a multiple of it, in the program or in its graph, comes from the batch size.
"""

import operator

import onnx_ir as ir
import torch
from torch.export import ExportedProgram
from torch.fx import Node
from torch.fx.node import Argument, map_aggregate

TRACED_SIZE = 1_000_003  # a prime
NAME = "N"  # of the batch size in the graph

aten = torch.ops.aten


class BatchSizeError(Exception):
    """A graph computes with the batch size that it was traced at."""


def free_batch_size(program: ExportedProgram) -> None:
    """Make a program take the batch size from its first input wherever it has the traced one."""
    graph = program.graph_module.graph
    first = program.graph_signature.user_inputs[0]
    given = next(node for node in graph.nodes if node.op == "placeholder" and node.name == first)
    nodes = [node for node in graph.nodes if node.op == "call_function"]
    with graph.inserting_before(nodes[0]):
        size = graph.call_function(aten.sym_size.int, (given, 0))
    size.meta["val"] = TRACED_SIZE

    for node in nodes:

        def freed(argument: Argument, before: Node = node) -> Argument:
            if not isinstance(argument, int) or not _is_multiple(argument):
                return argument
            if argument == TRACED_SIZE:
                return size
            with graph.inserting_before(before):
                several = graph.call_function(operator.mul, (size, argument // TRACED_SIZE))
            several.meta["val"] = argument
            return several

        node.args, node.kwargs = map_aggregate(node.args, freed), map_aggregate(node.kwargs, freed)


def name_batch_size(model: ir.Model) -> None:
    """Give the batch size, traced as a number or a symbol, its name in the shapes of a graph."""
    first = model.graph.inputs[0].shape
    assert first is not None
    size = first[0]
    for value in (*model.graph.inputs, *(output for node in model.graph.all_nodes() for output in node.outputs)):
        if value.shape is None or value.shape.frozen:
            continue
        for axis, length in enumerate(tuple(value.shape)):
            if length == size:
                value.shape[axis] = NAME
            elif isinstance(length, int) and _is_multiple(length):
                value.shape[axis] = None


def check_batch_size(model: ir.Model) -> None:
    """Raises BatchSizeError where a graph, its constants lifted to initializers, has the traced batch size in them."""
    for name, value in model.graph.initializers.items():
        tensor = value.const_value
        if tensor is not None and tensor.dtype == ir.DataType.INT64:  # as all sizes are
            sizes = tensor.numpy()
            if ((sizes % TRACED_SIZE == 0) & (sizes != 0)).any():
                raise BatchSizeError(name)


def _is_multiple(size: int) -> bool:
    return size % TRACED_SIZE == 0 and size != 0
