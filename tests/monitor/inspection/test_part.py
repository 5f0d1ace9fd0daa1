"""What anybody may say about a part becomes a part that can be written, shown and kept."""

import json
from typing import Any

import pytest
from andon_monitor.inspection.part import CUTS, MAX_OTHER, MAX_VALUE, Part, read_part

FULL = Part("4711", "cover", "A-17", "press-2", "top", -123456, (("batch", "7"), ("shift", "night")))


def test_known_names_have_fields_and_others_stay_as_they_are() -> None:
    sent = {"shift": "night", "part": b"4711", "product": "cover", "order": "A-17", "station": "press-2", "view": "top",
            "encoder": "-123456", "batch": 7, "empty": "", "none": None}  # fmt: skip
    assert read_part(sent) == (FULL, ())
    assert read_part("4711") == (Part("4711"), ())
    assert read_part({}) == read_part(None) == (None, ())


def test_a_part_is_read_from_its_json_and_from_its_attributes() -> None:
    assert FULL.to_dict() == {"id": "4711", "product": "cover", "order": "A-17", "station": "press-2", "view": "top",
                              "encoder": -123456, "batch": "7", "shift": "night"}  # fmt: skip
    assert read_part(FULL.to_dict()) == read_part(FULL.attributes()) == (FULL, ())


@pytest.mark.parametrize(
    ("sent", "cut"),
    [
        ({"part": "x" * 10_000}, "length"),
        ({"part": b"x" * 10_000_000}, "length"),
        ({"part": "a\nb"}, "characters"),
        ({"part": "\x1b[2J"}, "characters"),
        ({"part": "\u202e4711"}, "characters"),
        ({"part": "47\u200b11"}, "characters"),
        ({"part": "\ud800"}, "characters"),
        ({"part": b"\xff\xfe"}, "characters"),
        ({"part": ["4711"]}, "value"),
        ({"part": 10**5000}, "value"),
        ({"encoder": "9" * 10_000}, "value"),
        ({"encoder": 2**63}, "value"),
        ({"encoder": "12.5"}, "value"),
        ({"encoder": "\u0661"}, "value"),
        ({"Batch": "7"}, "name"),
        ({"x" * 21: "7"}, "name"),
        ({"time": "7"}, "name"),
        ({"\ud800": "7"}, "name"),
        ({3: "7"}, "name"),
        ({f"n{i}": "7" for i in range(MAX_OTHER + 1)}, "count"),
        (b"4711", "value"),
        ([["part", "4711"]], "value"),
    ],
)
def test_what_is_cut_is_said_and_the_rest_can_be_written(sent: Any, cut: str) -> None:
    part, cuts = read_part(sent)
    assert cuts == (cut,)
    assert cut in CUTS
    text = json.dumps(part and part.to_dict(), ensure_ascii=False)
    text.encode()
    assert text.isprintable()
    assert len(text) < 2 * MAX_VALUE or len(part.other if part else ()) == MAX_OTHER
    assert read_part(part and part.to_dict()) == (part, ())


def test_two_texts_stay_two_when_they_are_cut() -> None:
    sent = ["x" * 300, "x" * 301, "a\x01", "a\x02", b"a\xfe", b"a\xff"]
    assert len({read_part({"part": text})[0] for text in sent}) == len(sent)


def test_a_thousand_names_are_a_thousand_counts_at_most() -> None:
    part, cuts = read_part({f"n{i}": "x" * 10_000 for i in range(1000)})
    assert part is not None
    assert len(part.other) == MAX_OTHER
    assert (cuts.count("length"), cuts.count("count")) == (MAX_OTHER, 1000 - MAX_OTHER)
