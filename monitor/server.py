"""The monitor's own HTTP server: /metrics for Prometheus, /healthz and /readyz for whatever supervises it."""

import socket
import threading
from collections.abc import Callable

import uvicorn
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from monitor.errors import UsageError


def build_app(registry: CollectorRegistry, is_ready: Callable[[], bool]) -> Starlette:
    """The application: `is_ready` is true once the model is verified and the source is being read."""

    def metrics(request: Request) -> Response:
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(registry), headers={"content-type": content_type})

    def healthz(request: Request) -> Response:
        return PlainTextResponse("alive\n")

    def readyz(request: Request) -> Response:
        ready = is_ready()
        return PlainTextResponse("ready\n" if ready else "not ready\n", status_code=200 if ready else 503)

    return Starlette(routes=[Route("/metrics", metrics), Route("/healthz", healthz), Route("/readyz", readyz)])


def bind(address: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one. Raises UsageError: the port is in use, the address is not ours."""
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
    """Serves an application in a thread of its own, until closed."""

    def __init__(self, app: Starlette, address: str, port: int) -> None:
        self._listener = bind(address, port)
        self.url = "http://{}:{}".format(f"[{address}]" if ":" in address else address, self._listener.getsockname()[1])
        config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", server_header=False)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._listener]}, name="server", daemon=True
        )

    def start(self) -> None:
        """Start to answer."""
        self._thread.start()

    def close(self) -> None:
        """Stop to answer and give the port back."""
        if self._thread.is_alive():
            self._server.should_exit = True
            self._thread.join(timeout=5)
        self._listener.close()
