"""The source and the sinks on Kafka that the settings name, with what they share."""

from andon_monitor.common.redaction import show_address
from andon_monitor.errors import UsageError
from andon_monitor.kafka.address import Address, is_kafka, parse_address
from andon_monitor.kafka.health import Health
from andon_monitor.kafka.sinks import KafkaDeadLetters, KafkaEvidence, KafkaVerdicts
from andon_monitor.kafka.source import KafkaSource
from andon_monitor.kafka.topics import must_exist
from andon_monitor.kafka.transactions import KafkaTransactions
from andon_monitor.kafka.watchdog import Watchdog
from andon_monitor.settings.groups import Settings
from andon_monitor.sinks.base import Sink
from andon_monitor.telemetry.metrics import Metrics

DEFAULT_DEAD_LETTERS = "andon.dead-letters"  # a topic


def dead_letters_of(settings: Settings) -> str | None:
    """Where dead letters go: as set; for frames from Kafka by default into a topic of the same cluster."""
    output, uri = settings.output, settings.source.uri
    if output.dead_letters is None and uri is not None and is_kafka(uri):
        return str(parse_address(uri).with_topic(DEFAULT_DEAD_LETTERS))
    return output.dead_letters


class Kafka:
    """Everything of one run that talks to Kafka. Raises UsageError for settings that do not fit together."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._health = Health(metrics)
        self._source: KafkaSource | None = None
        self.dead_letters = dead_letters_of(settings)
        self.watchdog = Watchdog()
        self.exactly_once = settings.kafka.delivery == "exactly-once"
        check_exactly_once(settings)

    @property
    def answers(self) -> bool:
        """Whether the brokers answered the last time."""
        return self._health.answers

    def open_source(self, uri: str) -> KafkaSource:
        """Join the consumer group; while no broker answers it waits. Raises UsageError."""
        self._source = KafkaSource(
            self._address(uri),
            self._settings.kafka,
            self._metrics,
            self._health,
            self.watchdog,
            commits=not self.exactly_once,
        )
        return self._source

    def open_verdicts(self, uri: str) -> Sink:
        """The sink of verdicts; with exactly-once also of dead letters. Raises UsageError."""
        address = self._address(uri)
        if not self.exactly_once:
            return KafkaVerdicts(address, self._settings.kafka, self._health)
        assert self._source is not None  # by check_exactly_once
        letters = self.dead_letters
        return KafkaTransactions(
            address,
            None if letters is None else self._address(letters),
            self._source,
            self._settings.kafka,
            self._health,
            self.watchdog,
            self._count_letter,
        )

    def open_dead_letters(self, uri: str) -> Sink:
        """The sink of dead letters. Raises UsageError."""
        return KafkaDeadLetters(self._address(uri), self._settings.kafka, self._health, self._count_letter)

    def open_evidence(self, uri: str) -> KafkaEvidence:
        """The topic that evidence is sent to. Raises UsageError."""
        return KafkaEvidence(self._address(uri), self._settings.kafka, self._health)

    def draining(self) -> None:
        """A signal came: end the process where frames in flight are not finished within `kafka.drain_timeout`."""
        self.watchdog.set("finishing the frames in flight", self._settings.kafka.drain_timeout)

    def close(self) -> None:
        """Stop the watchdog."""
        self.watchdog.close()

    def _address(self, uri: str) -> Address:
        address = parse_address(uri)
        must_exist(address, self._settings.kafka)
        return address

    def _count_letter(self, reason: str) -> None:
        self._metrics.dead_letters.labels(reason).inc()


def check_exactly_once(settings: Settings) -> None:
    """Raise UsageError where exactly-once is asked for and impossible: a transaction cannot span two clusters."""
    if settings.kafka.delivery != "exactly-once":
        return
    addresses: dict[str, Address] = {}
    for key, uri in (
        ("source.uri", settings.source.uri),
        ("output.verdicts", settings.output.verdicts),
        ("output.dead_letters", dead_letters_of(settings)),
    ):
        if uri is None or not is_kafka(uri):
            raise UsageError(f"{key}: {show_address(uri or '')}: kafka.delivery exactly-once needs kafka://... here")
        addresses[key] = parse_address(uri)
    if len({frozenset(address.servers) for address in addresses.values()}) > 1:
        raise UsageError(
            "kafka.delivery: exactly-once needs source, verdicts and dead letters on one cluster, these are "
            + ", ".join(",".join(address.servers) for address in addresses.values())
        )
