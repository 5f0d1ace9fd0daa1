"""From settings to the parts of a run: model, source, sinks and shadow, and the files that it writes."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from andon_monitor.actions.engine import ActOnAcknowledgement, Engine, Remember
from andon_monitor.actions.facts import parse_fact
from andon_monitor.common.process import Ending
from andon_monitor.common.redaction import show_address
from andon_monitor.errors import UsageError
from andon_monitor.evidence.sink import Destination, EvidenceSink
from andon_monitor.inspection.inspector import Inspector
from andon_monitor.kafka.address import is_kafka
from andon_monitor.model.file import Model
from andon_monitor.model.session import uses_gpu
from andon_monitor.parts.sink import PartsSink
from andon_monitor.recipes.table import RecipeTable
from andon_monitor.review.destination import StoreDestination
from andon_monitor.review.store import Store
from andon_monitor.run.shadow import Shadow
from andon_monitor.run.side_outputs import Guarded, SideOutput
from andon_monitor.settings.groups import Settings
from andon_monitor.sinks.base import Sink
from andon_monitor.sinks.dead_letters import DeadLetterFolder
from andon_monitor.sinks.history import History
from andon_monitor.sinks.log import UninspectableLog
from andon_monitor.sinks.uri import open_sink
from andon_monitor.sources import uri
from andon_monitor.sources.base import Source
from andon_monitor.sources.pacing import PacedSource
from andon_monitor.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from andon_monitor.kafka.endpoints import Kafka
    from andon_monitor.run.model_topic import ModelTopic

log = logging.getLogger("andon")


def open_shadow(settings: Settings, table: RecipeTable, metrics: Metrics) -> list[Shadow]:
    """The shadows that the settings name, if any, with their own thresholds, on one thread.

    Raises UsageError, ModelError.
    """
    inspectors = {}
    for recipe in table.recipes:
        path = settings.shadow.path if recipe.name is None else recipe.shadow
        if path is None:
            continue
        with settings.model.load_limits.guard(path, uses_gpu(settings.model.provider)):
            model = Model.load(path, settings.model.provider, 1)
        alias = settings.shadow.alias if recipe.name is None else f"{recipe.name} shadow"
        own = replace(recipe.rules, alias=alias, thresholds={}, threshold=None, false_alarm_rate=None, regions=False)
        inspector = Inspector(model, own)
        inspector.check_golden()
        inspectors[recipe.name] = inspector
        log.info(
            "shadow %s %s, threshold %.4g, with at most %.0f %% of one core",
            inspector.alias,
            model.sha256[:12],
            model.card.threshold,
            100 * settings.shadow.budget,
        )
    return [Shadow(inspectors, metrics, settings.shadow.budget, settings.shadow.pending)] if inspectors else []


def uses_kafka(settings: Settings) -> bool:
    """Whether a run with these settings talks to Kafka."""
    output = settings.output
    named = (settings.source.uri, output.verdicts, output.dead_letters, output.evidence)
    return settings.kafka.delivery != "at-least-once" or any(is_kafka(uri) for uri in named if uri)


def open_kafka(settings: Settings, metrics: Metrics) -> "Kafka | None":
    """What the source and the sinks on Kafka share, None where there are none."""
    if not uses_kafka(settings):
        return None
    # The client takes a tenth of a second to import, which a run on a folder need not wait for.
    from andon_monitor.kafka.endpoints import Kafka

    return Kafka(settings, metrics)


def open_model_topic(settings: Settings) -> "ModelTopic":
    """What follows the topic of models, which the settings name. Raises UsageError."""
    from andon_monitor.run.model_topic import ModelTopic  # the Kafka client, see above

    return ModelTopic(settings)


def open_source(settings: Settings, kafka: "Kafka | None" = None, metrics: Metrics | None = None) -> Source:
    """The source that the settings name. With `metrics`, a camera that does not answer is waited for.

    Raises UsageError.
    """
    name = settings.source.uri
    if name is None:
        raise UsageError("source.uri: not given; give --source, a folder of images, a video file or a camera")
    if kafka is not None and is_kafka(name):
        return kafka.open_source(name)
    source = uri.open_source(
        name,
        settings.source.camera,
        settings=settings.source,
        industrial=settings.camera,
        wait=metrics is not None,
        metrics=metrics,
    )
    return PacedSource(source) if settings.source.pace == "recorded" and not source.live else source


@contextmanager
def open_sinks(
    settings: Settings,
    kafka: "Kafka | None",
    metrics: Metrics,
    live: bool,
    after_verdicts: Sequence[Sink],
    observers: Sequence[Sink],
    stopped: Callable[[], bool],
) -> Iterator[list[Sink]]:
    """The sinks that the settings name, then `observers`, in the order in which they write; closed at the end.

    `after_verdicts` follow the verdicts at once.

    A recording whose run was `stopped` has an incomplete output; a live source has no other end than being stopped.

    Dead letters come before verdicts: a verdict promises that the frame has been kept. Evidence takes time and comes
    after verdicts, except under exactly-once, where the verdicts' transaction commits the frame's offset. What comes
    after the verdicts never stops them, see `side_outputs`. Raises UsageError, and OutputError as they close.
    """
    sinks: list[Sink] = []
    ending: Ending = "failed"
    try:
        sinks += _open_dead_letters(settings, kafka, metrics)
        evidence = _open_evidence(settings, kafka, metrics)
        evidence_first = kafka is not None and kafka.exactly_once
        if evidence_first:
            sinks += evidence
        if kafka is not None and is_kafka(settings.output.verdicts):
            sinks.append(kafka.open_verdicts(settings.output.verdicts))
        else:
            sinks.append(open_sink(settings.output.verdicts, append=live))
        sinks += after_verdicts
        patience = settings.output.patience
        if not evidence_first:
            sinks += [SideOutput("evidence", sink, metrics, patience) for sink in evidence]
        if settings.output.history is not None:
            history = History(settings.output.history, settings.model.provider)
            sinks.append(SideOutput("history", history, metrics, patience))
        sinks += [Guarded("log", UninspectableLog(time.monotonic), metrics), *observers]
        yield sinks
        ending = "stopped" if stopped() and not live else "complete"
    finally:
        for sink in sinks:
            sink.close(ending)


def open_parts(settings: Settings, metrics: Metrics, live: bool, engine: Engine | None = None) -> PartsSink | None:
    """What joins the views of parts and has `engine` act on them, None where a run does not. Raises UsageError."""
    target = settings.output.parts
    if target is None or is_kafka(target):  # then `andon-monitor parts` does
        return None
    evidence = settings.output.evidence
    show = None if evidence is None or is_kafka(evidence) else Store(Path(evidence), settings.review).add_parts
    act = None if engine is None else partial(_act_on_part, engine)
    return PartsSink(Path(target), settings.parts, metrics, live, show, act)


def _act_on_part(engine: Engine, verdict: bytes) -> None:
    engine.act_on_part(parse_fact(verdict))


def check_parts(settings: Settings) -> None:
    """Raise UsageError where settings for parts do not fit together."""
    target, source = settings.output.parts, settings.source.uri
    if target is None or is_kafka(target):
        return
    if "://" in target:  # Kafka's have been left out
        raise UsageError(f"output.parts: {show_address(target)}: give kafka://... or a .jsonl file")
    if source is not None and is_kafka(source):
        raise UsageError(
            f"output.parts: {target}: a monitor on Kafka sees only its share of a part's views; give kafka://... here "
            "and start andon-monitor parts"
        )
    if not settings.parts.views:
        raise UsageError("parts.views: not given; output.parts needs the views of a part, such as {'*': [top, left]}")


def _open_dead_letters(settings: Settings, kafka: "Kafka | None", metrics: Metrics) -> list[Sink]:
    target = settings.output.dead_letters
    if kafka is not None:
        target = kafka.dead_letters
        if kafka.exactly_once:
            return []  # the verdicts' transactions write them
        if target is not None and is_kafka(target):
            return [kafka.open_dead_letters(target)]
    if target is None:
        return []
    return [DeadLetterFolder(Path(target), lambda reason: metrics.dead_letters.labels(reason).inc())]


def _open_evidence(settings: Settings, kafka: "Kafka | None", metrics: Metrics) -> list[Sink]:
    target = settings.output.evidence
    if target is None:
        return []
    destination: Destination
    if kafka is not None and is_kafka(target):
        destination = kafka.open_evidence(target)
    else:
        destination = StoreDestination(Path(target), settings.review)
    return [EvidenceSink(destination, settings.evidence, metrics)]


@contextmanager
def open_actions(
    settings: Settings, metrics: Metrics, live: bool, is_running: Callable[[], bool]
) -> Iterator[Engine | None]:
    """What acts on verdicts, None where nothing does; at the end outputs go to their safe state. Raises UsageError."""
    output = settings.output
    if not output.actions:
        yield None
        return
    if not live and not output.act_on_recordings:
        raise UsageError(
            f"output.actions: {output.actions[0].name}: the source is a recording, and machines act on live frames "
            "alone; to try it out all the same, give output.act_on_recordings: true"
        )
    joins_parts = output.parts is not None and not is_kafka(output.parts)
    for target in output.actions:
        if not joins_parts and any(rule.of == "parts" for rule in target.rules):
            raise UsageError(
                f"output.actions: {target.name}: of: parts needs output.parts, a .jsonl file; parts that are joined in "
                "Kafka are acted on by andon-monitor bridge"
            )
    engine = Engine(output, metrics, live, is_running, of="frames")
    try:
        engine.start()
        yield engine
    finally:
        engine.close()


def action_sinks(engine: Engine | None, settings: Settings, metrics: Metrics) -> list[Sink]:
    """The sinks of actions, which follow the verdicts."""
    if engine is None:
        return []
    sinks: list[Sink] = []
    if settings.output.act_on == "acknowledgement":
        sinks.append(Guarded("actions", ActOnAcknowledgement(engine), metrics))
    if engine.remembers:
        sinks.append(SideOutput("actions", Remember(engine), metrics, settings.output.patience))
    return sinks


def written_paths(settings: Settings) -> dict[str, Path]:
    """The files that a run will write, by setting; for a folder, one file in it."""
    output = settings.output
    paths = {} if output.verdicts == "-" or "://" in output.verdicts else {"output.verdicts": Path(output.verdicts)}
    if output.dead_letters is not None and not is_kafka(output.dead_letters):
        paths["output.dead_letters"] = Path(output.dead_letters) / "letter.json"
    if output.evidence is not None and not is_kafka(output.evidence):
        paths["output.evidence"] = Path(output.evidence) / "review.sqlite"
    if output.parts is not None and "://" not in output.parts:
        paths["output.parts"] = Path(output.parts)
    if output.history is not None:
        paths["output.history"] = output.history / "history.andon"
    if output.outbox is not None and any(target.remembers for target in output.actions):
        paths["output.outbox"] = output.outbox / "target.sqlite"
    if output.summary is not None:
        paths["output.summary"] = output.summary
    if settings.statistics.state_file is not None:
        paths["statistics.state_file"] = settings.statistics.state_file
    return paths
