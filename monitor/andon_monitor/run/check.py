"""`andon-monitor check`: whether a run with these settings would work. Tries each part of it and changes nothing."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from andon_monitor.actions.check import check_targets
from andon_monitor.common.files import check_writable
from andon_monitor.common.redaction import show_address
from andon_monitor.errors import AndonError, UsageError
from andon_monitor.inspection.frames import Verdict
from andon_monitor.inspection.inspector import Inspector
from andon_monitor.kafka.address import is_kafka
from andon_monitor.kafka.check import check_kafka
from andon_monitor.model.file import Model
from andon_monitor.model.fitness import assess
from andon_monitor.model.imaging import input_mask
from andon_monitor.parts.verdict import combined_rates, rate_for_each
from andon_monitor.recipes.library import Library
from andon_monitor.recipes.table import RecipeTable
from andon_monitor.run.assembly import check_parts, open_source, uses_kafka, written_paths
from andon_monitor.settings.groups import ANY_PRODUCT, Settings
from andon_monitor.statistics.charts import cusum_of
from andon_monitor.telemetry import credentials
from andon_monitor.telemetry.metrics import Metrics
from andon_monitor.telemetry.server import bind

FIRST_FRAME_SECONDS = 5.0
DAY_SECONDS = 86_400


@dataclass(frozen=True)
class Check:
    """One thing that was tried, and the result. `warning`: it works, but somebody should know."""

    what: str
    passed: bool
    detail: str
    warning: bool = False


@dataclass(frozen=True)
class OpenedModels:
    """The recipes of the settings with their models, as far as these can be opened; `errors` by path."""

    library: Library
    errors: dict[Path, str]

    def rules(self) -> list[list[str]]:
        """What a table shows of each rule: patterns, recipe, file, threshold, false-alarm rate, what is wrong."""
        return [self._rule(number) for number in range(len(self.library.table.rules))]

    def _rule(self, number: int) -> list[str]:
        table = self.library.table
        rule = table.rules[number]
        recipe = rule.recipe
        opened = next((one for one in self.library.inspectors() if one.rules.recipe == recipe.name), None)
        numbers = ["", ""] if opened is None else [f"{opened.threshold(''):.4g}", f"{opened.false_alarm_rate:.3%}"]
        covering = table.covering(number)
        wrong = "" if opened is not None else "its model cannot be used"
        if covering is not None:
            wrong = f"never met: rule {covering + 1} takes all of it"
        return [
            str(number + 1),
            rule.camera,
            rule.product or '""',
            recipe.name or "",
            str(recipe.path),
            *numbers,
            wrong,
        ]

    def meetings(self, cameras: Sequence[str], products: Sequence[str]) -> list[list[str]]:
        """Which recipe the frames of each camera with each product meet, and those without a product."""
        return [
            [camera, product or "(none)", "no recipe: uninspectable" if found is None else found.name or ""]
            for camera in cameras
            for product in (*products, "")
            for found in [self.library.table.find(camera, product)]
        ]


def open_models(settings: Settings) -> OpenedModels:
    """Open every model of the settings. Raises UsageError where they name none, or recipes do not fit together."""
    unlimited = settings.model.model_copy(update={"memory_bytes": None})
    library = Library(RecipeTable.from_settings(settings), unlimited, Metrics())
    errors = {}
    for file in library.files:
        try:
            library.open_here(file)
        except AndonError as error:
            errors[file.path] = str(error)
    return OpenedModels(library, errors)


def run_checks(settings: Settings, opened: OpenedModels | None = None) -> Iterator[Check]:
    """Try the models, the provider, the source and its first frame, the outputs, the port."""
    library: Library | None = None
    try:
        opened = opened or open_models(settings)
        library = opened.library
    except AndonError as error:
        yield Check("model", False, str(error))
    else:
        yield from _check_models(settings, opened)
    for what, shadow in _shadows(settings):
        yield _try(what, partial(_describe_file, shadow, settings))
    if settings.source.uri is None or not is_kafka(settings.source.uri):
        yield _try("source", lambda: _read_first_frame(settings, library))
    if settings.output.parts is not None or settings.parts.views:
        rates = [] if library is None else [inspector.false_alarm_rate for inspector in library.inspectors()]
        yield _try("parts", partial(_describe_parts, settings, max(rates, default=None)))
    for what, passed, detail in check_targets(settings):
        yield Check(what, passed, detail)
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


def _check_models(settings: Settings, opened: OpenedModels) -> Iterator[Check]:
    table = opened.library.table
    for path, why in opened.errors.items():
        yield Check("model", False, why if str(path) in why else f"{path}: {why}")
    inspectors = opened.library.inspectors()
    for inspector in inspectors:
        what = "model" if inspector.rules.recipe is None else f"recipe {inspector.rules.recipe}"
        yield Check(what, True, _describe(inspector.model))
        yield from _check_fitness(inspector, "" if inspector.rules.recipe is None else f" of {inspector.rules.recipe}")
    for number in range(len(table.rules)):
        if (covering := table.covering(number)) is not None:
            name = table.rules[number].recipe.name
            never = f"is never met: rule {covering + 1} takes all of its frames; the first rule that fits counts"
            yield Check(f"rule {number + 1}", False, f"{name} {never}")
    if inspectors:
        fell_back = any(inspector.model.fell_back for inspector in inspectors)
        missing = f", {settings.model.provider} is not available here" if fell_back else ""
        yield Check("provider", not fell_back, inspectors[0].model.provider + missing)
    for inspector in inspectors:
        what = "statistics" if inspector.rules.recipe is None else f"statistics of {inspector.rules.recipe}"
        yield _try(what, partial(_describe_charts, settings, inspector))


def _check_fitness(inspector: Inspector, of_recipe: str) -> Iterator[Check]:
    """Whether the model is good enough to run, where its card tells, at each threshold in use."""
    for camera in ("", *inspector.rules.thresholds):
        if (fitness := assess(inspector.model.card, inspector.threshold(camera))) is not None:
            where = f" for camera {camera}" if camera else ""
            yield Check(f"fitness{of_recipe}{where}", True, str(fitness), warning=fitness.grade != "good enough")


def _shadows(settings: Settings) -> Iterator[tuple[str, Path]]:
    if settings.shadow.path is not None:
        yield "shadow", settings.shadow.path
    for path in dict.fromkeys(recipe.shadow for recipe in settings.recipes if recipe.shadow is not None):
        yield "shadow", path


def _describe_file(path: Path, settings: Settings) -> str:
    return _describe(Model.load(path, settings.model.provider))


def _describe(model: Model) -> str:
    calibration, spec = model.card.calibration, model.card.input
    basis = "extrapolated from" if calibration.method == "tail" else "counted on"
    masked = input_mask(spec)
    seen = "" if masked is None else f", a mask that leaves {1 - masked.mean():.1%}"
    return (
        f"{model.card.name} {model.sha256[:12]}, {spec.width} x {spec.height} x {spec.channels}{seen}, threshold "
        f"{calibration.threshold:.4g} for {calibration.false_alarm_rate:.2%} false alarms ({basis} "
        f"{calibration.count} good images); self-test passed"
    )


def _describe_charts(settings: Settings, inspector: Inspector) -> str:
    cusum = cusum_of(settings.statistics, inspector.false_alarm_rate)
    alarms, delay = cusum.average_run_length(cusum.normal), cusum.average_run_length(cusum.raised)
    return (
        f"CUSUM: one false alarm in {alarms:,.0f} parts at a defect rate of {cusum.normal:.3g} (at one part a second "
        f"{DAY_SECONDS / alarms:.2g} a day), a rate of {cusum.raised:.3g} is detected after {delay:,.0f} parts; frames "
        "that do not say which part they show count as one part each"
    )


def _describe_parts(settings: Settings, rate: float | None) -> str:
    """The share of good parts that are flagged where no view's rate is higher, and what each view needs to keep it."""
    check_parts(settings)
    said = []
    for product, names in settings.parts.views.items():
        line = f"{'any other product' if product == ANY_PRODUCT else product}: {len(names)} views"
        if rate is not None:
            bound, independent = combined_rates([rate] * len(names))
            line += f", at most {bound:.3g} of good parts flagged ({independent:.3g} if views are independent)"
        if settings.parts.false_alarm_rate is not None:
            wanted = settings.parts.false_alarm_rate
            each = rate_for_each(wanted, len(names))
            line += f"; for {wanted:g} calibrate each view for {each:.3g}"
        said.append(line)
    return "; ".join(said)


def _read_first_frame(settings: Settings, library: Library | None) -> str:
    source = open_source(settings)
    try:
        frames = source.poll(1, FIRST_FRAME_SECONDS)
    finally:
        source.close()
    length = "" if source.length is None else f", {source.length} frames"
    if not frames:
        return f"{source.name}{length}, no frame within {FIRST_FRAME_SECONDS:g} s"
    found = None if library is None else library.find(frames[0])
    if isinstance(found, Verdict):
        raise UsageError(f"{source.name}: its first frame is {found.reason}: {found.detail}")
    if found is not None and (rejection := found.prepare(frames[0]).rejection) is not None:
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
