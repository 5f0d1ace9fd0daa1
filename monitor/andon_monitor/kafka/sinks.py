"""Verdicts and dead letters into topics, at least once or exactly once."""

import logging
import time
import uuid
from collections.abc import Callable, Sequence

from kafka import KafkaProducer
from kafka import errors as kafka_errors

from andon_monitor.errors import OutputError
from andon_monitor.inspection.inspector import Inspection
from andon_monitor.kafka.address import Address
from andon_monitor.kafka.commits import with_metadata
from andon_monitor.kafka.connection import describe, milliseconds
from andon_monitor.kafka.delivery import FOREVER_MS, Delivery, discard, producer_options, submit, wait_for
from andon_monitor.kafka.health import Health
from andon_monitor.kafka.messages import Message, dead_letter, evidence_message, verdict_message
from andon_monitor.kafka.source import KafkaSource
from andon_monitor.kafka.waiting import Backoff, until_connected
from andon_monitor.kafka.watchdog import Watchdog
from andon_monitor.settings.groups import KafkaSettings
from andon_monitor.sinks.dead_letters import NOT_KEPT

COMMIT_GUARD_SECONDS = 20.0  # a commit takes milliseconds; the client waits for ever where the broker died meanwhile
BEGIN_GUARD_SECONDS = 60.0
MEMBERSHIP_SECONDS = 0.05
_PROCESS = uuid.uuid4().hex[:12]

log = logging.getLogger("andon")

OnLetter = Callable[[str], None]


def needs_letter(inspection: Inspection) -> bool:
    """Whether the frame is to be kept for people to look at."""
    reason = inspection.verdict.reason
    return reason is not None and reason not in NOT_KEPT


class KafkaVerdicts:
    """At least once: a verdict for every frame, acknowledged before `write` returns."""

    def __init__(self, address: Address, settings: KafkaSettings, health: Health) -> None:
        self._topic = address.topic
        self._delivery = Delivery(address, settings, health)

    def write(self, inspections: Sequence[Inspection]) -> None:
        """Send the verdicts and wait for every one."""
        self._delivery.send([verdict_message(i.verdict, i.frame.key, self._topic) for i in inspections])

    def close(self, complete: bool) -> None:
        """Let go."""
        self._delivery.close()


class KafkaDeadLetters:
    """Frames that could not be inspected, as they came; `on_letter` is called with the reason of each."""

    def __init__(self, address: Address, settings: KafkaSettings, health: Health, on_letter: OnLetter) -> None:
        self._topic = address.topic
        self._delivery = Delivery(address, settings, health)
        self._on_letter = on_letter

    def write(self, inspections: Sequence[Inspection]) -> None:
        """Send those that need it, and wait for every one."""
        kept = [inspection for inspection in inspections if needs_letter(inspection)]
        self._delivery.send([dead_letter(i.frame, i.verdict, self._topic) for i in kept])
        for inspection in kept:
            self._on_letter(inspection.verdict.reason or "")

    def close(self, complete: bool) -> None:
        """Let go."""
        self._delivery.close()


class KafkaEvidence:
    """Evidence, at least once; what would not fit into the topic is not to be sent."""

    def __init__(self, address: Address, settings: KafkaSettings, health: Health) -> None:
        self._topic = address.topic
        self._delivery = Delivery(address, settings, health)
        self.limit = settings.max_message_bytes

    def send(self, inspections: Sequence[Inspection], packages: Sequence[tuple[Inspection, bytes]]) -> None:
        """Send the packages and wait for every one."""
        self._delivery.send([evidence_message(i.verdict, i.frame.key, data, self._topic) for i, data in packages])

    def close(self) -> None:
        """Let go."""
        self._delivery.close()


class KafkaTransactions:
    """Exactly once: verdicts, dead letters and the offsets of their frames become visible together, or not at all.

    Frames whose partition has been taken away meanwhile are left out: they are the new owner's. A transaction that
    fails before its commit is aborted and done again. Where it is not known whether a commit happened, OutputError
    ends the run: the next one continues from what is committed.
    """

    def __init__(
        self,
        verdicts: Address,
        dead_letters: Address | None,
        source: KafkaSource,
        settings: KafkaSettings,
        health: Health,
        watchdog: Watchdog,
        on_letter: OnLetter,
    ) -> None:
        self._verdicts = verdicts
        self._dead_letters = dead_letters
        self._source = source
        self._settings = settings
        self._health = health
        self._watchdog = watchdog
        self._on_letter = on_letter
        self._producer = self._begin_again()

    def write(self, inspections: Sequence[Inspection]) -> None:
        """One transaction for the group. Raises OutputError."""
        backoff = Backoff()
        patience = time.monotonic() + self._settings.poll_timeout
        entries = self._source.ledger.next_to_deliver(len(inspections))
        while True:
            # Taken first: where the group moves on from here, the broker refuses the offsets.
            member = self._source.membership()
            ours, offsets = self._source.ledger.held(entries)
            kept = [inspection for inspection, held in zip(inspections, ours, strict=True) if held]
            if not kept:
                return
            if member is None:
                # The group has given us up: once the client knows, these frames are no longer ours.
                if time.monotonic() > patience:
                    raise OutputError(
                        f"{self._source.name}: no member of the group any more; ending, to be started anew"
                    )
                time.sleep(MEMBERSHIP_SECONDS)
                continue
            messages = self._messages(kept)
            try:
                with self._watchdog.guard("a kafka transaction", BEGIN_GUARD_SECONDS):
                    self._producer.begin_transaction()
                    futures = [submit(self._producer, message) for message in messages]
                    for future in futures:
                        wait_for(future, self._health, self._settings.transaction_timeout)
                    self._producer.send_offsets_to_transaction(with_metadata(offsets), member)
            except kafka_errors.KafkaError as error:
                self._health.failing(f"transaction failed ({describe(error)}), it is done again")
                discard(self._producer)
                backoff.wait()
                self._producer = self._begin_again()
            else:
                self._commit()
                break
        self._health.working()
        for inspection in kept:
            if self._dead_letters is not None and needs_letter(inspection):
                self._on_letter(inspection.verdict.reason or "")

    def close(self, complete: bool) -> None:
        """Let go; a transaction under way is aborted by its successor, or by the broker after its timeout."""
        discard(self._producer, 1)

    def _commit(self) -> None:
        try:
            with self._watchdog.guard("a kafka commit", COMMIT_GUARD_SECONDS):
                self._producer.commit_transaction()
        except kafka_errors.KafkaError as error:
            raise OutputError(
                f"{self._verdicts}: not known whether a transaction was committed ({describe(error)}); ending, the "
                "next start continues from what was"
            ) from None

    def _messages(self, inspections: Sequence[Inspection]) -> list[Message]:
        letters = (
            []
            if self._dead_letters is None
            else [dead_letter(i.frame, i.verdict, self._dead_letters.topic) for i in inspections if needs_letter(i)]
        )
        return letters + [verdict_message(i.verdict, i.frame.key, self._verdicts.topic) for i in inspections]

    def _begin_again(self) -> KafkaProducer:
        return until_connected(self._connect, self._verdicts, self._settings, self._health)

    def _connect(self) -> KafkaProducer:
        settings = self._settings
        producer = KafkaProducer(
            **producer_options(settings, self._verdicts) | {"max_block_ms": 10_000},
            transactional_id=transactional_id(settings),
            transaction_timeout_ms=milliseconds(settings.transaction_timeout),
            delivery_timeout_ms=FOREVER_MS,
        )
        try:
            with self._watchdog.guard("initialising kafka transactions", BEGIN_GUARD_SECONDS):
                producer.init_transactions()
        except BaseException:
            discard(producer)
            raise
        return producer


def transactional_id(settings: KafkaSettings) -> str:
    """The name under which a restart ends its predecessor's transaction: it lasts only with an `instance_id`."""
    return f"{settings.group_id}-{settings.instance_id or _PROCESS}"
