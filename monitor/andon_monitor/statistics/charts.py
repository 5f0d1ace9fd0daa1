"""The control charts of every camera and model, updated by each inspection, shown as metrics and kept in a file."""

import json
import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from andon_monitor.common.files import read_within, write_whole
from andon_monitor.common.process import Ending
from andon_monitor.errors import OutputError, UsageError
from andon_monitor.inspection.inspector import Inspection, Inspector
from andon_monitor.model.card import Card
from andon_monitor.settings.groups import StatisticsSettings
from andon_monitor.statistics import drift
from andon_monitor.statistics.cusum import BernoulliCusum
from andon_monitor.statistics.drift import Movement
from andon_monitor.telemetry.catalogue import SIGNALS
from andon_monitor.telemetry.metrics import Metrics

STATE_VERSION = 2
MAX_STATE_BYTES = 2**26  # about 300 bytes for each camera and model
USUAL_DEFECT_RATE = 0.005  # default: one part in two hundred
SAVE_SECONDS = 5.0  # what a crash may lose: at ten parts per second, fifty of the hundreds of parts that a chart covers

MAX_FOLLOWED = 4  # models of one name: the one in use, and those whose verdicts are still under way

Identity = dict[str, Any]  # sha256 and rates of a model

log = logging.getLogger("andon")


@dataclass
class Chart:
    """State of the charts of one camera and one model."""

    cusum: float = 0.0
    drift: dict[str, float] = field(default_factory=lambda: dict.fromkeys(SIGNALS, 0.0))
    part: str | None = None  # the latest, where its frames say which it is
    defective: bool = False  # whether any of its frames is a defect
    cusum_before: float = 0.0  # the latest part
    movement: Movement = field(default_factory=Movement)

    def vote(self, cusum: BernoulliCusum, defect: bool, part: str | None) -> None:
        """Count a frame. Frames of one part in a row are one vote: a part is a defect if any of its frames is."""
        if part is None or part != self.part:
            self.part, self.defective, self.cusum_before = part, False, self.cusum
        self.defective |= defect
        self.cusum = cusum.step(self.cusum_before, self.defective)


@dataclass(frozen=True)
class Charted:
    """What the charts of one model need of it."""

    sha256: str
    card: Card
    cusum: BernoulliCusum

    @property
    def identity(self) -> Identity:
        """What a saved chart continues with."""
        rates = {"normal_defect_rate": self.cusum.normal, "raised_defect_rate": self.cusum.raised}
        return {"sha256": self.sha256, **rates}


class ControlCharts:
    """A sink that updates the charts. If it cannot write their file, it logs that once and goes on.

    Each pair of a camera and a model has its own: a changeover to another product and back continues them. Models are
    named as in verdicts, by their recipe if there is one.
    """

    def __init__(self, settings: StatisticsSettings, inspectors: Iterable[Inspector], metrics: Metrics) -> None:
        """`inspectors`: those known before the first frame; `follow` takes the others. Raises UsageError."""
        self._settings = settings
        self._metrics = metrics
        # What a saved chart continues with, beside its model.
        self._identity = {"version": STATE_VERSION, "drift_frames": settings.drift_frames}
        self._known: dict[tuple[str, str], Charted] = {}  # by name and sha256 of the model, the newest last
        self._current: dict[str, Identity] = {}  # by name of the model: what its charts belong to
        self._charted: dict[str, Charted] = {}  # by name of the model, of its newest verdict
        self._charts: dict[tuple[str, str], Chart] = {}  # by camera and name of the model
        self._instead_of: dict[str, str] = {}
        for inspector in inspectors:
            self.follow(inspector)
        if settings.state_file is not None:
            self._charts = self._read(settings.state_file)
        self._saved = time.monotonic()
        self._write_failed = False
        metrics.use_limits(settings.cusum_limit, settings.drift_limit)
        self._show(self._charts)

    def follow(self, inspector: Inspector, instead_of: str | None = None) -> None:
        """Prepare for a model: its charts start, or start again, with its first verdict. Raises UsageError.

        `instead_of`: the name of the model that it replaces, whose charts then end.
        """
        model, name = inspector.model, inspector.alias
        cusum = cusum_of(self._settings, inspector.false_alarm_rate)
        self._known.pop((name, model.sha256), None)
        self._known[name, model.sha256] = Charted(model.sha256, model.card, cusum)
        for key in [key for key in self._known if key[0] == name][:-MAX_FOLLOWED]:
            del self._known[key]
        if instead_of is not None and instead_of != name:
            self._instead_of[name] = instead_of

    def write(self, inspections: Sequence[Inspection]) -> None:
        """Update the charts."""
        touched: set[tuple[str, str]] = set()
        for inspection in inspections:
            verdict = inspection.verdict
            charted = self._known.get((verdict.model, verdict.model_sha256))
            if charted is None:  # it met no model
                continue
            if charted is not self._charted.get(verdict.model):
                self._begin(verdict.model, charted)
            key = self._metrics.label(verdict.camera), verdict.model
            chart = self._charts.setdefault(key, Chart())
            if verdict.outcome != "uninspectable":
                part = None if verdict.part is None else verdict.part.id
                chart.vote(charted.cusum, verdict.outcome == "defect", part)
            values = drift.standardise(inspection, charted.card)
            weight = chart.movement.weigh(verdict.score, charted.card.reference.score)
            chart.drift = drift.step(chart.drift, values, self._settings.drift_frames, weight)
            touched.add(key)
        self._show(touched)
        if time.monotonic() - self._saved >= SAVE_SECONDS:
            self._save()

    def close(self, ending: Ending) -> None:
        """Save the charts."""
        self._save()

    def _begin(self, name: str, charted: Charted) -> None:
        """Start the charts of a model with its first verdict, or continue those that were saved."""
        before = self._current.get(name)
        self._charted[name] = charted
        self._current[name] = charted.identity
        if before is not None and before != charted.identity:
            again = [key for key in self._charts if key[1] == name]
            self._charts.update({key: Chart() for key in again})
            self._show(again)
        ended = self._instead_of.pop(name, None)
        if ended is not None:
            for key in [key for key in self._charts if key[1] == ended]:
                camera = key[0]
                del self._charts[key]
                self._charts.setdefault((camera, name), Chart())
            self._current.pop(ended, None)
            self._charted.pop(ended, None)
            self._metrics.forget_charts(ended)
            self._show([key for key in self._charts if key[1] == name])

    def _show(self, keys: Iterable[tuple[str, str]]) -> None:
        for camera, name in keys:
            chart = self._charts[camera, name]
            self._metrics.charted(camera, name, chart.cusum, chart.drift)

    def _save(self) -> None:
        self._saved = time.monotonic()
        path = self._settings.state_file
        if path is None:
            return
        models: dict[str, Any] = {}
        for (camera, name), chart in sorted(self._charts.items()):
            entry = models.setdefault(name, {**self._current[name], "cameras": {}})
            entry["cameras"][camera] = {"cusum": chart.cusum, "drift": chart.drift}
        try:
            write_whole(path, json.dumps({**self._identity, "models": models}, indent=1).encode() + b"\n")
        except OutputError as error:
            if not self._write_failed:
                log.warning("statistics.state_file: %s; the charts will start empty after a restart", error)
            self._write_failed = True

    def _read(self, path: Path) -> dict[tuple[str, str], Chart]:
        """The saved charts, but those of a model that is known to be another one now."""
        try:
            state = json.loads(read_within(path, MAX_STATE_BYTES))
            saved = state.pop("models") if state.get("version") == STATE_VERSION else {}
            charts: dict[str, dict[str, Chart]] = {}
            for name, model in saved.items():
                charts[name] = {camera: _chart(entry) for camera, entry in model.pop("cameras").items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            log.warning("statistics.state_file: %s: not readable (%s); the charts start empty", path, error)
            return {}
        known = {name: charted.identity for (name, _), charted in self._known.items()}
        if state == self._identity:
            self._current = {name: model for name, model in saved.items() if known.get(name, model) == model}
        for name in charts.keys() - self._current.keys() or ({""} if state != self._identity else ()):
            shown = f"charts of {name}: " if name else ""
            log.info(
                "statistics.state_file: %s: %sfrom another model or other settings; the charts start empty", path, shown
            )
        return {(camera, name): chart for name in self._current for camera, chart in charts[name].items()}


def cusum_of(settings: StatisticsSettings, false_alarm_rate: float) -> BernoulliCusum:
    """The CUSUM that the settings describe, with defaults that suit the model. Raises UsageError if the two do not fit.

    The model flags good parts at its false-alarm rate: a lower usual rate would be exceeded from the start.
    """
    normal = settings.normal_defect_rate or min(max(USUAL_DEFECT_RATE, 2 * false_alarm_rate), 0.25)
    if normal < false_alarm_rate:
        raise UsageError(
            f"statistics.normal_defect_rate: {normal:g} is below the model's false-alarm rate {false_alarm_rate:g}; "
            f"right is {false_alarm_rate:g} plus the usual share of defects"
        )
    return BernoulliCusum(normal, settings.raised_defect_rate or 3 * normal, settings.cusum_limit)


def _chart(entry: Any) -> Chart:
    return Chart(float(entry["cusum"]), {signal: float(entry["drift"][signal]) for signal in SIGNALS})
