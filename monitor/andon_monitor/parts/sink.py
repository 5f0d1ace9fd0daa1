"""The joiner in a run without Kafka: a verdict for each part into a file of JSON lines."""

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from andon_monitor.common.process import Ending
from andon_monitor.errors import AndonError
from andon_monitor.inspection.inspector import Inspection
from andon_monitor.parts.joiner import Joiner, Source
from andon_monitor.parts.measuring import PartMeasures
from andon_monitor.parts.verdict import PartVerdict, Rules
from andon_monitor.parts.views import View
from andon_monitor.settings.groups import PartsSettings
from andon_monitor.sinks.jsonl import JsonLines
from andon_monitor.telemetry.metrics import Metrics

log = logging.getLogger("andon")

Show = Callable[[Sequence[bytes]], Sequence[str]]
Act = Callable[[bytes], None]


class PartsSink:
    """Joins the views of a run, in the order of its frames.

    Of a recording, whose cameras may follow each other, all parts stay open to its end; on a live source the time-out
    is that of the newest frame. `counts`: parts by verdict. `show` gets the verdicts as JSON, for the review page, and
    returns what it refuses; where it fails, the run goes on. `act` gets each verdict as JSON once it is in the file.
    Raises UsageError, OutputError as `JsonLines`.
    """

    def __init__(
        self,
        path: Path,
        settings: PartsSettings,
        metrics: Metrics,
        live: bool,
        show: Show | None = None,
        act: Act | None = None,
    ) -> None:
        self._file = JsonLines(path, append=live)
        self._joiner = Joiner(Rules.from_settings(settings))
        self._measures = PartMeasures(metrics, settings)
        self._live = live
        self._show = show
        self._act = act
        self._frames = 0
        self.counts: Counter[str] = Counter()

    def write(self, inspections: Sequence[Inspection]) -> None:
        """Add a line for each part whose views have all come. Raises OutputError."""
        verdicts: list[PartVerdict] = []
        for inspection in inspections:
            verdict = inspection.verdict
            self._frames += 1
            if self._live:
                place = Source("run", self._frames, round(verdict.captured_at * 1000))
                verdicts += self._joiner.advance(0, place) or []
            view = View.of(verdict)
            if view is None:
                self._measures.view("no_part")
                continue
            result, found = self._joiner.add(view)
            self._measures.view(result)
            verdicts += found
        self._put(verdicts)

    def close(self, ending: Ending) -> None:
        """Close all parts and the file; of a failed run nothing more is written. Raises OutputError."""
        try:
            if ending != "failed":
                self._put(self._joiner.finish())
        finally:
            self._file.close(ending)

    def _show_to_people(self, lines: Sequence[str]) -> None:
        if self._show is None:
            return
        try:
            refused = self._show([line.encode() for line in lines])
        except AndonError as error:
            refused = [str(error)]
        for line in refused:
            log.warning("a part is not shown for review: %s", line)

    def _put(self, verdicts: Sequence[PartVerdict]) -> None:
        if verdicts:
            lines = [verdict.to_json() for verdict in verdicts]
            self._file.add(lines)
            if self._act is not None:
                for line in lines:
                    self._act(line.encode())
            self._show_to_people(lines)
        for verdict in verdicts:
            self._measures.part(verdict)
            self.counts[verdict.outcome] += verdict.revision == 1
        self._joiner.changed.clear()
        self._measures.open_parts(self._joiner.open_parts)
