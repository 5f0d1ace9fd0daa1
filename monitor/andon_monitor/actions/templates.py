"""Texts with fields of a verdict, such as `line/$camera/verdict`; checked before the first frame."""

import json
import re
from collections.abc import Callable
from string import Template

from andon_monitor.actions.facts import Fact
from andon_monitor.common.times import rfc3339
from andon_monitor.errors import UsageError


def _shown(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def _of_part(name: str) -> Callable[[Fact], str]:
    return lambda fact: "" if fact.part is None else str(getattr(fact.part, name) or "")


FIELDS: dict[str, Callable[[Fact], str]] = {
    "id": lambda fact: fact.id,
    "verdict": lambda fact: fact.outcome,
    "camera": lambda fact: fact.camera,
    "captured_at": lambda fact: rfc3339(fact.captured_at),
    "part": _of_part("id"),
    "product": lambda fact: fact.product,
    "order": _of_part("order"),
    "station": _of_part("station"),
    "view": _of_part("view"),
    "encoder": lambda fact: "" if fact.encoder is None else str(fact.encoder),
    "kind": lambda fact: fact.kind or "",
    "reason": lambda fact: fact.reason or "",
    "score": lambda fact: _shown(fact.score),
    "threshold": lambda fact: _shown(fact.threshold),
    "p_value": lambda fact: _shown(fact.p_value),
    "recipe": lambda fact: fact.recipe or "",
    "model": lambda fact: fact.model or "",
}
JSON = "json"  # the whole verdict
REJECT_AT = "reject_at"  # the encoder's position at which to act: that of the frame and after_counts

Escape = Callable[[str], str]

_TOPIC_FORBIDDEN = re.compile(r"[$+#/\x00-\x1f\x7f]")
_NODE_FORBIDDEN = re.compile(r"[;=\"'.\[\]\x00-\x1f\x7f]")


def topic_level(text: str) -> str:
    """A value as one level of an MQTT topic: wildcards, separators and $ would make another topic of it."""
    return _TOPIC_FORBIDDEN.sub("_", text) or "_"


def node_name(text: str) -> str:
    """A value as one name of an OPC UA node: separators and quotes would make another node of it."""
    return _NODE_FORBIDDEN.sub("_", text)


def within_json(text: str) -> str:
    """A value within the quotes of a JSON text."""
    return json.dumps(text, ensure_ascii=False)[1:-1]


class TextTemplate:
    """A text with fields: `$camera`, or `${camera}` where letters follow; `$$` is a dollar sign.

    `escape` is applied to every value but `$json`. `counts` is after_counts, for `$reject_at`. `what` names it in
    errors. Raises UsageError for a field that is not known.
    """

    def __init__(self, text: str, what: str, escape: Escape = str, counts: int | None = None) -> None:
        self._template = Template(text)
        self._escape = escape
        self._counts = counts
        if not self._template.is_valid():
            raise UsageError(f"{what}: {text[:80]!r} has a $ without a field; write $$ for a dollar sign")
        self._names = tuple(dict.fromkeys(self._template.get_identifiers()))
        for name in self._names:
            if name not in (*FIELDS, JSON, REJECT_AT):
                raise UsageError(f"{what}: ${name}: unknown field; known are ${', $'.join((*FIELDS, JSON, REJECT_AT))}")
        if REJECT_AT in self._names and counts is None:
            raise UsageError(f"{what}: ${REJECT_AT} needs after_counts")
        self.constant = None if self._names else self._template.substitute()

    def render(self, fact: Fact) -> str:
        """The text for a verdict."""
        if self.constant is not None:
            return self.constant
        return self._template.substitute({name: self._value(name, fact) for name in self._names})

    def _value(self, name: str, fact: Fact) -> str:
        if name == JSON:
            return fact.to_json()
        if name == REJECT_AT:
            assert self._counts is not None
            return "" if fact.encoder is None else str(fact.encoder + self._counts)
        return self._escape(FIELDS[name](fact))


EXAMPLE = Fact(
    id="0" * 32,
    outcome="defect",
    camera="station-1",
    captured_at=0.0,
    to_json=lambda: "{}",
    kind='a "kind"',
    score=1.0,
    threshold=1.0,
    p_value=0.5,
)


def payload_template(text: str, what: str, counts: int | None = None) -> TextTemplate:
    """The template of a payload. What begins like JSON must be JSON, whatever the values. Raises UsageError."""
    if not text.lstrip().startswith(("{", "[")):
        return TextTemplate(text, what, counts=counts)
    template = TextTemplate(text, what, within_json, counts)
    try:
        json.loads(template.render(EXAMPLE))
    except ValueError as error:
        raise UsageError(f"{what}: {text[:80]!r} is not JSON once its fields are filled in ({error})") from None
    return template
