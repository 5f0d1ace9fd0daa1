"""What rules and templates know about a verdict: of a frame or of a part, or that there is none in time."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from andon_monitor.common.times import rfc3339
from andon_monitor.inspection.frames import NO_SHA256, Frame, Verdict, parse_time, verdict_id
from andon_monitor.inspection.part import Part, read_part

Box = tuple[float, float, float, float]  # left, top, width, height, in pixels
MAX_TEXT = 200  # characters of a text of a verdict in a topic; no contract has longer ones
MAX_REGIONS_READ = 100  # of one verdict in a topic; the monitor writes fewer


@dataclass(frozen=True, slots=True)
class Fact:
    """A verdict as actions see it. `outcome` is one of `ACTION_OUTCOMES`; `boxes` are None where it has no regions.

    `captured_at` is in seconds since 1970; of a part, that of its last view. `to_json` gives the verdict as one line of
    JSON.
    """

    id: str
    outcome: str
    camera: str
    captured_at: float
    to_json: Callable[[], str]
    part: Part | None = None
    kind: str | None = None
    reason: str | None = None
    score: float | None = None
    threshold: float | None = None
    p_value: float | None = None
    recipe: str | None = None
    model: str | None = None
    boxes: tuple[Box, ...] | None = None
    is_part: bool = False

    @property
    def product(self) -> str:
        """The product, an empty text where it is not known."""
        return "" if self.part is None or self.part.product is None else self.part.product

    @property
    def encoder(self) -> int | None:
        """The encoder's position at capture, in counts."""
        return None if self.part is None else self.part.encoder


def fact_of(verdict: Verdict) -> Fact:
    """The fact of a frame's verdict."""
    regions = verdict.regions
    return Fact(
        id=verdict.id,
        outcome=verdict.outcome,
        camera=verdict.camera,
        captured_at=verdict.captured_at,
        to_json=verdict.to_json,
        part=verdict.part,
        kind=verdict.kind,
        reason=verdict.reason,
        score=verdict.score,
        threshold=verdict.threshold,
        p_value=verdict.p_value,
        recipe=verdict.recipe,
        model=verdict.model,
        boxes=None if regions is None else tuple(region.box for region in regions.found),
    )


def late_fact(frame: Frame) -> Fact:
    """The fact that a frame has no verdict in time. Its id is no verdict's: it follows from the frame alone."""
    identity = verdict_id(frame.position, NO_SHA256)
    fields: dict[str, Any] = {
        "id": identity,
        "camera": frame.camera,
        "captured_at": rfc3339(frame.captured_at),
        "part": None if frame.part is None else frame.part.to_dict(),
        "verdict": "late",
        "frame": frame.position.to_dict(),
    }
    text = json.dumps({key: value for key, value in fields.items() if value is not None}, ensure_ascii=False)
    return Fact(identity, "late", frame.camera, frame.captured_at, lambda: text, part=frame.part)


def made_late(fact: Fact) -> Fact:
    """A verdict that came too late: whoever reads its JSON must not find it good there."""
    return replace(fact, outcome="late", to_json=lambda: _late_json(fact))


def _late_json(fact: Fact) -> str:
    fields = json.loads(fact.to_json())
    return json.dumps(fields | {"verdict": "late", "late_verdict": fields["verdict"]}, ensure_ascii=False)


def parse_fact(value: bytes) -> Fact:
    """The fact of a verdict in a topic, of a frame or of a part. Raises ValueError for what is none."""
    try:
        text = value.decode()
        fields = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("not JSON") from None
    if not isinstance(fields, dict):
        raise ValueError("not a JSON object")
    part, _ = read_part(fields.get("part"))
    kind, model = fields.get("kind"), fields.get("model")
    outcome = fields.get("verdict")
    if outcome not in ("good", "defect", "uninspectable", "incomplete"):
        raise ValueError(f"verdict {ascii(outcome)[:40]} is not known")
    time = fields.get("captured_at") or fields.get("ended_at")
    return Fact(
        id=_text("id", fields.get("id")),
        outcome=outcome,
        camera="" if fields.get("camera") is None else _text("camera", fields["camera"]),
        captured_at=parse_time(_text("captured_at", time)),
        to_json=lambda: text,
        part=part,
        kind=_optional(kind.get("name") if isinstance(kind, dict) else None),
        reason=_optional(fields.get("reason")),
        score=_number(fields.get("score")),
        threshold=_number(fields.get("threshold")),
        p_value=_number(fields.get("p_value")),
        recipe=_optional(fields.get("recipe")),
        model=_optional(model.get("alias") if isinstance(model, dict) else None),
        boxes=_boxes(fields.get("regions")),
        is_part="views" in fields,
    )


def _text(name: str, value: object) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= MAX_TEXT:
        raise ValueError(f"{name} {ascii(value)[:40]} is not a text of at most {MAX_TEXT} characters")
    return value


def _optional(value: object) -> str | None:
    return value[:MAX_TEXT] if isinstance(value, str) else None


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _boxes(value: object) -> tuple[Box, ...] | None:
    """The boxes of a verdict's regions; what is none makes the whole unknown, which a rule with a region takes."""
    if not isinstance(value, list):
        return None
    boxes: list[Box] = []
    for region in value[:MAX_REGIONS_READ]:
        box = region.get("box") if isinstance(region, dict) else None
        numbers = [_number(one) for one in box] if isinstance(box, list) else []
        if len(numbers) != 4 or None in numbers:
            return None
        boxes.append(tuple(numbers))  # type: ignore[arg-type]  # four numbers
    return tuple(boxes)
