"""Verdicts, dead letters and the offsets of their frames in one transaction: exactly once."""

import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any

from kafka import KafkaProducer, TopicPartition
from kafka import errors as kafka_errors

from andon_monitor.common.process import Ending
from andon_monitor.errors import OutputError
from andon_monitor.inspection.inspector import Inspection
from andon_monitor.kafka.address import Address
from andon_monitor.kafka.commits import with_metadata
from andon_monitor.kafka.connection import describe, milliseconds, producer_options
from andon_monitor.kafka.delivery import discard, groups, submit, wait_for
from andon_monitor.kafka.group import GroupSource
from andon_monitor.kafka.health import Backoff, Health, until_connected
from andon_monitor.kafka.ledger import Entry
from andon_monitor.kafka.messages import Message, adapted, dead_letter, verdict_message
from andon_monitor.kafka.sinks import OnLetter
from andon_monitor.kafka.source import KafkaSource
from andon_monitor.kafka.watchdog import Watchdog
from andon_monitor.settings.groups import KafkaSettings
from andon_monitor.sinks.dead_letters import needs_letter

# A commit takes milliseconds; the client waits without end where the broker died meanwhile.
COMMIT_GUARD_SECONDS = 20.0
BEGIN_GUARD_SECONDS = 60.0
MEMBERSHIP_POLL_SECONDS = 0.05  # between two looks at whether we are a member of the group again
# Beginning a transaction takes a round trip to the coordinator, which may be moving to another broker.
TRANSACTION_METADATA_TIMEOUT_MS = 10_000
CLOSE_SECONDS = 1.0
_PROCESS = uuid.uuid4().hex[:12]


class Transactions:
    """Messages and the offsets of what they answer become visible together, or not at all.

    A transaction that fails before its commit is aborted and repeated. Where it is not known whether a commit happened,
    OutputError ends the process: the next start continues from the committed offsets.
    """

    def __init__(
        self,
        output: Address,
        source: GroupSource[Any],
        settings: KafkaSettings,
        health: Health,
        watchdog: Watchdog,
    ) -> None:
        self._output = output
        self._source = source
        self._settings = settings
        self._health = health
        self._watchdog = watchdog
        self._producer = self._begin_again()

    def write(
        self, entries: Sequence[Entry[TopicPartition]], messages_for: Callable[[list[bool]], list[Message]]
    ) -> list[bool]:
        """Send the messages for those of `entries` that are still ours, with their offsets, in one transaction.

        `messages_for` is asked with what is ours, and again where a transaction is repeated. Returns what was ours.
        Raises OutputError.
        """
        backoff = Backoff()
        patience = time.monotonic() + self._settings.poll_timeout
        refused: kafka_errors.KafkaError | None = None
        while True:
            # Read first: where the group rebalances from here on, the broker refuses the offsets.
            member = self._source.membership.current()
            ours, offsets = self._source.ledger.held(entries)
            if not any(ours):
                return ours
            if member is None:
                # The group has removed us. Once the client knows that, these frames are no longer ours.
                if time.monotonic() > patience:
                    raise OutputError(
                        f"{self._source.name}: no longer a member of the consumer group; stopping, restart the monitor"
                    )
                time.sleep(MEMBERSHIP_POLL_SECONDS)
                continue
            messages = messages_for(ours)
            if refused is not None:
                messages = [adapted(message, refused) for message in messages]
            try:
                with self._watchdog.guard("a Kafka transaction", BEGIN_GUARD_SECONDS):
                    self._producer.begin_transaction()
                    for group in groups(messages):
                        futures = [submit(self._producer, message) for message in group]
                        for future in futures:
                            wait_for(future, self._health, self._settings.transaction_timeout)
                    offsets_of_topic = with_metadata(offsets, self._source.topic_id)
                    self._producer.send_offsets_to_transaction(offsets_of_topic, member)
            except kafka_errors.KafkaError as error:
                refused = error
                self._health.failing(f"transaction failed ({describe(error)}), it is repeated")
                discard(self._producer)
                backoff.wait()
                self._producer = self._begin_again()
            else:
                self._commit()
                break
        self._health.working()
        return ours

    def close(self) -> None:
        """Close the connections. An open transaction is aborted by the next run, or by the broker after its timeout."""
        discard(self._producer, CLOSE_SECONDS)

    def _commit(self) -> None:
        try:
            with self._watchdog.guard("a Kafka commit", COMMIT_GUARD_SECONDS):
                self._producer.commit_transaction()
        except kafka_errors.KafkaError as error:
            raise OutputError(
                f"{self._output}: not known whether a transaction was committed ({describe(error)}); stopping, "
                "the next start continues from what was committed"
            ) from None

    def _begin_again(self) -> KafkaProducer:
        return until_connected(self._connect, self._output, self._settings, self._health)

    def _connect(self) -> KafkaProducer:
        settings = self._settings
        producer = KafkaProducer(
            **producer_options(settings, self._output) | {"max_block_ms": TRANSACTION_METADATA_TIMEOUT_MS},
            transactional_id=transactional_id(settings),
            transaction_timeout_ms=milliseconds(settings.transaction_timeout),
        )
        try:
            with self._watchdog.guard("initialising Kafka transactions", BEGIN_GUARD_SECONDS):
                producer.init_transactions()
        except BaseException:
            discard(producer)
            raise
        return producer


class KafkaTransactions:
    """A sink whose verdicts, dead letters and offsets become visible together, or not at all: see `Transactions`.

    Frames of a partition that was revoked meanwhile are left out: the new owner inspects them.
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
        self._on_letter = on_letter
        self._transactions = Transactions(verdicts, source, settings, health, watchdog)

    def write(self, inspections: Sequence[Inspection]) -> None:
        """Write all of them in one transaction. Raises OutputError."""

        def kept(ours: list[bool]) -> list[Inspection]:
            return [inspection for inspection, held in zip(inspections, ours, strict=True) if held]

        entries = self._source.ledger.next_to_deliver(len(inspections))
        ours = self._transactions.write(entries, lambda ours: self._messages(kept(ours)))
        for inspection in kept(ours):
            if self._dead_letters is not None and needs_letter(inspection):
                self._on_letter(inspection.verdict.reason or "")

    def close(self, ending: Ending) -> None:
        """Close the connections."""
        self._transactions.close()

    def _messages(self, inspections: Sequence[Inspection]) -> list[Message]:
        letters = (
            []
            if self._dead_letters is None
            else [
                dead_letter(i.frame, i.verdict, self._dead_letters.topic, self._settings.max_message_bytes)
                for i in inspections
                if needs_letter(i)
            ]
        )
        return letters + [verdict_message(i.verdict, i.frame, self._verdicts.topic) for i in inspections]


def transactional_id(settings: KafkaSettings) -> str:
    """The name under which a restart aborts its predecessor's transaction, given a `kafka.instance_id`."""
    return f"{settings.group_id}-{settings.instance_id or _PROCESS}"
