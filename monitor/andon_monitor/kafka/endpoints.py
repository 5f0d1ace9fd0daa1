"""Source and sinks as the settings name them, with what they share."""

from andon_monitor.errors import UsageError
from andon_monitor.kafka.address import Address, is_kafka, parse_address
from andon_monitor.kafka.health import Health
from andon_monitor.kafka.sinks import KafkaDeadLetters, KafkaEvidence, KafkaTransactions, KafkaVerdicts
from andon_monitor.kafka.source import KafkaSource
from andon_monitor.kafka.topics import must_exist
from andon_monitor.kafka.watchdog import Watchdog
from andon_monitor.settings.groups import Settings
from andon_monitor.sinks.base import Sink
from andon_monitor.telemetry.metrics import Metrics

DEAD_LETTERS = "andon.dead-letters"


def dead_letters_of(settings: Settings) -> str | None:
    """Where dead letters go: as given, else for frames from Kafka beside them; nothing from there is lost unseen."""
    output, uri = settings.output, settings.source.uri
    if output.dead_letters is None and uri is not None and is_kafka(uri):
        return str(parse_address(uri).with_topic(DEAD_LETTERS))
    return output.dead_letters


class Kafka:
    """Everything of one run that talks to Kafka."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._health = Health(metrics)
        self._source: KafkaSource | None = None
        self.dead_letters = dead_letters_of(settings)
        self.watchdog = Watchdog()
        self.exactly_once = settings.kafka.delivery == "exactly-once"
        check_exactly_once(settings)

    def open_source(self, uri: str) -> KafkaSource:
        """Join the group. Raises UsageError; while no broker answers it waits."""
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
        """The sink of verdicts; under exactly-once of dead letters too. Raises UsageError."""
        address = self._address(uri)
        if not self.exactly_once:
            return KafkaVerdicts(address, self._settings.kafka, self._health)
        assert self._source is not None  # check_exactly_once saw to it
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
        """The sink of dead letters, at least once. Raises UsageError."""
        return KafkaDeadLetters(self._address(uri), self._settings.kafka, self._health, self._count_letter)

    def open_evidence(self, uri: str) -> KafkaEvidence:
        """Where evidence goes, at least once. Raises UsageError."""
        return KafkaEvidence(self._address(uri), self._settings.kafka, self._health)

    def draining(self) -> None:
        """A signal came: what does not finish in time is left to the next start."""
        self.watchdog.set("finishing what is in flight", self._settings.kafka.drain_timeout)

    def close(self) -> None:
        """Watch no more."""
        self.watchdog.close()

    def _address(self, uri: str) -> Address:
        address = parse_address(uri)
        must_exist(address, self._settings.kafka)
        return address

    def _count_letter(self, reason: str) -> None:
        self._metrics.dead_letters.labels(reason).inc()


def check_exactly_once(settings: Settings) -> None:
    """Raise UsageError where exactly-once is asked for and cannot be had: one transaction spans one cluster."""
    if settings.kafka.delivery != "exactly-once":
        return
    addresses: dict[str, Address] = {}
    for key, uri in (
        ("source.uri", settings.source.uri),
        ("output.verdicts", settings.output.verdicts),
        ("output.dead_letters", dead_letters_of(settings)),
    ):
        if uri is None or not is_kafka(uri):
            raise UsageError(f"{key}: {uri}: kafka.delivery exactly-once needs kafka://... here")
        addresses[key] = parse_address(uri)
    if len({frozenset(address.servers) for address in addresses.values()}) > 1:
        raise UsageError(
            "kafka.delivery: exactly-once needs source, verdicts and dead letters on one cluster, these are "
            + ", ".join(",".join(address.servers) for address in addresses.values())
        )
