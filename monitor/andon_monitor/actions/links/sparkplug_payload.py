"""Payloads of Sparkplug B 3.0: metrics with a name, a type, a time and a value, as Protocol Buffers.

The message types are built here, with the field numbers of the specification, so that no generated code is needed.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

PACKAGE = "andon.sparkplug"


class DataType(IntEnum):
    """Types of metrics that are used here, by their numbers in the specification."""

    INT64 = 4
    DOUBLE = 10
    BOOLEAN = 11
    STRING = 12
    DATE_TIME = 13  # milliseconds since 1970


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric. `value` None: not known. `time` in milliseconds since 1970."""

    name: str
    type: DataType
    value: int | float | bool | str | None
    time: int


# The field of the message that holds a value of each type.
_VALUE_FIELDS = {
    DataType.INT64: "long_value",
    DataType.DOUBLE: "double_value",
    DataType.BOOLEAN: "boolean_value",
    DataType.STRING: "string_value",
    DataType.DATE_TIME: "long_value",
}
_UINT32, _UINT64 = FieldDescriptorProto.TYPE_UINT32, FieldDescriptorProto.TYPE_UINT64
_BOOL, _STRING, _BYTES = (
    FieldDescriptorProto.TYPE_BOOL,
    FieldDescriptorProto.TYPE_STRING,
    FieldDescriptorProto.TYPE_BYTES,
)
_FLOAT, _DOUBLE = FieldDescriptorProto.TYPE_FLOAT, FieldDescriptorProto.TYPE_DOUBLE
_METRIC_FIELDS = {
    "name": (1, _STRING),
    "alias": (2, _UINT64),
    "timestamp": (3, _UINT64),
    "datatype": (4, _UINT32),
    "is_historical": (5, _BOOL),
    "is_transient": (6, _BOOL),
    "is_null": (7, _BOOL),
}
_METRIC_VALUES = {
    "int_value": (10, _UINT32),
    "long_value": (11, _UINT64),
    "float_value": (12, _FLOAT),
    "double_value": (13, _DOUBLE),
    "boolean_value": (14, _BOOL),
    "string_value": (15, _STRING),
    "bytes_value": (16, _BYTES),
}
_PAYLOAD_FIELDS = {"timestamp": (1, _UINT64), "seq": (3, _UINT64), "uuid": (4, _STRING), "body": (5, _BYTES)}


def encode(metrics: Iterable[Metric], time: int, sequence: int | None) -> bytes:
    """A payload of the time `time`, in milliseconds since 1970; a last will has no sequence number."""
    payload = _Payload(timestamp=time)
    if sequence is not None:
        payload.seq = sequence
    for metric in metrics:
        added = payload.metrics.add(name=metric.name, timestamp=metric.time, datatype=int(metric.type))
        if metric.value is None:
            added.is_null = True
        else:
            value = metric.value % 2**64 if metric.type is DataType.INT64 else metric.value  # two's complement
            setattr(added, _VALUE_FIELDS[metric.type], value)
    return payload.SerializeToString()


def is_true(payload: bytes, name: str) -> bool:
    """Whether a payload has a Boolean metric of this name that is true. Raises ValueError for what is no payload."""
    try:
        decoded = _Payload.FromString(payload)
    except DecodeError:
        raise ValueError("not a Sparkplug payload") from None
    return any(metric.name == name and metric.boolean_value for metric in decoded.metrics)


def _add_fields(message: DescriptorProto, fields: dict[str, tuple[int, Any]], one_of: int | None = None) -> None:
    for name, (number, kind) in fields.items():
        field = message.field.add(name=name, number=number, type=kind, label=FieldDescriptorProto.LABEL_OPTIONAL)
        if one_of is not None:
            field.oneof_index = one_of


def _make_payload_class() -> Any:
    file = FileDescriptorProto(name="sparkplug.proto", package=PACKAGE, syntax="proto2")
    metric = file.message_type.add(name="Metric")
    _add_fields(metric, _METRIC_FIELDS)
    metric.oneof_decl.add(name="value")
    _add_fields(metric, _METRIC_VALUES, one_of=0)
    payload = file.message_type.add(name="Payload")
    _add_fields(payload, _PAYLOAD_FIELDS)
    payload.field.add(
        name="metrics",
        number=2,
        type=FieldDescriptorProto.TYPE_MESSAGE,
        type_name=f".{PACKAGE}.Metric",
        label=FieldDescriptorProto.LABEL_REPEATED,
    )
    pool = DescriptorPool()
    pool.Add(file)
    return GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.Payload"))


_Payload: Any = _make_payload_class()
