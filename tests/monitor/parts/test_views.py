"""What a view takes from a verdict, in this process and from a topic to which anybody may send."""

import json
from dataclasses import replace

import pytest
from andon_monitor.inspection.inspector import Inspector
from andon_monitor.inspection.part import Part
from andon_monitor.model.file import Model
from andon_monitor.parts.views import View, read_view

from tests.fixtures.part_views import make_view
from tests.fixtures.small_model import draw, encode, make_frame

PART = Part("4711", "cover", "A-17", "press-2", "top", 5, ())


def test_a_view_is_the_same_from_the_verdict_and_from_its_json(model: Model) -> None:
    inspector = Inspector(model)
    frames = [
        make_frame(encode(draw(1)), 1, part=PART),
        make_frame(encode(draw(1, defect=True)), 2, part=replace(PART, view=None)),
        make_frame(b"no image", 3, part=PART),
        make_frame(encode(draw(1)), 4, part=replace(PART, id=None)),
    ]
    verdicts = inspector.inspect([inspector.prepare(frame) for frame in frames])
    views = [View.of(verdict) for verdict in verdicts]
    assert [read_view(v.to_json().encode(), round(v.captured_at * 1000)) for v in verdicts] == views
    assert [view and view.name for view in views] == ["top", "station-1", "top", None]
    assert views[0] is not None
    assert views[0].rate == model.card.calibration.false_alarm_rate
    for view in views[:3]:
        assert view is not None
        assert View.from_state(view.part, json.loads(json.dumps(view.to_state()))) == view


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"verdict": "fine"}, "verdict 'fine'"),
        ({"id": "../../x"}, "id '../../x'"),
        ({"camera": 5}, "camera"),
        ({"captured_at": "yesterday"}, "isoformat"),
        ({"p_value": 2}, "p_value 2 is not a number"),
        ({"p_value": -0.5}, "p_value -0.5 is not a share"),
        ({"score": "1"}, "score '1' is not a number"),
        ({"score": True}, "score True is not a number"),
    ],
)
def test_what_is_not_a_verdict_is_refused_in_one_line(change: dict[str, object], said: str) -> None:
    good = make_view().to_dict() | {"part": {"id": "4711"}}
    assert read_view(json.dumps(good).encode(), 0) is not None
    with pytest.raises(ValueError, match=r".*") as refused:
        read_view(json.dumps(good | change).encode(), 0)
    assert said in str(refused.value)
    assert len(str(refused.value)) < 200


@pytest.mark.parametrize("value", [b"", b"\xff", b"[]", b"3", b"[" * 100_000, b'{"verdict": NaN}'])
def test_what_is_not_an_object_is_refused(value: bytes) -> None:
    with pytest.raises(ValueError, match=r".*"):
        read_view(value, 0)


def test_a_verdict_without_a_part_is_no_view_and_texts_are_bounded() -> None:
    good = make_view().to_dict()
    assert read_view(json.dumps(good).encode(), 0) is None
    assert read_view(json.dumps(good | {"part": {"view": "top"}}).encode(), 0) is None
    view = read_view(json.dumps(good | {"part": {"id": "x" * 10_000, "view": "y" * 10_000}}).encode(), -5)
    assert view is not None
    assert (len(view.part), len(view.name), view.time) == (200, 200, 0)
