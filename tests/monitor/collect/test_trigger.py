"""Frames that a trigger takes."""

import pytest
from andon_monitor.collect.selection import Selection
from andon_monitor.collect.trigger import parse_trigger
from andon_monitor.errors import UsageError
from andon_monitor.image_files.decoding import DEFAULT_LIMITS
from andon_monitor.inspection.part import Part

from tests.fixtures.small_model import draw, encode, make_frame


def taken(text: str, frames: list[object]) -> list[bool]:
    trigger = parse_trigger(text)
    return [trigger.takes(frame) for frame in frames]


def test_a_value_takes_every_frame_that_has_it() -> None:
    levels = [b"0", b"1", b"1", b"0"]
    frames = [make_frame(b"", i, headers=(("line", level),)) for i, level in enumerate(levels)]
    assert taken("line=1", frames) == [False, True, True, False]
    assert taken("other=1", frames) == [False] * 4
    events = [make_frame(b"", i, headers=(("ce_line", level),)) for i, level in enumerate(levels)]
    assert taken("line=1", events) == [False, True, True, False]


def test_a_name_takes_the_first_frame_of_each_new_value() -> None:
    parts = [None, "1", "1", "2", "2", None, "2"]
    frames = [make_frame(b"", i, part=None if one is None else Part(id=one)) for i, one in enumerate(parts)]
    assert taken("id", frames) == [False, True, False, True, False, False, True]


def test_what_is_not_triggered_is_counted() -> None:
    selection = Selection(DEFAULT_LIMITS, trigger=parse_trigger("line=1"))
    assert selection.judge(make_frame(encode(draw(1)), 0)) == "not triggered"
    assert selection.judge(make_frame(encode(draw(1)), 1, headers=(("line", b"1"),))) is None
    assert selection.counts["not triggered"] == 1


@pytest.mark.parametrize("text", ["", "=1"])
def test_a_trigger_without_a_name_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="should be NAME=VALUE or NAME"):
        parse_trigger(text)
