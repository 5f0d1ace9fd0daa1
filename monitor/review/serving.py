"""`andon-monitor review`: the store, what fills it, the pages and what publishes labels, put together."""

import logging
import threading
import time
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

from monitor.errors import UsageError
from monitor.kafka.address import is_kafka, parse_address
from monitor.model import Model
from monitor.review.app import Review
from monitor.review.filling import TopicReader
from monitor.review.store import Store
from monitor.server import Server
from monitor.settings import Settings
from monitor.signals import stopped_by_signals

if TYPE_CHECKING:
    from monitor.kafka.tap import KafkaTap

# A page that starts with an empty store shows the verdicts of this long: curves and rates need no more.
VERDICT_SECONDS = 3600.0

log = logging.getLogger("andon")


def serve(settings: Settings) -> None:
    """Serve the pages until SIGINT or SIGTERM. Raises UsageError and ModelError before the first page."""
    review = settings.review
    if review.store is None:
        raise UsageError(
            "review.store: not given; give --store, a folder, the one that run --evidence fills or a new one"
        )
    topics = {"defects": review.defects, "verdicts": review.verdicts, "labels": review.labels}
    for name, uri in topics.items():
        if uri is not None and not is_kafka(uri):
            raise UsageError(f"review.{name}: {uri} is not kafka://host:port/topic")
    with ExitStack() as stack:
        store = Store(review.store, review)
        if settings.model.path is not None:
            model = Model.load(settings.model.path, "cpu")
            store.add_model(model.sha256, settings.model.alias or model.card.name, model.card)
        pages = Review(store, review, settings.source.silence)
        server = Server(pages.app(), review.address, review.port)
        stack.callback(server.close)
        stack.callback(pages.close)
        for name in ("defects", "verdicts"):
            uri = topics[name]
            if uri is not None:
                reader = TopicReader(store, name, uri, partial(_open_tap, settings, uri))
                reader.start()
                stack.callback(reader.close)
        if review.labels is not None:
            from monitor.review.publishing import Publisher

            publisher = Publisher(store, review.labels, settings.kafka)
            publisher.start()
            stack.callback(publisher.close)
        server.start()
        log.info("review page at %s%s/", server.url, review.prefix)
        if pages.open_to_all:
            log.warning(
                "anybody who reaches %s may look and label; give review.users_file or review.user_header", server.url
            )
        stopped = threading.Event()
        with stopped_by_signals(stopped.set):
            stopped.wait()


def _open_tap(settings: Settings, uri: str, places: dict[int, int]) -> "KafkaTap":
    from monitor.kafka.health import Health
    from monitor.kafka.tap import KafkaTap
    from monitor.metrics import Metrics

    start: float | dict[int, int] = places
    if not places and uri == settings.review.verdicts:
        start = time.time() - VERDICT_SECONDS
    return KafkaTap(parse_address(uri), settings.kafka, Health(Metrics()), start)
