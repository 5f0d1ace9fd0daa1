import json
from dataclasses import replace

import pytest
from andon_monitor.inspection.frames import Latency, Position, Verdict, parse_time, rfc3339, verdict_id

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
