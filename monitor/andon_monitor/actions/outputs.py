"""The states of a target's outputs: pulses that end, what is held until it is acknowledged, the safe state."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from andon_monitor.actions.links.base import Message
from andon_monitor.actions.rules import Rule


@dataclass(slots=True)
class _Active:
    """An output that is active: until a time of the monotonic clock, or held. `idle` is sent at its end."""

    active: str
    idle: str
    id: str
    until: float
    held: bool


class Outputs:
    """The outputs of a target by address. It says what is to be sent; nothing here sends it.

    Until `set_safe(False)`, outputs are in their safe state.
    """

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._active: dict[str, _Active] = {}
        self._with_safe_state = [rule for rule in rules if rule.safe != "leave"]
        self.safe = True

    @property
    def holds(self) -> bool:
        """Whether something is held until it is acknowledged."""
        return any(one.held for one in self._active.values())

    @property
    def next_end(self) -> float | None:
        """When the next pulse ends."""
        return min((one.until for one in self._active.values() if not one.held), default=None)

    def activated(self, rule: Rule, message: Message, idle: str, now: float) -> None:
        """Note that a message made an output active. A pulse on an active output makes it longer, never shorter."""
        if not rule.is_state:
            return
        until = now + (rule.settings.pulse or 0.0)
        before = self._active.get(message.address)
        held = rule.settings.hold or (before is not None and before.held)
        if before is not None:
            until = max(until, before.until)
        self._active[message.address] = _Active(message.payload, idle, message.id, until, held)

    def ended(self, now: float, acknowledged: bool) -> list[Message]:
        """What to send for pulses that have ended and, if `acknowledged`, for what was held; then call `released`."""
        found = []
        for address, one in self._active.items():
            if (acknowledged or not one.held) and one.until <= now:
                found.append(Message(address, one.active if self._stays_active(address) else one.idle, one.id))
        return found

    def released(self, address: str) -> None:
        """Note that an output was sent to its state after a pulse or hold."""
        self._active.pop(address, None)

    def set_safe(self, safe: bool) -> None:
        """Enter or leave the safe state; then send all of `states`."""
        self.safe = safe

    def states(self) -> Iterator[Message]:
        """What every output should be now: after the connection was made anew, or the safe state changed."""
        sent = set()
        for address, one in self._active.items():
            sent.add(address)
            yield Message(address, one.active, one.id)
        for rule in self._with_safe_state:
            address = rule.address.constant or ""
            if address not in sent:
                sent.add(address)
                active = self._stays_active(address)
                yield Message(address, (rule.payload if active else rule.idle).constant or "", "")

    def _stays_active(self, address: str) -> bool:
        """Whether the safe state keeps an output active: where rules share it, one that wants that is enough."""
        rules = self._with_safe_state
        return self.safe and any(rule.safe == "active" and rule.address.constant == address for rule in rules)
