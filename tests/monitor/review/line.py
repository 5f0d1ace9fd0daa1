"""A line in small: frames inspected by the small model, with their evidence in a store."""

from collections.abc import Sequence
from pathlib import Path

from andon_monitor.evidence.sink import EvidenceSink
from andon_monitor.inspection.frames import Frame
from andon_monitor.inspection.inspector import Inspection, Inspector, Rules
from andon_monitor.model.file import Model
from andon_monitor.review.filling import StoreDestination
from andon_monitor.review.store import Store
from andon_monitor.settings.groups import EvidenceSettings, ReviewSettings
from andon_monitor.telemetry.metrics import Metrics

from tests.monitor.small_model import draw, encode, make_frame

ALL = EvidenceSettings(rate=1e6, burst=100_000, good_interval=0, borderline_interval=0, borderline=0.3)


def frames(count: int, every: int = 5, camera: str = "station-1", start: int = 0) -> list[Frame]:
    """Frames a second apart, each `every`-th a defect."""
    return [
        make_frame(encode(draw(i, defect=i % every == every - 1)), i, camera=camera)
        for i in range(start, start + count)
    ]


def inspect(model: Model, given: Sequence[Frame], rules: Rules | None = None) -> list[Inspection]:
    """Their verdicts, as the pipeline hands them to its sinks."""
    inspector = Inspector(model, rules)
    prepared = [inspector.prepare(frame) for frame in given]
    return [
        Inspection(item, verdict, model=model)
        for item, verdict in zip(prepared, inspector.inspect(prepared), strict=True)
    ]


def fill(
    folder: Path,
    inspections: Sequence[Inspection],
    settings: EvidenceSettings = ALL,
    limits: ReviewSettings | None = None,
) -> Store:
    """A store with their evidence, through the sink that `run` uses."""
    sink = EvidenceSink(StoreDestination(folder, limits or ReviewSettings()), settings, Metrics())
    sink.write(inspections)
    sink.close(True)
    return Store(folder, limits)
