"""The monitor's HTTP server: /metrics for Prometheus, /healthz and /readyz for a supervisor."""

import base64
import hmac
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from andon_monitor.errors import UsageError
from andon_monitor.settings.groups import ServerSettings
from andon_monitor.telemetry import credentials


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


def build_app(registry: CollectorRegistry, is_ready: Callable[[], bool], user: User | None = None) -> Starlette:
    """The application. `is_ready`: whether the model is verified and the source is being read.

    Only /metrics requires `user`: a supervisor's probe has no password, and learns only yes or no.
    """

    def metrics(request: Request) -> Response:
        if user is not None and not user.matches(request.headers.get("authorization", "")):
            challenge = {"www-authenticate": 'Basic realm="andon", charset="UTF-8"'}
            return PlainTextResponse("user name and password required\n", status_code=401, headers=challenge)
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(registry), headers={"content-type": content_type})

    def healthz(request: Request) -> Response:
        return PlainTextResponse("alive\n")

    def readyz(request: Request) -> Response:
        ready = is_ready()
        return PlainTextResponse("ready\n" if ready else "not ready\n", status_code=200 if ready else 503)

    return Starlette(routes=[Route("/metrics", metrics), Route("/healthz", healthz), Route("/readyz", readyz)])


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


class Server:
    """Serves an application in a thread of its own until closed: over TLS with a `certificate`, else over plain HTTP.

    `certificate` and `key` are PEM files; `key_password` is None if the key is not encrypted.
    """

    def __init__(
        self,
        app: Starlette,
        address: str,
        port: int,
        certificate: Path | None = None,
        key: Path | None = None,
        key_password: str | None = None,
    ) -> None:
        self._listener = bind(address, port)
        scheme, host = "http" if certificate is None else "https", f"[{address}]" if ":" in address else address
        self.url = f"{scheme}://{host}:{self._listener.getsockname()[1]}"
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            timeout_graceful_shutdown=1,  # seconds; streams of events never end by themselves
            ssl_certfile=certificate,
            ssl_keyfile=None if certificate is None else key or certificate,
            ssl_keyfile_password=key_password,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._listener]}, name="server", daemon=True
        )

    def start(self) -> None:
        """Start serving."""
        self._thread.start()

    def close(self) -> None:
        """Stop serving and free the port."""
        if self._thread.is_alive():
            self._server.should_exit = True
            self._thread.join(timeout=5)
        self._listener.close()


def open_server(settings: ServerSettings, registry: CollectorRegistry, is_ready: Callable[[], bool]) -> Server:
    """The server that the settings describe. Raises UsageError: bad certificate, password file, port or address."""
    credentials.certificate(settings)
    password = credentials.password(settings)
    user = None
    if settings.username is not None and password is not None:
        user = User(settings.username, password.get_secret_value())
    return Server(
        build_app(registry, is_ready, user),
        settings.address,
        settings.port,
        settings.certificate_file,
        settings.key_file,
        None if settings.key_password is None else settings.key_password.get_secret_value(),
    )
