"""Rules: which verdicts they take, how many of the last ones, and what follows."""

from collections import deque
from dataclasses import dataclass, field

from andon_monitor.actions.facts import Fact
from andon_monitor.actions.templates import JSON, Escape, TextTemplate, node_name, payload_template, topic_level
from andon_monitor.errors import UsageError
from andon_monitor.recipes.patterns import matches
from andon_monitor.settings.actions import MQTT, OPC_UA, OUTPUT_KINDS, RuleSettings, TargetSettings

# What a value may not have within an address of each kind of target.
ESCAPES: dict[str, Escape] = {MQTT: topic_level, OPC_UA: node_name}


@dataclass(slots=True)
class Rule:
    """A rule with its templates, and what it remembers of the last verdicts. Only one thread at a time may use it."""

    settings: RuleSettings
    address: TextTemplate
    payload: TextTemplate
    idle: TextTemplate
    safe: str  # active, idle or leave
    of: str | None = None  # frames, parts, None for both
    _last: deque[bool] = field(init=False)

    def __post_init__(self) -> None:
        self._last = deque(maxlen=self.settings.of_last)

    def fires(self, fact: Fact) -> bool:
        """Whether the rule acts on a verdict. Verdicts of other cameras and products do not count at all."""
        settings = self.settings
        if self.of is not None and (self.of == "parts") is not fact.is_part:
            return False
        if not (matches(settings.camera, fact.camera) and matches(settings.product, fact.product)):
            return False
        fits = self._fits(fact)
        if settings.of_last == 1:
            return fits
        self._last.append(fits)
        if not fits or sum(self._last) < settings.at_least:
            return False
        self._last.clear()
        return True

    def _fits(self, fact: Fact) -> bool:
        settings = self.settings
        if fact.outcome not in settings.verdicts:
            return False
        if fact.outcome != "defect":
            return True
        if not matches(settings.kind, fact.kind or ""):
            return False
        # A defect whose place is not known may be in the box.
        return settings.region is None or not fact.boxes or any(_overlap(settings.region, box) for box in fact.boxes)

    @property
    def is_state(self) -> bool:
        """Whether it switches an output that returns to idle, and does not just send messages."""
        return self.settings.pulse is not None or self.settings.hold


def compile_rules(target: TargetSettings, of: str | None = None) -> list[Rule]:
    """The rules of a target, with their templates checked; `of` where a rule does not say. Raises UsageError."""
    return [_compile(target, number, of) for number in range(len(target.rules))]


def _compile(target: TargetSettings, number: int, of: str | None) -> Rule:
    settings = target.rules[number]
    what = f"output.actions: {target.name}: rule {number + 1}"
    escape: Escape = ESCAPES.get(target.kind, str)
    if target.kind == MQTT and any(wildcard in settings.address for wildcard in "+#"):
        raise UsageError(f"{what}: address {settings.address!r}: a topic to write to has no + or #")
    default = "1" if target.kind in OUTPUT_KINDS or settings.pulse is not None or settings.hold else f"${JSON}"
    if target.sparkplug_group is not None:
        default = ""  # a device's metrics are the verdict's
    text = default if settings.payload is None else settings.payload
    rule = Rule(
        settings,
        TextTemplate(settings.address, f"{what}: address", escape, settings.after_counts),
        payload_template(text, f"{what}: payload", settings.after_counts),
        payload_template(settings.idle, f"{what}: idle", settings.after_counts),
        target.safe_state(settings),
        settings.of or of,
    )
    if rule.safe != "leave" and rule.address.constant is None:
        raise UsageError(
            f"{what}: address {settings.address!r} has fields, so there is no safe state; give safe: leave"
        )
    if rule.safe != "leave" and (rule.payload.constant is None or rule.idle.constant is None):
        raise UsageError(f"{what}: payload or idle has fields, so there is no safe state; give safe: leave")
    return rule


def _overlap(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> bool:
    return all(one[i] < other[i] + other[i + 2] and other[i] < one[i] + one[i + 2] for i in (0, 1))
