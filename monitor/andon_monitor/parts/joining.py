"""Views of a topic to the verdicts of parts in another one, exactly once.

A verdict, the state that it leaves and the offset of its view are one transaction. The state is in a compacted topic,
one partition for each of the topic of views, and says up to which offset views are in it: what is read a second time is
left out. So the verdicts follow from the records of a partition and nothing else.
"""

import logging
import time
from collections.abc import Iterable

from andon_monitor.kafka.address import Address
from andon_monitor.kafka.changelog import Changelog
from andon_monitor.kafka.group import RecordSource
from andon_monitor.kafka.ledger import Claim
from andon_monitor.kafka.messages import Message, part_message
from andon_monitor.kafka.records import Record
from andon_monitor.kafka.transactions import Transactions
from andon_monitor.parts.joiner import Joiner, Source
from andon_monitor.parts.measuring import PartMeasures
from andon_monitor.parts.messages import Origin, parse_record
from andon_monitor.parts.state import PartitionState
from andon_monitor.parts.verdict import PartVerdict, Rules
from andon_monitor.parts.views import read_view

POLL_RECORDS = 500
POLL_SECONDS = 0.1
MILLISECONDS = 1000

log = logging.getLogger("andon")

Outcome = tuple[list[PartVerdict], str | None]  # verdicts, and what became of a view


def take(state: PartitionState, record: Record, topic_id: str | None) -> Outcome:
    """Join one record of the topic of views. Pure: the same state and record give the same."""
    joiner, progress = state.joiner, state.progress
    if progress.topic_id != topic_id:  # a new state, or the topic was deleted and created again
        progress.topic_id, progress.next_offset = topic_id, 0
    if record.offset < progress.next_offset:
        return [], None
    progress.next_offset = record.offset + 1
    try:
        found = parse_record(record)
        if isinstance(found, Origin):
            view = read_view(record.value or b"", found.time)
            if view is None:
                return [], "no_part"
            joiner.expect_sources(max(found.partitions, joiner.expected_sources))
            closed = joiner.advance(found.partition, Source(found.epoch, found.offset, found.time))
            if closed is None:
                return [], "duplicate"
            result, verdicts = joiner.add(view)
            return closed + verdicts, result
    except ValueError:
        return [], "unreadable"
    joiner.expect_sources(found.partitions)
    for number, place in found.places.items():
        joiner.tick(number, Source(found.epoch, place.offset, place.time), place.idle)
    return joiner.close_due(), None


class PartitionJoiner:
    """Joins the views of the partitions that the group gives us."""

    def __init__(
        self,
        source: RecordSource,
        output: Address,
        state: Address,
        changelog: Changelog,
        transactions: Transactions,
        rules: Rules,
        measures: PartMeasures,
    ) -> None:
        self._source = source
        self._output = output.topic
        self._state = state.topic
        self._changelog = changelog
        self._transactions = transactions
        self._rules = rules
        self._measures = measures
        self._states: dict[int, tuple[Claim, PartitionState]] = {}

    def step(self) -> None:
        """Poll once, and write what follows from what came. Raises SourceError, OutputError."""
        records = self._source.poll(POLL_RECORDS, POLL_SECONDS) or []
        if not records:
            return
        entries = self._source.ledger.next_to_deliver(len(records))
        outcomes: list[Outcome] = []
        claims: dict[int, Claim] = {}
        for record, entry in zip(records, entries, strict=True):
            state = self._state_of(record.partition, entry.claim)
            claims[record.partition] = entry.claim
            outcomes.append(take(state, record, self._source.topic_id))
        changes = {number: list(self._states[number][1].changes()) for number in claims}

        def messages(ours: list[bool]) -> list[Message]:
            held = {record.partition for record, our in zip(records, ours, strict=True) if our}
            found = [
                part_message(v.id, v.part, v.time / MILLISECONDS, v.to_json().encode(), self._output)
                for (verdicts, _), our in zip(outcomes, ours, strict=True)
                if our
                for v in verdicts
            ]
            now = round(time.time() * MILLISECONDS)
            for number in sorted(held):
                found += [Message(self._state, key, value, (), now, number) for key, value in changes[number]]
            return found

        ours = self._transactions.write(entries, messages)
        self._source.acknowledge(records)
        # The state of a partition that is no longer ours may hold what was not written.
        self._states = {number: held for number, held in self._states.items() if held[0].held}
        self._count(outcome for outcome, our in zip(outcomes, ours, strict=True) if our)

    def _state_of(self, number: int, claim: Claim) -> PartitionState:
        """The state of a partition; of one that is newly ours as its last owner left it."""
        known = self._states.get(number)
        if known is not None and known[0] is claim:
            return known[1]
        state = PartitionState(Joiner(self._rules))
        state.restore(self._changelog.read(number))
        self._states[number] = claim, state
        log.info(
            "parts: partition %d has %d parts, read to offset %d",
            *(number, len(state.joiner.parts), state.progress.next_offset),
        )
        return state

    def _count(self, outcomes: Iterable[Outcome]) -> None:
        for verdicts, result in outcomes:
            if result is not None:
                self._measures.view(result)
            for verdict in verdicts:
                self._measures.part(verdict)
        self._measures.open_parts(sum(state.joiner.open_parts for _, state in self._states.values()))
