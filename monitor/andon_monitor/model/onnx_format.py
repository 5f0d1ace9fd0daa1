"""The fields of onnx.proto that Andon reads, without the onnx package, which the monitor lacks.

Declared by number; protobuf keeps all other fields as they are. As proto3, text that is not UTF-8 is an error.
"""

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_INTEGERS = "integers"  # repeated int64
# message: (field, number, type: string, bytes, int, integers, or one of these messages). Messages and strings are
# repeated except those of _SINGLE.
_FORMAT = {
    "Entry": (("key", 1, "string"), ("value", 2, "string")),
    "Named": (("name", 1, "string"),),
    "Tensor": (
        ("dims", 1, _INTEGERS),
        ("data_type", 2, "int"),
        ("name", 8, "string"),
        ("external_data", 13, "Entry"),
        ("data_location", 14, "int"),
    ),
    "Sparse": (("values", 1, "Tensor"),),
    "Attribute": (
        ("name", 1, "string"),
        ("t", 5, "Tensor"),
        ("g", 6, "Graph"),
        ("graphs", 11, "Graph"),
        ("type", 20, "int"),
        ("sparse_tensor", 22, "Sparse"),
    ),
    "Node": (
        ("input", 1, "string"),
        ("output", 2, "string"),
        ("op_type", 4, "string"),
        ("attribute", 5, "Attribute"),
        ("domain", 7, "string"),
    ),
    "Graph": (
        ("node", 1, "Node"),
        ("initializer", 5, "Tensor"),
        ("input", 11, "Named"),
        ("output", 12, "Named"),
        ("value_info", 13, "Named"),
        ("sparse_initializer", 15, "Sparse"),
    ),
    "Function": (("name", 1, "string"),),
    "OperatorSet": (("domain", 1, "string"), ("version", 2, "int")),
    "Model": (
        ("graph", 7, "Graph"),
        ("opset_import", 8, "OperatorSet"),
        ("metadata_props", 14, "Entry"),
        ("functions", 25, "Function"),
    ),
}
_SINGLE = {
    "key", "value", "name", "graph", "t", "g", "op_type", "domain", "values", "sparse_tensor", "type", "data_type",
    "data_location", "version",
}  # fmt: skip


def _message_classes() -> dict[str, Any]:
    field_type = descriptor_pb2.FieldDescriptorProto
    types = {"string": field_type.TYPE_STRING, "int": field_type.TYPE_INT64, _INTEGERS: field_type.TYPE_INT64}
    file = descriptor_pb2.FileDescriptorProto(name="andon/onnx_part.proto", package="andon.onnx", syntax="proto3")
    for name, fields in _FORMAT.items():
        message = file.message_type.add(name=name)
        for field, number, kind in fields:
            label = field_type.LABEL_OPTIONAL if field in _SINGLE else field_type.LABEL_REPEATED
            added = message.field.add(name=field, number=number, label=label)
            if kind in types:
                added.type = types[kind]
            else:
                added.type, added.type_name = field_type.TYPE_MESSAGE, f".andon.onnx.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"andon.onnx.{name}")) for name in _FORMAT}


ModelProto = _message_classes()["Model"]
