"""`andon-monitor check`: whether a run with these settings would work. Tries each part of it and changes nothing."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from andon_monitor.common.files import check_writable
from andon_monitor.common.redaction import show_address
from andon_monitor.errors import AndonError, UsageError
from andon_monitor.inspection.inspector import Inspector
from andon_monitor.kafka.address import is_kafka
from andon_monitor.kafka.check import check_kafka
from andon_monitor.model.file import Model
from andon_monitor.run.assembly import load_inspector, open_source, uses_kafka, written_paths
from andon_monitor.settings.groups import Settings
from andon_monitor.statistics.charts import cusum_of
from andon_monitor.telemetry import credentials
from andon_monitor.telemetry.server import bind

FIRST_FRAME_SECONDS = 5.0


@dataclass(frozen=True)
class Check:
    """One thing that was tried, and the result."""

    what: str
    passed: bool
    detail: str


def run_checks(settings: Settings) -> Iterator[Check]:
    """Try the model, the provider, the source and its first frame, the outputs, the port."""
    inspector: Inspector | None = None
    model: Model | None = None
    try:
        inspector = load_inspector(settings)
        model = inspector.model
    except AndonError as error:
        yield Check("model", False, str(error))
    else:
        assert model is not None
        yield Check("model", True, _describe(model))
        missing = f", {settings.model.provider} is not available here" if model.fell_back else ""
        yield Check("provider", not model.fell_back, model.provider + missing)
        yield _try("statistics", partial(_describe_charts, settings, model))
    if settings.shadow.path is not None:
        shadow = settings.shadow.path
        yield _try("shadow", lambda: _describe(Model.load(shadow, settings.model.provider)))
    if settings.source.uri is None or not is_kafka(settings.source.uri):
        yield _try("source", lambda: _read_first_frame(settings, inspector))
    for key, path in written_paths(settings).items():
        yield _try(key, partial(_check_output, path))
    if uses_kafka(settings):
        for what, passed, detail in check_kafka(settings):
            yield Check(what, passed, detail)
    elif "://" in settings.output.verdicts:
        yield Check("output.verdicts", False, f"{show_address(settings.output.verdicts)}: unknown kind of sink")
    if settings.server.enabled:
        yield _try("server", lambda: _bind(settings))


def _try(what: str, action: Callable[[], str]) -> Check:
    try:
        return Check(what, True, action())
    except AndonError as error:
        return Check(what, False, str(error))


def _describe(model: Model) -> str:
    calibration, spec = model.card.calibration, model.card.input
    basis = "extrapolated from" if calibration.method == "tail" else "counted on"
    return (
        f"{model.card.name} {model.sha256[:12]}, {spec.width} x {spec.height} x {spec.channels}, threshold "
        f"{calibration.threshold:.4g} for {calibration.false_alarm_rate:.2%} false alarms ({basis} "
        f"{calibration.count} good images); self-test passed"
    )


def _describe_charts(settings: Settings, model: Model) -> str:
    cusum = cusum_of(settings.statistics, model.card)
    alarms, delay = cusum.average_run_length(cusum.normal), cusum.average_run_length(cusum.raised)
    return (
        f"CUSUM: one false alarm in {alarms:,.0f} parts at a defect rate of {cusum.normal:.3g}, a rate of "
        f"{cusum.raised:.3g} is detected after {delay:,.0f} parts"
    )


def _read_first_frame(settings: Settings, inspector: Inspector | None) -> str:
    source = open_source(settings)
    try:
        frames = source.poll(1, FIRST_FRAME_SECONDS)
    finally:
        source.close()
    length = "" if source.length is None else f", {source.length} frames"
    if not frames:
        return f"{source.name}{length}, no frame within {FIRST_FRAME_SECONDS:g} s"
    if inspector is not None and (rejection := inspector.prepare(frames[0]).rejection) is not None:
        raise UsageError(f"{source.name}: its first frame is {rejection.reason}: {rejection.detail}")
    return f"{source.name}{length}, first from camera {frames[0].camera}"


def _check_output(path: Path) -> str:
    check_writable(path)
    return str(path)


def _bind(settings: Settings) -> str:
    server = settings.server
    protection = credentials.describe(server)
    bind(server.address, server.port).close()
    return f"{server.address}:{server.port or '(a free port)'}, {protection}"
