"""One view of a part: what its verdict says that the part's verdict needs."""

import json
import math
from dataclasses import dataclass
from typing import Any

from andon_monitor.common.times import rfc3339
from andon_monitor.inspection.frames import MAX_NAME, OUTCOMES, Outcome, Verdict, valid_text, valid_time
from andon_monitor.inspection.part import Part, read_part

HEX_ID = frozenset("0123456789abcdef")
ID_DIGITS = 32
MAX_VALUE = 1e300  # of a score or threshold; JSON has no larger ones that every reader takes


@dataclass(frozen=True, slots=True)
class View:
    """One inspected frame of a part.

    `name` tells the views of a part apart: the part's `view`, without one the camera. `time` is the event time in
    milliseconds since 1970, by which views are joined: the capture time, unless that lies in the future. `rate` is the
    share of good parts that the view's threshold flags.
    """

    part: str
    name: str
    time: int
    id: str  # of the verdict
    camera: str
    captured_at: float
    outcome: Outcome
    reason: str | None = None
    score: float | None = None
    threshold: float | None = None
    p_value: float | None = None
    rate: float | None = None
    product: str | None = None
    order: str | None = None
    model: str | None = None

    @classmethod
    def of(cls, verdict: Verdict) -> "View | None":
        """The view of a verdict in this process, None where it names no part."""
        return _view(
            verdict.part,
            round(verdict.captured_at * 1000),
            id=verdict.id,
            camera=verdict.camera,
            captured_at=verdict.captured_at,
            outcome=verdict.outcome,
            reason=verdict.reason,
            score=verdict.score,
            threshold=verdict.threshold,
            p_value=verdict.p_value,
            rate=verdict.false_alarm_rate,
            model=verdict.model,
        )

    @property
    def rank(self) -> tuple[int, str]:
        """The order of a part's views: by time, then by id."""
        return self.time, self.id

    def to_dict(self) -> dict[str, Any]:
        """As in a part's verdict; `from_dict` restores it with what else it needs."""
        fields = {
            "view": self.name,
            "camera": self.camera,
            "verdict": self.outcome,
            "reason": self.reason,
            "captured_at": rfc3339(self.captured_at),
            "score": self.score,
            "threshold": self.threshold,
            "p_value": self.p_value,
            "false_alarm_rate": self.rate,
            "model": self.model,
            "id": self.id,
        }
        return {name: value for name, value in fields.items() if value is not None}

    def to_state(self) -> dict[str, Any]:
        """As in the state of a partition."""
        fields: dict[str, Any] = {"time": self.time, "product": self.product, "order": self.order}
        return self.to_dict() | {name: value for name, value in fields.items() if value is not None}

    @classmethod
    def from_state(cls, part: str, fields: dict[str, Any]) -> "View":
        """The reverse of `to_state`."""
        return cls(
            part=part,
            name=fields["view"],
            time=fields["time"],
            id=fields["id"],
            camera=fields["camera"],
            captured_at=valid_time("captured_at", fields["captured_at"]),
            outcome=fields["verdict"],
            reason=fields.get("reason"),
            score=fields.get("score"),
            threshold=fields.get("threshold"),
            p_value=fields.get("p_value"),
            rate=fields.get("false_alarm_rate"),
            product=fields.get("product"),
            order=fields.get("order"),
            model=fields.get("model"),
        )


def read_view(value: bytes, time: int) -> View | None:
    """The view in a record of the topic of verdicts, None where it names no part. Raises ValueError.

    `time`: the record's timestamp, in milliseconds since 1970. Anybody may have sent the record.
    """
    try:
        fields = json.loads(value)
    except RecursionError:
        raise ValueError("lists within lists too deep to read") from None
    if not isinstance(fields, dict):
        raise ValueError("not a verdict: no object")
    outcome, verdict_id = fields.get("verdict"), fields.get("id")
    if outcome not in OUTCOMES:
        raise ValueError(f"not a verdict: verdict {ascii(outcome)[:60]}")
    if not isinstance(verdict_id, str) or len(verdict_id) != ID_DIGITS or not HEX_ID.issuperset(verdict_id):
        raise ValueError(f"not a verdict: id {ascii(verdict_id)[:60]}")
    part = fields.get("part")
    model = fields.get("model")
    alias = model.get("alias") if isinstance(model, dict) else None
    reason = fields.get("reason")
    return _view(
        read_part(part)[0] if isinstance(part, dict) else None,
        max(0, time),
        id=verdict_id,
        camera=valid_text("camera", fields.get("camera"), MAX_NAME),
        captured_at=valid_time("captured_at", fields.get("captured_at")),
        outcome=outcome,
        reason=None if reason is None else valid_text("reason", reason, MAX_NAME),
        score=_number("score", fields.get("score"), MAX_VALUE),
        threshold=_number("threshold", fields.get("threshold"), MAX_VALUE),
        p_value=_share("p_value", fields.get("p_value")),
        rate=_share("false_alarm_rate", fields.get("false_alarm_rate")),
        model=None if alias is None else valid_text("model", alias, MAX_NAME),
    )


def _view(part: Part | None, time: int, camera: str, **fields: Any) -> View | None:
    if part is None or part.id is None:
        return None
    return View(
        part=part.id,
        name=part.view or camera,
        time=time,
        camera=camera,
        product=part.product,
        order=part.order,
        **fields,
    )


def _number(name: str, value: object, limit: float) -> float | None:
    if value is None:
        return None
    if not isinstance(value, int | float) or isinstance(value, bool) or not abs(value) <= limit:
        raise ValueError(f"{name} {ascii(value)[:60]} is not a number")
    return float(value)


def _share(name: str, value: object) -> float | None:
    number = _number(name, value, 1.0)
    if number is not None and not (number >= 0 and math.isfinite(number)):
        raise ValueError(f"{name} {number:g} is not a share")
    return number
