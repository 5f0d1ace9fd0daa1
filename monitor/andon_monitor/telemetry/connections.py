"""The connections of an HTTP server: how many there are, how long each may take, which one makes room for a new one.

A client that sends nothing, or a byte a minute, holds a file descriptor. Here such a connection is closed after a time,
and earlier when a new one needs its place, so that a probe gets its answer whatever others do.
"""

import asyncio
import logging
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from andon_monitor.common.system import max_descriptors
from andon_monitor.telemetry.logs import Occasional

# A connection without a complete request is closed after this time: also one that idles between two requests.
HEADER_SECONDS = 10.0
MAX_HEADER_BYTES = 16 * 1024
SWEEP_SECONDS = 0.5  # between two searches for connections whose time is up
ACCEPT_RETRY_SECONDS = 0.2  # after an accept that failed, such as for want of file descriptors
# Files, brokers and databases need the other descriptors.
MAX_SHARE_OF_DESCRIPTORS = 4
DEAD_PEER_SECONDS = 60  # without an acknowledgement of what was sent

Refusal = Literal["connections", "timeout", "busy", "password"]

log = logging.getLogger("andon")


@dataclass(frozen=True)
class ConnectionLimits:
    """Largest number of open connections, and the longest time in seconds from a request's header to its answer."""

    connections: int
    request_seconds: float

    @property
    def within_descriptors(self) -> int:
        """`connections`, or fewer where the process may not open that many files."""
        descriptors = max_descriptors()
        if descriptors is None:
            return self.connections
        return max(4, min(self.connections, descriptors // MAX_SHARE_OF_DESCRIPTORS))


class _Protocol(H11Protocol):
    """uvicorn's protocol, which also tells when the connection is gone."""

    closed: "asyncio.Future[None]"

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if not self.closed.done():
            self.closed.set_result(None)


class Connection:
    """One connection, from its accept on. `protocol` is None at first, and has no transport until TLS is agreed."""

    def __init__(self, client: socket.socket, peer: str) -> None:
        self.client = client
        self.peer = peer
        self.protocol: _Protocol | None = None
        self.task: asyncio.Task[None] | None = None
        self._seen: tuple[object, bool] = (None, False)
        self._since = time.monotonic()

    @property
    def is_working(self) -> bool:
        """Whether a complete request waits for its answer."""
        cycle = self._cycle
        return cycle is not None and not cycle.response_complete and not cycle.more_body

    def has_expired(self, limits: ConnectionLimits, now: float) -> bool:
        """Whether the time for what the connection does is up."""
        cycle = self._cycle
        answering = cycle is not None and (not cycle.response_complete or self._unsent > 0)
        if (cycle, answering) != self._seen:
            self._seen, self._since = (cycle, answering), now
        if answering and cycle.scope["state"].get(ENDLESS):
            return False
        return now - self._since > (limits.request_seconds if answering else HEADER_SECONDS)

    def abort(self) -> None:
        """Close it at once, without sending what waits to be sent."""
        if self.task is not None:
            self.task.cancel()
        if self.protocol is None:
            self.client.close()
        elif self.protocol.transport is not None:
            self.protocol.transport.abort()

    @property
    def _cycle(self) -> Any:
        return None if self.protocol is None else self.protocol.cycle

    @property
    def _unsent(self) -> int:
        assert self.protocol is not None
        return self.protocol.transport.get_write_buffer_size()


ENDLESS = "endless"  # in a request's state: its answer is a stream that has no end


class Gate:
    """Accepts connections for a server and closes those that take too long or make room for new ones.

    `refused` is called for each connection closed against its client's will.
    """

    def __init__(
        self,
        listener: socket.socket,
        server: uvicorn.Server,
        limits: ConnectionLimits,
        refused: Callable[[Refusal], None],
    ) -> None:
        self._listener = listener
        self._server = server
        self._limits = limits
        self._refused = refused
        self._connections: dict[Connection, None] = {}  # the oldest first
        self._warning = Occasional()

    async def run(self) -> None:
        """Accept and sweep until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._accept())
            group.create_task(self._sweep())

    def close(self) -> None:
        """Close every connection that does not wait for an answer."""
        for connection in list(self._connections):
            if not connection.is_working:
                connection.abort()

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        self._listener.setblocking(False)
        while True:
            try:
                client, address = await loop.sock_accept(self._listener)
                self._admit(client, str(address[0]) if isinstance(address, tuple) else "")
                await asyncio.sleep(0)  # so that requests are read however fast connections come
            except Exception as error:  # a client that has gone, or no descriptor left: never the end of the server
                self._warning.log(log, "server: no connection can be accepted (%s)", error)
                self._make_room(0)
                await asyncio.sleep(ACCEPT_RETRY_SECONDS)

    def _admit(self, client: socket.socket, peer: str) -> None:
        if not self._make_room(self._limits.within_descriptors - 1):
            client.close()
            return
        if sys.platform == "linux":
            with suppress(OSError):
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 1000 * DEAD_PEER_SECONDS)
        connection = Connection(client, peer)
        self._connections[connection] = None
        connection.task = asyncio.get_running_loop().create_task(self._serve(connection))

    def _make_room(self, limit: int) -> bool:
        """Close connections until `limit` are open: the oldest of the address that has most, none that is answered."""
        while len(self._connections) > limit:
            self._refused("connections")
            candidates = [connection for connection in self._connections if not connection.is_working]
            if not candidates:
                return False
            open_by_peer = Counter(connection.peer for connection in self._connections)
            victim = max(candidates, key=lambda connection: open_by_peer[connection.peer])  # the first of equals
            self._warning.log(log, "server: too many connections; the oldest of %s is closed", victim.peer)
            self._drop(victim)
        return True

    async def _serve(self, connection: Connection) -> None:
        loop, config = asyncio.get_running_loop(), self._server.config

        def build() -> asyncio.Protocol:
            protocol = _Protocol(config=config, server_state=self._server.server_state, app_state={}, _loop=loop)
            protocol.closed = loop.create_future()
            connection.protocol = protocol
            return protocol

        tls_seconds = HEADER_SECONDS if config.ssl else None
        try:
            _, protocol = await loop.connect_accepted_socket(
                build, connection.client, ssl=config.ssl, ssl_handshake_timeout=tls_seconds
            )
            assert isinstance(protocol, _Protocol)
            await protocol.closed
        except (OSError, asyncio.CancelledError):  # no TLS spoken, a client that has gone, or ours to drop
            pass
        finally:
            self._connections.pop(connection, None)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            now = time.monotonic()
            for connection in [each for each in self._connections if each.has_expired(self._limits, now)]:
                self._refused("timeout")
                self._drop(connection)

    def _drop(self, connection: Connection) -> None:
        self._connections.pop(connection, None)
        connection.abort()
