"""What a visitor of the gallery asks for, as the query of a page's address has it."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import cast
from urllib.parse import urlencode

from andon_monitor.common.times import rfc3339
from andon_monitor.formats.evidence_package import Kind
from andon_monitor.inspection.frames import parse_time
from andon_monitor.review.store.rows import LABELS, FrameQuery, Label

WITHOUT_LABEL = "none"  # instead of a label
MAX_LENGTH = 200  # characters of a filter


@dataclass(frozen=True, slots=True)
class Filters:
    """What a page of frames shows; an empty field filters nothing. `since` and `until` are ISO times.

    `part`: the part's id; `label`: one of `LABELS`, or `WITHOUT_LABEL`; `defect`: the kind that people named; `least`:
    score / threshold.
    """

    camera: str = ""
    part: str = ""
    product: str = ""
    since: str = ""
    until: str = ""
    label: str = ""
    defect: str = ""
    least: str = ""

    @classmethod
    def read(cls, query: Mapping[str, str]) -> "Filters":
        """From a page's query; values that make no sense are ignored."""
        filters = cls(**{name: query.get(name, "")[:MAX_LENGTH].strip() for name in cls.__slots__})
        valid = {
            "since": _seconds(filters.since) is not None,
            "until": _seconds(filters.until) is not None,
            "label": filters.label in (*LABELS, WITHOUT_LABEL),
            "least": parse_number(filters.least) is not None,
        }
        return replace(filters, **{name: "" for name, is_valid in valid.items() if not is_valid})

    def query(self, **more: object) -> str:
        """As the query of a link, with `?` and without empty fields."""
        fields = {name: value for name, value in {**asdict(self), **more}.items() if value not in ("", None)}
        return f"?{urlencode(fields)}" if fields else ""

    @property
    def any(self) -> bool:
        """Whether any filter is set."""
        return bool(self.query())

    def frames(self, kind: Kind) -> FrameQuery:
        """The query of the store for frames of a kind."""
        labels: tuple[Label | None, ...] = ()
        if self.label:
            labels = (None if self.label == WITHOUT_LABEL else cast(Label, self.label),)
        return FrameQuery(
            kind=kind,
            camera=self.camera or None,
            part=self.part or None,
            product=self.product or None,
            since=_seconds(self.since),
            until=_seconds(self.until),
            min_ratio=parse_number(self.least),
            labels=labels,
            defect_kind=self.defect or None,
        )


def to_minute(text: str) -> str:
    """An ISO time in UTC as the browser's time field takes it; "" if it is none."""
    seconds = _seconds(text)
    return "" if seconds is None else rfc3339(seconds)[:16]


def parse_number(text: str) -> float | None:
    """A finite number, None if it is none."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _seconds(text: str) -> float | None:
    try:
        return parse_time(text)
    except (ValueError, OverflowError):
        return None
