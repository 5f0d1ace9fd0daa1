"""A graph is looked at before onnxruntime loads it: nothing in it that the trainer never writes."""

from collections.abc import Callable

import onnx
import pytest
from andon_monitor.errors import ModelError
from andon_monitor.model import graph_check
from andon_monitor.model.file import Model
from andon_monitor.model.graph_check import OPERATORS, check_graph
from onnx import TensorProto, helper

from tests.fixtures.small_model import build_model, tell_kinds

CONTENT = build_model()
BRANCH = helper.make_graph(
    [helper.make_node("Identity", ["score"], ["same"])],
    "branch",
    [],
    [helper.make_tensor_value_info("same", TensorProto.FLOAT, ["N"])],
)


def add(operator: str, **attributes: object) -> Callable[[onnx.ModelProto], None]:
    return lambda model: model.graph.node.append(helper.make_node(operator, ["score"], ["other"], **attributes))


def in_domain(domain: str, operator: str) -> Callable[[onnx.ModelProto], None]:
    def edit(model: onnx.ModelProto) -> None:
        model.opset_import.append(helper.make_opsetid(domain, 1))
        model.graph.node.append(helper.make_node(operator, ["score"], ["other"], domain=domain))

    return edit


def external(model: onnx.ModelProto) -> None:
    tensor = model.graph.initializer[0]
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")


def external_attribute(model: onnx.ModelProto) -> None:
    tensor = helper.make_tensor("outside", TensorProto.FLOAT, [1], [1.0])
    tensor.external_data.add(key="location", value="../secret")
    model.graph.node.append(helper.make_node("Identity", ["score"], ["other"], value=tensor))


def defines_a_function(model: onnx.ModelProto) -> None:
    model.functions.append(
        helper.make_function("", "Mul", ["a"], ["b"], [helper.make_node("Neg", ["a"], ["b"])], model.opset_import)
    )


def twice_the_card(model: onnx.ModelProto) -> None:
    model.metadata_props.add(key="andon.card", value="{}")


def another_opset(model: onnx.ModelProto) -> None:
    model.opset_import[0].version = 9


def two_opsets(model: onnx.ModelProto) -> None:
    model.opset_import.append(helper.make_opsetid("ai.onnx", 19))


def no_opset(model: onnx.ModelProto) -> None:
    del model.opset_import[:]


def huge_tensor(model: onnx.ModelProto) -> None:
    model.graph.initializer.add(name="huge", data_type=1, dims=[2**40, 2**40])


def negative_tensor(model: onnx.ModelProto) -> None:
    model.graph.initializer.add(name="less", data_type=1, dims=[-1])


def sparse(model: onnx.ModelProto) -> None:
    values = helper.make_tensor("few", TensorProto.FLOAT, [1], [1.0])
    places = helper.make_tensor("places", TensorProto.INT64, [1], [2**40])
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, places, [2**41]))


def many_nodes(model: onnx.ModelProto) -> None:
    for i in range(graph_check.MAX_NODES):
        model.graph.node.append(helper.make_node("Identity", ["score"], [f"copy{i}"]))


def hidden_graph(model: onnx.ModelProto) -> None:
    """A sub-graph in an attribute that says it is a number."""
    add("Identity", body=BRANCH)(model)
    model.graph.node[-1].attribute[0].type = onnx.AttributeProto.INT


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (add("If", then_branch=BRANCH, else_branch=BRANCH), "the operator If"),
        (add("Loop", body=BRANCH), "the operator Loop"),
        (add("Scan", body=BRANCH, num_scan_inputs=1), "the operator Scan"),
        (add("SequenceMap", body=BRANCH), "the operator SequenceMap"),
        (add("RandomNormal", shape=[1]), "the operator RandomNormal"),
        (add("NonZero"), "the operator NonZero"),
        (add("StringConcat"), "the operator StringConcat"),
        (add("x" * 5000 + "\n"), r"the operator x+\.\.\."),
        (add("Identity", body=BRANCH), "Identity has body, no plain attribute"),
        (hidden_graph, "Identity has body, no plain attribute"),
        (in_domain("com.microsoft", "FusedMatMul"), "operators of com.microsoft"),
        (in_domain("evil", "Add"), "operators of evil"),
        (external, "lies in another file"),
        (external_attribute, "lies in another file"),
        (defines_a_function, "defines the function Mul"),
        (twice_the_card, "andon.card twice"),
        (another_opset, "opset 9 instead of 18 to 20"),
        (two_opsets, "2 sets of operators"),
        (no_opset, "0 sets of operators"),
        (huge_tensor, "tensor huge claims an impossible size"),
        (negative_tensor, "tensor less claims an impossible size"),
        (sparse, "sparse initialiser"),
        (many_nodes, "20008 nodes"),
    ],
)
def test_what_the_trainer_never_writes_is_refused_by_name(edit: Callable[[onnx.ModelProto], None], said: str) -> None:
    model = onnx.load_from_string(CONTENT)
    edit(model)
    content = model.SerializeToString()
    with pytest.raises(ModelError, match=said) as caught:
        Model.from_bytes(content, "part.onnx", "cpu")
    message = str(caught.value)
    assert message.startswith("part.onnx: ")
    assert message.isprintable()
    assert len(message) < 300


def test_a_larger_file_than_any_model_is_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph_check, "MAX_FILE_BYTES", 1000)
    with pytest.raises(ModelError, match="at most 1000"):
        check_graph(CONTENT, "part.onnx")


@pytest.mark.parametrize("content", [b"", b"\x3a\x00", b"\x00" * 100, b"\x3a\xff\xff\xff\xff\x0f", b"PK\x03\x04 zip"])
def test_what_is_no_graph_is_refused(content: bytes) -> None:
    with pytest.raises(ModelError, match="not a readable ONNX file"):
        check_graph(content, "part.onnx")


def test_the_outputs_and_the_metadata_are_those_that_onnx_finds() -> None:
    content = tell_kinds(CONTENT)
    model, found = onnx.load_from_string(content), check_graph(content, "part.onnx")
    assert found.outputs == tuple(output.name for output in model.graph.output)
    assert found.metadata == {entry.key: entry.value for entry in model.metadata_props}


def test_no_operator_has_a_graph_in_it_or_draws_at_random() -> None:
    kinds = onnx.defs.OpSchema.AttrType
    for operator in OPERATORS:
        schema = onnx.defs.get_schema(operator, 20)
        assert not {kinds.GRAPH, kinds.GRAPHS} & {attribute.type for attribute in schema.attributes.values()}
        assert "random" not in operator.lower()
