"""`andon-monitor review`: the store, what fills it, the pages and what publishes labels, put together."""

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from andon_monitor.common.process import stopped_by_signals
from andon_monitor.common.redaction import show_address
from andon_monitor.errors import UsageError
from andon_monitor.kafka.address import is_kafka, parse_address
from andon_monitor.recipes.table import model_files
from andon_monitor.review.app import MorePages, Review
from andon_monitor.review.models.line_models import LineFile, LineModels, try_notice
from andon_monitor.review.publishing import Publisher, change_history, label_history, model_history
from andon_monitor.review.store import Store, must_exist
from andon_monitor.review.topic_reader import TopicReader
from andon_monitor.review.worker import Worker, close_all
from andon_monitor.settings.groups import ReviewSettings, Settings
from andon_monitor.telemetry.connections import ConnectionLimits
from andon_monitor.telemetry.server import Server

log = logging.getLogger("andon")


def serve(settings: Settings, more: MorePages | None = None, more_workers: Sequence[Worker] = ()) -> None:
    """Serve the pages until SIGINT or SIGTERM. Raises UsageError and ModelError before the first page.

    `more`: makes further pages; `more_workers` do what these need in the background.
    """
    review = settings.review
    folder = _check(review)
    if settings.model.topic is not None:
        parse_address(settings.model.topic)
    stopped = threading.Event()
    with ExitStack() as stack:
        stack.enter_context(stopped_by_signals(stopped.set))
        store = Store(folder, review)
        files = [LineFile(name, path) for name, path in model_files(settings).items()]
        models = LineModels(store, files, review, settings.model.load_limits)
        try_notice(models, strict=not settings.recipes)
        pages = Review(store, review, settings.source.silence, models, more)
        limits = ConnectionLimits(review.connections, review.request_timeout)
        server = Server(pages.app(), review.address, review.port, limits=limits)
        stack.callback(server.close)
        stack.callback(pages.close)
        workers = [*_workers(settings, store, models), *more_workers]
        stack.callback(close_all, workers)
        for worker in workers:
            worker.start()
        server.start()
        log.info("review page at %s%s/", server.url, review.prefix)
        log.info("browsers may call it %s; other names are refused (review.hosts)", " or ".join(review.hosts))
        if pages.open_to_all:
            log.warning(
                "anybody who reaches %s can see and label frames; give review.users_file or review.user_header",
                server.url,
            )
        stopped.wait()


def _check(review: ReviewSettings) -> Path:
    """The store's folder. Raises UsageError for settings that cannot work."""
    if review.store is None:
        raise UsageError(
            "review.store: not given; give --store, the folder that run --evidence fills, or a new one with --defects"
        )
    for name, uri in (
        ("defects", review.defects),
        ("verdicts", review.verdicts),
        ("parts", review.parts),
        ("labels", review.labels),
        ("changes", review.changes),
    ):
        if uri is not None and not is_kafka(uri):
            raise UsageError(f"review.{name}: {show_address(uri)} is not kafka://host:port/topic")
        if uri is not None:
            parse_address(uri)
    if all(given is None for given in (review.defects, review.verdicts, review.parts, review.lines)):
        must_exist(review.store)
    return review.store


def _workers(settings: Settings, store: Store, models: LineModels) -> Iterator[Worker]:
    review, kafka = settings.review, settings.kafka
    if review.defects is not None:
        yield Worker("reading defects", TopicReader(store, "defects", review.defects, kafka).follow)
    if review.verdicts is not None:
        yield Worker("reading verdicts", TopicReader(store, "verdicts", review.verdicts, kafka).follow)
    if review.parts is not None:
        yield Worker("reading parts", TopicReader(store, "parts", review.parts, kafka).follow)
    for file in models.files:
        yield Worker(f"reading model {file.name}", partial(models.follow, file))
    if review.labels is not None:
        yield Worker("publishing labels", Publisher(label_history(store), store.progress, review.labels, kafka).follow)
    if settings.model.topic is not None and settings.model.shared is not None:
        models_put = model_history(store, settings.model.shared)
        yield Worker("publishing models", Publisher(models_put, store.progress, settings.model.topic, kafka).follow)
    if review.changes is not None:
        yield Worker(
            "publishing changes", Publisher(change_history(store), store.progress, review.changes, kafka).follow
        )
