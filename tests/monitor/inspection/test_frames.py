import json
import math
from dataclasses import replace
from typing import Any

import pytest
from andon_monitor.common.times import rfc3339
from andon_monitor.inspection.frames import Frame, Latency, Position, Verdict, parse_time, verdict_id

PLACE = Position("cluster", "frames", 1, 42)
VERDICT = Verdict("id", "station-1", 1_767_592_800.5, "good", "m", "ab", 1.5, PLACE, score=1.0, p_value=0.25)


def test_a_verdict_is_one_line_of_json_with_its_keys_in_order() -> None:
    line = VERDICT.to_json()
    assert "\n" not in line
    assert json.loads(line) == {
        "id": "id",
        "camera": "station-1",
        "captured_at": "2026-01-05T06:00:00.500Z",
        "verdict": "good",
        "score": 1.0,
        "threshold": 1.5,
        "p_value": 0.25,
        "model": {"alias": "m", "sha256": "ab"},
        "frame": {"topic": "frames", "partition": 1, "offset": 42},
    }
    assert list(json.loads(line))[:4] == ["id", "camera", "captured_at", "verdict"]


def test_what_a_verdict_does_not_have_is_not_in_its_json() -> None:
    full = replace(VERDICT, latency=Latency(0.1, 0.2, 0.3), reason="empty", detail="0 bytes", file="a.png")
    fields = json.loads(full.to_json())
    assert fields["latency"] == {"queue_seconds": 0.1, "decode_seconds": 0.2, "inference_seconds": 0.3}
    assert fields["frame"]["file"] == "a.png"
    assert not {"latency", "reason", "detail"} & set(json.loads(VERDICT.to_json()))


@pytest.mark.parametrize("change", [{"cluster": "x"}, {"topic": "x"}, {"partition": 2}, {"offset": 43}])
def test_every_part_of_a_position_changes_the_id(change: dict[str, object]) -> None:
    assert verdict_id(replace(PLACE, **change), "ab") != verdict_id(PLACE, "ab")


def test_the_id_is_the_same_for_a_second_delivery_and_another_for_another_model() -> None:
    assert verdict_id(PLACE, "ab") == verdict_id(Position("cluster", "frames", 1, 42), "ab")
    assert verdict_id(PLACE, "ab") != verdict_id(PLACE, "cd")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2026-01-05T06:00:00.000Z", 1_767_592_800.0),
        ("2026-01-05T06:00:00.123Z", 1_767_592_800.123),
        ("2026-01-05T07:00:00+01:00", 1_767_592_800.0),
        ("2026-01-05T06:00:00", 1_767_592_800.0),
    ],
)
def test_times_are_read_as_utc_and_written_to_the_millisecond(text: str, seconds: float) -> None:
    assert parse_time(text) == seconds
    assert parse_time(rfc3339(seconds)) == seconds


ODD: list[Any] = [
    None, True, -1, 10**400, math.nan, math.inf, 1e300, "", "never", "10000-01-01T00:00:00Z", "1969-12-31T23:59:59Z",
    "0001-01-01T00:00:00+23:00", "9999-12-31T23:59:59-23:00", "\ud800", [], {}, [[]], b"x", ("a",), object(),
]  # fmt: skip


def made(**facts: Any) -> Frame:
    known: dict[str, Any] = {"data": b"x", "position": PLACE, "camera": "c", "captured_at": 1.0} | facts
    return Frame.of(**known)


@pytest.mark.parametrize("value", ODD)
@pytest.mark.parametrize("name", ["camera", "captured_at", "data", "label", "file", "key", "headers"])
def test_any_fact_makes_a_frame_whose_verdict_can_be_written(name: str, value: object) -> None:
    frame = made(**{name: value})
    assert frame.rejection is None or frame.rejection.reason == "malformed"
    text = [frame.camera, frame.label, frame.file, frame.rejection and frame.rejection.detail]
    json.dumps(text, ensure_ascii=False, allow_nan=False).encode()
    assert "\n" not in (frame.rejection.detail if frame.rejection else "")
    assert parse_time(rfc3339(frame.captured_at)) == pytest.approx(frame.captured_at)
    assert isinstance(frame.data, bytes)


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"captured_at": "never"}, "Invalid isoformat string: 'never'"),
        ({"captured_at": math.nan}, "captured_at nan is not a time between 1970 and 9999"),
        ({"captured_at": True}, "captured_at True is not a time"),
        ({"captured_at": [1]}, "captured_at of type list is not a time"),
        ({"captured_at": 253_402_300_800.0}, "captured_at 253402300800.0 is not a time"),
        ({"camera": 3}, "camera of type int is not a name"),
        ({"camera": ""}, "camera '' is not a name"),
        ({"headers": [("a", b"b")]}, "headers: not a list"),
        ({"headers": (("a", "b"),)}, "a header is not a name with bytes"),
        ({"headers": (("a", b"b"),) * 1001}, "headers: not a list, or more than 1000"),
    ],
)
def test_what_is_wrong_is_said(facts: dict[str, Any], said: str) -> None:
    rejection = made(**facts, default_camera="other", default_time=5.0).rejection
    assert rejection is not None
    assert rejection.reason == "malformed"
    assert said in rejection.detail


def test_times_are_numbers_or_texts() -> None:
    assert made(captured_at=7).captured_at == 7.0
    assert made(captured_at="1970-01-01T00:00:07+00:00").captured_at == 7.0


def test_long_names_are_cut_and_stay_apart() -> None:
    one, other = made(camera="x" * 1_000_000).camera, made(camera="x" * 1_000_001).camera
    assert len(one) == len(other) == 200
    assert one != other
    assert made(camera="x" * 1_000_000).camera == one
    assert made(camera="é" * 200).camera == "é" * 200
    assert len(made(file="f" * 5000).file or "") == 1000


def test_names_of_headers_are_mended_not_refused() -> None:
    frame = made(headers=(("\udcff", b"1"), ("é", b"2")))
    assert frame.rejection is None
    assert [name.encode() for name, _ in frame.headers][1] == "é".encode()


@pytest.mark.parametrize("value", [*ODD, 2**63, 1.0])
def test_a_position_has_whole_numbers_in_range(value: object) -> None:
    with pytest.raises(ValueError, match="is not a number from 0 to"):
        Position.of("c", "t", 0, value)
    assert Position.of("", "t" * 9000, 2**31 - 1, 2**63 - 1).topic != "t" * 9000


@pytest.mark.parametrize("text", ["10000-01-01T00:00:00Z", "0001-01-01T00:00:00+23:59", "1969-12-31T23:59:59Z", ""])
def test_times_outside_of_1970_to_9999_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"1970|isoformat"):
        parse_time(text)
