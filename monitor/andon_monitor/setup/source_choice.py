"""Which sources a visitor may choose on the page."""

from pathlib import Path
from urllib.parse import urlsplit

from andon_monitor.common.redaction import CONTROL, show_address
from andon_monitor.errors import UsageError
from andon_monitor.kafka.address import is_kafka, parse_address
from andon_monitor.settings.groups import ReviewSettings
from andon_monitor.sources.camera import DEVICE, STREAMS
from andon_monitor.sources.industrial.source import is_industrial
from andon_monitor.sources.watch import SCHEME as WATCH

MAX_LENGTH = 1000  # characters of an address


def check_source(uri: str, settings: ReviewSettings) -> str:
    """The address to open for what a visitor typed: of files, the real path. Raises UsageError.

    Cameras and topics may be anywhere, or on `review.source_hosts` alone; files are only read below `review.sources`.
    """
    if not uri:
        raise UsageError("no source; give rtsp://..., http://..., camera:0, kafka://..., or a recording or folder")
    if len(uri) > MAX_LENGTH or CONTROL.search(uri):
        raise UsageError(f"the source is no address: at most {MAX_LENGTH} characters, on one line, are right")
    scheme = uri.split("://", 1)[0].lower() if "://" in uri else ""
    if is_kafka(uri):
        for server in parse_address(uri).servers:
            _check_host(server.rpartition(":")[0].strip("[]"), settings)
        return uri
    if scheme in STREAMS:
        try:
            host = urlsplit(uri).hostname or ""
        except ValueError:
            host = ""
        if not host:
            raise UsageError(f"{show_address(uri)}: has no host; right is such as {scheme}://camera-1/stream")
        _check_host(host, settings)
        return uri
    if scheme:
        raise UsageError(f"{show_address(uri)}: unknown kind of source {scheme[:20]}://")
    if uri.startswith(DEVICE) or is_industrial(uri):
        return uri
    if uri.startswith(WATCH):
        return WATCH + str(_below(uri.removeprefix(WATCH), settings))
    return str(_below(uri, settings))


def is_stream(uri: str) -> bool:
    """Whether an address is that of a network camera, which may send on to another one."""
    return uri.split("://", 1)[0].lower() in STREAMS


def _check_host(host: str, settings: ReviewSettings) -> None:
    if settings.source_hosts and host not in settings.source_hosts:
        raise UsageError(f"{host[:100]}: not among review.source_hosts")


def _below(name: str, settings: ReviewSettings) -> Path:
    """The real path of a file or folder below `review.sources`."""
    if settings.sources is None:
        raise UsageError("files are not read here: review.sources, the folder of recordings and images, is not given")
    root = settings.sources.resolve()
    try:
        path = (root / name).resolve()
    except (OSError, ValueError, RuntimeError):
        raise UsageError("the source is no path") from None
    # What is elsewhere and what is not there get the same answer: nobody learns which files this machine has.
    if not path.is_relative_to(root) or not path.exists():
        raise UsageError(f"{show_address(name)[:200]}: no such folder or file in {root} (review.sources)")
    return path
