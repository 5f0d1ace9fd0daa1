"""`andon-monitor draw`: a frame of a source, and its page until SIGINT or SIGTERM."""

import logging
import threading
from pathlib import Path

from andon_monitor.common.files import check_writable
from andon_monitor.common.process import stopped_by_signals
from andon_monitor.draw.app import DrawPage
from andon_monitor.draw.frame import first_picture
from andon_monitor.image_files.decoding import DecodingLimits
from andon_monitor.sources.base import Source
from andon_monitor.telemetry.connections import ConnectionLimits
from andon_monitor.telemetry.server import Server

ADDRESS = "127.0.0.1"  # the page has no users and passwords: it is for this machine alone
LIMITS = ConnectionLimits(connections=16, request_seconds=60.0)

log = logging.getLogger("andon")


def serve(source: Source, skip: int, output: Path, port: int, limits: DecodingLimits) -> None:
    """Serve the page until SIGINT or SIGTERM; closes the source. Raises UsageError, SourceError."""
    stopped = threading.Event()
    with stopped_by_signals(stopped.set):
        try:
            check_writable(output)
            picture = first_picture(source, skip, limits, stopped)
        finally:
            source.close()
        if picture is None:
            return
        page = DrawPage(picture, output)
        server = Server(page.app(), ADDRESS, port, limits=LIMITS)
        try:
            server.start()
            log.info("draw at %s%s/ (Ctrl-C ends it)", server.url, page.prefix)
            stopped.wait()
        finally:
            server.close()
