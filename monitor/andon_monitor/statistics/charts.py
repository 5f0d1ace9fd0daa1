"""The control charts of every camera, updated by each inspection, shown as metrics and kept in a file."""

import json
import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from andon_monitor.common.files import write_whole
from andon_monitor.common.process import Ending
from andon_monitor.errors import OutputError, UsageError
from andon_monitor.inspection.inspector import Inspection
from andon_monitor.model.card import Card
from andon_monitor.model.file import Model
from andon_monitor.settings.groups import StatisticsSettings
from andon_monitor.statistics import drift
from andon_monitor.statistics.cusum import BernoulliCusum
from andon_monitor.telemetry.catalogue import SIGNALS
from andon_monitor.telemetry.metrics import Metrics

STATE_VERSION = 1
USUAL_DEFECT_RATE = 0.005  # default: one part in two hundred
SAVE_SECONDS = 5.0  # what a crash may lose: at ten parts per second, fifty of the hundreds of parts that a chart covers

log = logging.getLogger("andon")


@dataclass
class Chart:
    """State of one camera's charts."""

    cusum: float = 0.0
    drift: dict[str, float] = field(default_factory=lambda: dict.fromkeys(SIGNALS, 0.0))


class ControlCharts:
    """A sink that updates the charts. If it cannot write their file, it logs that once and goes on."""

    def __init__(self, settings: StatisticsSettings, model: Model, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._next = model
        self._begin(model)
        self._charts = {} if settings.state_file is None else self._read(settings.state_file)
        self._saved = time.monotonic()
        self._write_failed = False
        metrics.use_limits(settings.cusum_limit, settings.drift_limit)
        self._show(self._charts)

    def follow(self, model: Model) -> None:
        """Prepare for a model that is swapped in: the charts restart with its first verdict. Raises UsageError."""
        cusum_of(self._settings, model.card)
        self._next = model

    def _begin(self, model: Model) -> None:
        self._card = model.card
        self._cusum = cusum_of(self._settings, model.card)
        # A saved chart continues only with the same model and settings.
        self._identity = {
            "version": STATE_VERSION,
            "model": model.sha256,
            "normal_defect_rate": self._cusum.normal,
            "raised_defect_rate": self._cusum.raised,
            "drift_frames": self._settings.drift_frames,
        }

    def write(self, inspections: Sequence[Inspection]) -> None:
        """Update the charts."""
        for inspection in inspections:
            following = self._next
            if inspection.verdict.model_sha256 == following.sha256 != self._identity["model"]:
                self._begin(following)
                self._charts = {camera: Chart() for camera in self._charts}
                self._show(self._charts)
            camera, outcome = self._metrics.label(inspection.verdict.camera), inspection.verdict.outcome
            chart = self._charts.setdefault(camera, Chart())
            if outcome != "uninspectable":
                chart.cusum = self._cusum.step(chart.cusum, outcome == "defect")
            values = drift.standardise(inspection, self._card)
            chart.drift = drift.step(chart.drift, values, self._settings.drift_frames)
        self._show({self._metrics.label(inspection.verdict.camera) for inspection in inspections})
        if time.monotonic() - self._saved >= SAVE_SECONDS:
            self._save()

    def close(self, ending: Ending) -> None:
        """Save the charts."""
        self._save()

    def _show(self, cameras: Iterable[str]) -> None:
        for camera in cameras:
            self._metrics.charted(camera, self._charts[camera].cusum, self._charts[camera].drift)

    def _save(self) -> None:
        self._saved = time.monotonic()
        path = self._settings.state_file
        if path is None:
            return
        cameras = {camera: {"cusum": c.cusum, "drift": c.drift} for camera, c in sorted(self._charts.items())}
        try:
            write_whole(path, json.dumps({**self._identity, "cameras": cameras}, indent=1).encode() + b"\n")
        except OutputError as error:
            if not self._write_failed:
                log.warning("statistics.state_file: %s; the charts will start empty after a restart", error)
            self._write_failed = True

    def _read(self, path: Path) -> dict[str, Chart]:
        try:
            state = json.loads(path.read_bytes())
            charts = {camera: _chart(entry) for camera, entry in state.pop("cameras").items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            log.warning("statistics.state_file: %s: not readable (%s); the charts start empty", path, error)
            return {}
        if state != self._identity:
            log.info("statistics.state_file: %s: from another model or other settings; the charts start empty", path)
            return {}
        return charts


def cusum_of(settings: StatisticsSettings, card: Card) -> BernoulliCusum:
    """The CUSUM that the settings describe, with defaults that suit the model. Raises UsageError if the two do not fit.

    The model flags good parts at its false-alarm rate: a lower usual rate would be exceeded from the start.
    """
    alarms = card.calibration.false_alarm_rate
    normal = settings.normal_defect_rate or min(max(USUAL_DEFECT_RATE, 2 * alarms), 0.25)
    if normal < alarms:
        raise UsageError(
            f"statistics.normal_defect_rate: {normal:g} is below the model's false-alarm rate {alarms:g}; right is "
            f"{alarms:g} plus the usual share of defects"
        )
    return BernoulliCusum(normal, settings.raised_defect_rate or 3 * normal, settings.cusum_limit)


def _chart(entry: Any) -> Chart:
    return Chart(float(entry["cusum"]), {signal: float(entry["drift"][signal]) for signal in SIGNALS})
