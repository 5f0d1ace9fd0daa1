"""Verdicts, dead letters and evidence into topics, at least once."""

from collections.abc import Callable, Sequence

from andon_monitor.common.process import Ending
from andon_monitor.inspection.inspector import Inspection
from andon_monitor.kafka.address import Address
from andon_monitor.kafka.delivery import Delivery
from andon_monitor.kafka.health import Health
from andon_monitor.kafka.messages import dead_letter, evidence_message, verdict_message
from andon_monitor.settings.groups import KafkaSettings
from andon_monitor.sinks.dead_letters import needs_letter

OnLetter = Callable[[str], None]  # called with the reason of each dead letter


class KafkaVerdicts:
    """A verdict for every frame, acknowledged before `write` returns."""

    def __init__(self, address: Address, settings: KafkaSettings, health: Health) -> None:
        self._topic = address.topic
        self._delivery = Delivery(address, settings, health)

    def write(self, inspections: Sequence[Inspection]) -> None:
        """Send the verdicts and wait for every acknowledgement."""
        self._delivery.send([verdict_message(i.verdict, i.frame, self._topic) for i in inspections])

    def close(self, ending: Ending) -> None:
        """Close the connections."""
        self._delivery.close()


class KafkaDeadLetters:
    """Frames that could not be inspected, unchanged; `on_letter` is called with the reason of each."""

    def __init__(self, address: Address, settings: KafkaSettings, health: Health, on_letter: OnLetter) -> None:
        self._topic = address.topic
        self._limit = settings.max_message_bytes
        self._delivery = Delivery(address, settings, health)
        self._on_letter = on_letter

    def write(self, inspections: Sequence[Inspection]) -> None:
        """Send the frames that need it and wait for every acknowledgement."""
        kept = [inspection for inspection in inspections if needs_letter(inspection)]
        self._delivery.send([dead_letter(i.frame, i.verdict, self._topic, self._limit) for i in kept])
        for inspection in kept:
            self._on_letter(inspection.verdict.reason or "")

    def close(self, ending: Ending) -> None:
        """Close the connections."""
        self._delivery.close()


class KafkaEvidence:
    """Evidence packages; the caller sends none of more than `limit` bytes, which would not fit into the topic."""

    def __init__(self, address: Address, settings: KafkaSettings, health: Health) -> None:
        self._topic = address.topic
        self._delivery = Delivery(address, settings, health)
        self.limit = settings.max_message_bytes

    def send(self, inspections: Sequence[Inspection], packages: Sequence[tuple[Inspection, bytes]]) -> None:
        """Send the packages and wait for every acknowledgement."""
        self._delivery.send([evidence_message(i.verdict, i.frame, data, self._topic) for i, data in packages])

    def close(self) -> None:
        """Close the connections."""
        self._delivery.close()
