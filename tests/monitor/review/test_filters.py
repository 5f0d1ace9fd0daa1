"""What a page's address asks for becomes a query of the store; nonsense is ignored."""

import pytest
from andon_monitor.review.filters import Filters, parse_number, to_minute
from andon_monitor.review.store.rows import FrameQuery


@pytest.mark.parametrize(
    ("asked", "query"),
    [
        ({}, FrameQuery(kind="defect")),
        ({"camera": " left ", "defect": "dent"}, FrameQuery(kind="defect", camera="left", defect_kind="dent")),
        ({"since": "1970-01-01T00:00:07Z", "least": "1.5"}, FrameQuery(kind="defect", since=7.0, min_ratio=1.5)),
        ({"until": "1970-01-01T00:00:09Z"}, FrameQuery(kind="defect", until=9.0)),
        ({"label": "none"}, FrameQuery(kind="defect", labels=(None,))),
        ({"label": "false alarm"}, FrameQuery(kind="defect", labels=("false alarm",))),
        ({"label": "great", "since": "noon", "least": "nan", "unknown": "x"}, FrameQuery(kind="defect")),
    ],
)
def test_filters_become_a_query(asked: dict[str, str], query: FrameQuery) -> None:
    assert Filters.read(asked).frames("defect") == query


def test_links_keep_filters_and_leave_out_what_is_empty() -> None:
    filters = Filters.read({"camera": "left & right", "label": ""})
    assert filters.any
    assert filters.query() == "?camera=left+%26+right"
    assert filters.query(before="7.0_3") == "?camera=left+%26+right&before=7.0_3"
    assert not Filters().any
    assert Filters().query() == ""


@pytest.mark.parametrize(
    ("text", "number"), [("1.5", 1.5), ("-2", -2.0), ("", None), ("x", None), ("inf", None), ("nan", None)]
)
def test_numbers_are_finite(text: str, number: float | None) -> None:
    assert parse_number(text) == number


def test_times_are_shown_to_the_minute() -> None:
    assert to_minute("2026-01-05T15:01:40+09:00") == "2026-01-05T06:01"
    assert to_minute("noon") == ""
