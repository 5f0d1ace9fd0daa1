"""`andon-monitor review`: the store, what fills it, the pages and what publishes labels, put together."""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from andon_monitor.common.process import stopped_by_signals
from andon_monitor.errors import UsageError
from andon_monitor.kafka.address import is_kafka, parse_address
from andon_monitor.model.file import Model
from andon_monitor.review.app import Review
from andon_monitor.review.filling import TopicReader
from andon_monitor.review.store import Store, must_exist
from andon_monitor.review.worker import Worker, close_all
from andon_monitor.settings.groups import Settings
from andon_monitor.telemetry.server import Server

if TYPE_CHECKING:
    from andon_monitor.kafka.tap import KafkaTap

# A page that starts with an empty store shows the verdicts of this long: curves and rates need no more.
VERDICT_SECONDS = 3600.0
MODEL_SECONDS = 5.0  # between two looks at the model's file

log = logging.getLogger("andon")


def serve(settings: Settings) -> None:
    """Serve the pages until SIGINT or SIGTERM. Raises UsageError and ModelError before the first page."""
    review = settings.review
    if review.store is None:
        raise UsageError(
            "review.store: not given; give --store, the folder that run --evidence fills, or a new one with --defects"
        )
    topics = {"defects": review.defects, "verdicts": review.verdicts, "labels": review.labels}
    for name, uri in topics.items():
        if uri is not None and not is_kafka(uri):
            raise UsageError(f"review.{name}: {uri} is not kafka://host:port/topic")
        if uri is not None:
            parse_address(uri)
    if review.defects is None and review.verdicts is None:
        must_exist(review.store)
    with ExitStack() as stack:
        store = Store(review.store, review)
        if settings.model.path is not None:
            _add_model(settings.model.path, settings.model.alias, store)
        pages = Review(store, review, settings.source.silence)
        server = Server(pages.app(), review.address, review.port)
        stack.callback(server.close)
        stack.callback(pages.close)
        workers = [*_workers(settings, store)]
        stack.callback(close_all, workers)
        for worker in workers:
            worker.start()
        server.start()
        log.info("review page at %s%s/", server.url, review.prefix)
        log.info("it is called %s in browsers, other names are refused (review.hosts)", " or ".join(review.hosts))
        if pages.open_to_all:
            log.warning(
                "anybody who reaches %s may look and label; give review.users_file or review.user_header", server.url
            )
        stopped = threading.Event()
        with stopped_by_signals(stopped.set):
            stopped.wait()


def _workers(settings: Settings, store: Store) -> Iterator[Worker]:
    review = settings.review
    for name, uri in (("defects", review.defects), ("verdicts", review.verdicts)):
        if uri is not None:
            reader = TopicReader(store, name, uri, partial(_open_tap, settings, uri))
            yield Worker(f"reading {name}", reader.follow)
    if settings.model.path is not None:
        yield Worker("the model's file", partial(_follow_model, settings.model.path, settings.model.alias, store))
    if review.labels is not None:
        from andon_monitor.review.publishing import Publisher

        yield Worker("publishing labels", Publisher(store, review.labels, settings.kafka).follow)


def _add_model(path: Path, alias: str | None, store: Store) -> None:
    model = Model.load(path, "cpu")
    store.add_model(model.sha256, alias or model.card.name, model.card)


def _follow_model(path: Path, alias: str | None, store: Store, closed: threading.Event) -> None:
    """The line may change its model; the page then shows the new card."""
    seen = path.stat().st_mtime_ns if path.exists() else 0
    while not closed.wait(MODEL_SECONDS):
        now = path.stat().st_mtime_ns if path.exists() else 0
        if now not in (0, seen):
            _add_model(path, alias, store)
            seen = now


def _open_tap(settings: Settings, uri: str, places: dict[int, int]) -> "KafkaTap":
    from andon_monitor.kafka.health import Health
    from andon_monitor.kafka.tap import KafkaTap
    from andon_monitor.telemetry.metrics import Metrics

    start: float | dict[int, int] = places
    if not places and uri == settings.review.verdicts:
        start = time.time() - VERDICT_SECONDS
    return KafkaTap(parse_address(uri), settings.kafka, Health(Metrics()), start)
