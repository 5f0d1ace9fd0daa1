"""The monitor's HTTP server: /metrics for Prometheus, /healthz and /readyz for a supervisor."""

import asyncio
import base64
import hmac
import logging
import math
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from uvicorn.protocols.http.h11_impl import H11Protocol

from andon_monitor.errors import UsageError
from andon_monitor.settings.groups import ServerSettings
from andon_monitor.telemetry import credentials
from andon_monitor.telemetry.backoff import Backoff
from andon_monitor.telemetry.connections import (
    HEADER_SECONDS,
    MAX_HEADER_BYTES,
    ConnectionLimits,
    Gate,
    Refusal,
)
from andon_monitor.telemetry.metrics import Metrics
from andon_monitor.telemetry.requests import RequestLimits

DEFAULT_LIMITS = ConnectionLimits(connections=64, request_seconds=30.0)

log = logging.getLogger("andon")


@dataclass(frozen=True)
class User:
    """A user who may read /metrics."""

    name: str
    password: str

    def matches(self, authorization: str) -> bool:
        """Whether the header `Authorization` is this user's (basic auth, RFC 7617), in constant time."""
        given = read_basic(authorization)
        wanted = f"{self.name}:{self.password}"
        return given is not None and hmac.compare_digest(":".join(given).encode(), wanted.encode())


def read_basic(authorization: str) -> tuple[str, str] | None:
    """Name and password of a header `Authorization` (basic auth), None where it holds none."""
    scheme, _, encoded = authorization.partition(" ")
    try:
        name, colon, password = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    except ValueError:
        return None
    return (name, password) if scheme.lower() == "basic" and colon else None


PROBES = ("/healthz", "/readyz")
MAX_REQUESTS = 32  # at a time, without probes; threads of the pool are 40
# Scrapes take at most this share of a core, however many come: what inspects frames needs it.
MAX_SCRAPE_SHARE = 0.25
MAX_SCRAPE_TYPES = 8  # kept: content types that a client asks for


def build_app(
    registry: CollectorRegistry,
    is_ready: Callable[[], bool],
    user: User | None = None,
    refused: Callable[[Refusal], None] = lambda reason: None,
) -> Starlette:
    """The application. `is_ready`: whether the model is verified and the source is being read.

    Only /metrics requires `user`: a supervisor's probe has no password, and learns only yes or no. Probes are answered
    by the event loop itself, so that they need no thread. `refused` is called for each request sent away.
    """
    backoff = Backoff()
    scrapes = _Scrapes(registry)

    def metrics(request: Request) -> Response:
        if user is not None:
            peer = (peer_of(request),)
            wait = backoff.wait_seconds(peer)
            if wait > 0:
                refused("password")
                return too_many_guesses(wait)
            authorization = request.headers.get("authorization", "")
            if not user.matches(authorization):
                if authorization:
                    backoff.fail(peer)
                challenge = {"www-authenticate": 'Basic realm="andon", charset="UTF-8"'}
                return PlainTextResponse("user name and password required\n", status_code=401, headers=challenge)
            backoff.succeed(peer)
        content, content_type = scrapes.encode(request.headers.get("accept", ""))
        return Response(content, headers={"content-type": content_type})

    async def healthz(request: Request) -> Response:
        return PlainTextResponse("alive\n")

    async def readyz(request: Request) -> Response:
        ready = is_ready()
        return PlainTextResponse("ready\n" if ready else "not ready\n", status_code=200 if ready else 503)

    return Starlette(
        routes=[Route("/metrics", metrics), Route("/healthz", healthz), Route("/readyz", readyz)],
        middleware=[Middleware(RequestLimits, requests=MAX_REQUESTS, exempt=PROBES, refused=refused)],
    )


class _Scrapes:
    """The text of /metrics, encoded once for all who ask at the same time."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._lock = threading.Lock()
        self._encoded: dict[str, tuple[bytes, float, float]] = {}  # by content type: text, fresh until, begun at

    def encode(self, accept: str) -> tuple[bytes, str]:
        """Text and content type for a header `Accept`."""
        encode, content_type = choose_encoder(accept)
        asked = time.monotonic()
        with self._lock:
            content, fresh_until, begun = self._encoded.get(content_type, (b"", 0.0, 0.0))
            now = time.monotonic()
            if now >= fresh_until and begun < asked:
                content, ended = encode(self._registry), time.monotonic()
                self._encoded[content_type] = (content, now + (ended - now) / MAX_SCRAPE_SHARE, now)
                while len(self._encoded) > MAX_SCRAPE_TYPES:
                    self._encoded.pop(next(iter(self._encoded)))
        return content, content_type


def peer_of(request: Request) -> str:
    """The address of the TCP connection's other end: what a header says about it does not count."""
    return "" if request.client is None else request.client.host


def too_many_guesses(wait_seconds: float) -> Response:
    """The answer to a visitor who has to wait after wrong passwords."""
    headers = {"retry-after": str(math.ceil(wait_seconds))}
    return PlainTextResponse("too many wrong passwords; wait\n", status_code=429, headers=headers)


def bind(address: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one. Raises UsageError: port in use, address not of this machine."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen()
    except OSError as error:
        listener.close()
        raise UsageError(
            f"server {address}:{port}: {error.strerror or error}; give another --port, 0 for a free one, or --no-server"
        ) from None
    return listener


class _GatedServer(uvicorn.Server):
    """uvicorn's server with a gate for its connections instead of asyncio's own accept."""

    def __init__(self, config: uvicorn.Config, gate: Callable[[uvicorn.Server], Gate]) -> None:
        super().__init__(config)
        self._gate = gate(self)
        self._accepting: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=[])
        self._accepting = asyncio.get_running_loop().create_task(self._gate.run())

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self._accepting is not None:
            self._accepting.cancel()
        self._gate.close()
        await super().shutdown(sockets=[])


class Server:
    """Serves an application in a thread of its own until closed: over TLS with a `certificate`, else over plain HTTP.

    `certificate` and `key` are PEM files; `key_password` is None if the key is not encrypted. `refused` is called for
    each connection closed against its client's will.
    """

    def __init__(
        self,
        app: Starlette,
        address: str,
        port: int,
        certificate: Path | None = None,
        key: Path | None = None,
        key_password: str | None = None,
        limits: ConnectionLimits = DEFAULT_LIMITS,
        refused: Callable[[Refusal], None] = lambda reason: None,
    ) -> None:
        self._listener = bind(address, port)
        scheme, host = "http" if certificate is None else "https", f"[{address}]" if ":" in address else address
        self.url = f"{scheme}://{host}:{self._listener.getsockname()[1]}"
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            http=H11Protocol,
            ws="none",
            proxy_headers=False,  # the peer is who connected, not who a header names
            h11_max_incomplete_event_size=MAX_HEADER_BYTES,
            timeout_keep_alive=math.ceil(HEADER_SECONDS),
            server_header=False,
            timeout_graceful_shutdown=1,  # seconds; streams of events never end by themselves
            ssl_certfile=certificate,
            ssl_keyfile=None if certificate is None else key or certificate,
            ssl_keyfile_password=key_password,
        )
        self._server = _GatedServer(config, lambda server: Gate(self._listener, server, limits, refused))
        self._thread = threading.Thread(target=self._server.run, name="server", daemon=True)

    def start(self) -> None:
        """Start serving."""
        self._thread.start()

    def close(self) -> None:
        """Stop serving and free the port."""
        if self._thread.is_alive():
            self._server.should_exit = True
            self._thread.join(timeout=5)
        self._listener.close()


def open_server(
    settings: ServerSettings,
    registry: CollectorRegistry,
    is_ready: Callable[[], bool],
    refused: Callable[[Refusal], None] = lambda reason: None,
) -> Server:
    """The server that the settings describe. Raises UsageError: bad certificate, password file, port or address."""
    credentials.certificate(settings)
    password = credentials.password(settings)
    user = None
    if settings.username is not None and password is not None:
        user = User(settings.username, password.get_secret_value())
    return Server(
        build_app(registry, is_ready, user, refused),
        settings.address,
        settings.port,
        settings.certificate_file,
        settings.key_file,
        None if settings.key_password is None else settings.key_password.get_secret_value(),
        ConnectionLimits(settings.connections, settings.request_timeout),
        refused,
    )


@contextmanager
def serve_metrics(settings: ServerSettings, metrics: Metrics, is_ready: Callable[[], bool]) -> Iterator[None]:
    """Serve a service's metrics inside the block, where the settings want that. Raises as `open_server`."""
    if not settings.enabled:
        yield
        return
    server = open_server(settings, metrics.registry, is_ready, lambda reason: metrics.http_refused.labels(reason).inc())
    try:
        server.start()
        log.info("metrics at %s/metrics", server.url)
        yield
    finally:
        server.close()
