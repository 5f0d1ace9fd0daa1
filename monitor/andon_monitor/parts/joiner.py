"""The joiner: views in, verdicts of parts out. No clock, no thread, no file: the same input gives the same output.

Time is the views' own. A source is a stream of views in the order of their time, such as a partition of the topic of
verdicts. The watermark is the time up to which all sources have been read: no view from before it is to come, and parts
whose time-out has passed by then are closed.
"""

import heapq
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from andon_monitor.parts.verdict import Cause, PartVerdict, Rules, conclude
from andon_monitor.parts.views import View

# What became of a view: `telemetry.catalogue.VIEW_RESULTS`.
Joined = Literal["joined", "unexpected", "repeated", "late", "duplicate"]
# Names of views that the settings do not know are kept up to this number in a part; a defect always counts.
MAX_OTHER_NAMES = 32
SILENT = 2**60  # the time of a source without views, in milliseconds: later than any view's


@dataclass(slots=True)
class OpenPart:
    """A part that is open, or remembered once it is closed.

    `firsts` and `defects`: by name of the view, the first view and the first defect. `decided`: the number of verdicts
    sent, and `outcome` the last one's.
    """

    id: str
    firsts: dict[str, View] = field(default_factory=dict)
    defects: dict[str, View] = field(default_factory=dict)
    repeats: int = 0
    decided: int = 0
    outcome: str = ""
    scheduled: int | None = None  # the newest entry in the joiner's heap

    @property
    def started(self) -> int:
        """The time of its first view."""
        return min(view.time for view in self.firsts.values())

    def due(self, rules: Rules) -> int:
        """When it is closed or, where it is closed, forgotten."""
        return self.started + rules.timeout + (rules.keep if self.decided else 0)


@dataclass(frozen=True, slots=True)
class Source:
    """How far a source has been read: up to `offset` of the stream `epoch`, and to `time`, None where not known."""

    epoch: str
    offset: int
    time: int | None


class Joiner:
    """The parts of one partition. `changed`: parts that are new, other or gone since it was last cleared.

    `expected_sources`: the number of sources without which there is no watermark.
    """

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.parts: dict[str, OpenPart] = {}
        self.sources: dict[int, Source] = {}
        self.expected_sources = 0
        self.changed: set[str] = set()
        self.open_parts = 0  # that wait for views
        self._open: list[tuple[int, str]] = []  # heaps of when parts are due; entries may be out of date
        self._closed: list[tuple[int, str]] = []

    def restore(self, parts: Iterable[OpenPart], sources: Mapping[int, Source], expected_sources: int) -> None:
        """Take up the state that another joiner left."""
        self.sources, self.expected_sources = dict(sources), expected_sources
        for part in parts:
            self.parts[part.id] = part
            self.open_parts += not part.decided
            self._schedule(part)

    @property
    def watermark(self) -> float:
        """The time up to which all sources have been read, in milliseconds; minus infinity where one is not known."""
        times = [source.time for source in self.sources.values()]
        if not times or len(times) < self.expected_sources:
            return -math.inf
        return min(-math.inf if time is None else time for time in times)

    def expect_sources(self, number: int) -> None:
        """Wait for so many sources, numbered from 0."""
        self.expected_sources = number
        self.sources = {source: progress for source, progress in self.sources.items() if source < number}

    def advance(self, source: int, progress: Source) -> list[PartVerdict] | None:
        """Note how far a source has been read, and close what is due. None where it had been read that far before."""
        known = self.sources.get(source)
        if known is not None and known.epoch == progress.epoch and progress.offset <= known.offset:
            return None
        self.sources[source] = progress
        return self.close_due()

    def tick(self, source: int, progress: Source, idle: int = 0) -> None:
        """Note that a source has been read up to an offset, and has had no view for `idle` milliseconds since.

        A source whose time is not given is silent, and holds nothing up.
        """
        known = self.sources.get(source)
        if known is not None and known.epoch == progress.epoch and progress.offset < known.offset:
            return
        until = SILENT if progress.time is None else progress.time + idle
        self.sources[source] = Source(progress.epoch, progress.offset, until)

    def close_due(self) -> list[PartVerdict]:
        """Close the parts whose time-out the watermark has passed, and forget those that were closed long ago."""
        watermark = self.watermark
        verdicts = []
        while (part := self._next(self._open, decided=False)) is not None and part.due(self.rules) < watermark:
            verdicts.append(self._close(part, "timeout"))
        while (part := self._next(self._closed, decided=True)) is not None and part.due(self.rules) < watermark:
            self._forget(part)
        return verdicts

    def add(self, view: View) -> tuple[Joined, list[PartVerdict]]:
        """Join a view to its part. Returns what became of it, and the verdicts that it leads to."""
        verdicts: list[PartVerdict] = []
        part = self.parts.get(view.part)
        if part is not None and view.time > part.started + self.rules.timeout + self.rules.keep:
            if not part.decided:
                verdicts.append(self._close(part, "timeout"))
            self._forget(part)  # the part comes a second time
            part = None
        if part is None:
            verdicts += self._make_room()
            part = self.parts[view.part] = OpenPart(view.part)
            self.open_parts += 1
        result = self._join(part, view)
        if result == "duplicate":
            return result, verdicts
        self.changed.add(part.id)
        self._schedule(part)
        if part.decided:
            result = "repeated" if result == "repeated" else "late"
            if view.outcome == "defect" and part.outcome != "defect":
                verdicts.append(self._conclude(part, "late"))
        elif self._is_complete(part):
            verdicts.append(self._close(part, "complete"))
        return result, verdicts

    def finish(self) -> list[PartVerdict]:
        """Close all open parts, in the order of their time: the source has ended."""
        verdicts = []
        while (part := self._next(self._open, decided=False)) is not None:
            verdicts.append(self._close(part, "end"))
        return verdicts

    def _join(self, part: OpenPart, view: View) -> Joined:
        """Keep the first view of each name and the first defect, in the order of time and not of arrival."""
        first, defect = part.firsts.get(view.name), part.defects.get(view.name)
        if view.id in (first and first.id, defect and defect.id):
            return "duplicate"
        expected = self.rules.expected(view.product) or ()
        if first is None and view.name not in expected and part.firsts:
            others = sum(name not in expected for name in part.firsts)
            if others >= MAX_OTHER_NAMES and (view.outcome != "defect" or part.defects):
                part.repeats += 1
                return "repeated"
        if view.outcome == "defect" and (defect is None or view.rank < defect.rank):
            part.defects[view.name] = view
        if first is None:
            part.firsts[view.name] = view
            return "joined" if view.name in expected else "unexpected"
        part.repeats += 1
        if view.rank < first.rank:
            part.firsts[view.name] = view
        return "repeated"

    def _is_complete(self, part: OpenPart) -> bool:
        deadline = part.started + self.rules.timeout
        in_time = {name: view for name, view in part.firsts.items() if view.time <= deadline}
        products = {view.product for view in in_time.values() if view.product is not None}
        if len(products) > 1:
            return False
        expected = self.rules.expected(next(iter(products), None))
        return expected is not None and all(name in in_time for name in expected)

    def _conclude(self, part: OpenPart, cause: Cause) -> PartVerdict:
        self.open_parts -= not part.decided
        part.decided += 1
        verdict = conclude(
            list(part.firsts.values()), list(part.defects.values()), part.repeats, self.rules, cause, part.decided
        )
        part.outcome = verdict.outcome
        return verdict

    def _close(self, part: OpenPart, cause: Cause) -> PartVerdict:
        verdict = self._conclude(part, cause)
        self.changed.add(part.id)
        self._schedule(part)
        return verdict

    def _forget(self, part: OpenPart) -> None:
        del self.parts[part.id]
        self.changed.add(part.id)

    def _make_room(self) -> list[PartVerdict]:
        """Forget the oldest closed part where there are too many; where all are open, close the oldest one."""
        if len(self.parts) < self.rules.max_parts:
            return []
        verdicts = []
        part = self._next(self._closed, decided=True)
        if part is None:
            part = self._next(self._open, decided=False)
            assert part is not None  # there are parts, and each is in one of the heaps
            verdicts.append(self._close(part, "overflow"))
        self._forget(part)
        return verdicts

    def _schedule(self, part: OpenPart) -> None:
        due = part.due(self.rules)
        if part.scheduled != due:
            part.scheduled = due
            heapq.heappush(self._closed if part.decided else self._open, (due, part.id))

    def _next(self, heap: list[tuple[int, str]], decided: bool) -> OpenPart | None:
        """The part that is due first; entries that are out of date are removed."""
        while heap:
            due, part_id = heap[0]
            part = self.parts.get(part_id)
            if part is not None and bool(part.decided) == decided and part.due(self.rules) == due:
                return part
            heapq.heappop(heap)
        return None
