"""Limits on requests, whatever the application: their bodies, and how many are worked on at a time."""

import asyncio
from collections.abc import Callable
from typing import Literal

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from andon_monitor.telemetry.connections import ENDLESS

BODY_SECONDS = 10.0  # from the header to the end of the body
MAX_BODY_BYTES = 64 * 1024
RETRY_SECONDS = 5  # told to a client that is sent away


class RequestLimits:
    """Middleware that reads bodies within limits, and sends away requests beyond a number that are worked on.

    Paths in `exempt` are never sent away: a supervisor's probes. Nor do endless streams count, which
    have a limit of their own. `refused` is called for each request sent away.
    """

    def __init__(
        self,
        app: ASGIApp,
        requests: int,
        exempt: tuple[str, ...],
        refused: Callable[[Literal["busy", "timeout"]], None],
    ) -> None:
        self._app = app
        self._requests = requests
        self._exempt = exempt
        self._refused = refused
        self._working = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with its whole body, or answer with 408, 413 or 503."""
        if scope["type"] != "http":
            return
        if scope["path"] in self._exempt:
            await self._app(scope, receive, send)
            return
        try:
            async with asyncio.timeout(BODY_SECONDS):
                body = await _read(receive)
        except TimeoutError:
            self._refused("timeout")
            await _answer(408, "the body takes too long", scope, receive, send)
            return
        if body is None:
            await _answer(413, f"a body has at most {MAX_BODY_BYTES} bytes", scope, receive, send)
            return
        if self._working >= self._requests:
            self._refused("busy")
            await _answer(503, "too many requests at once; try again", scope, receive, send)
            return
        counted = True
        self._working += 1

        async def send_counted(message: Message) -> None:
            nonlocal counted
            if counted and scope["state"].get(ENDLESS):
                counted = False
                self._working -= 1
            await send(message)

        unread = [body]

        async def receive_body() -> Message:
            if unread:
                return {"type": "http.request", "body": unread.pop(), "more_body": False}
            return await receive()

        try:
            await self._app(scope, receive_body, send_counted)
        finally:
            self._working -= counted


async def _read(receive: Receive) -> bytes | None:
    """The whole body, None if it is too large."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":  # the client has gone
            return bytes(body)
        body += message.get("body", b"")
        if len(body) > MAX_BODY_BYTES:
            return None
        if not message.get("more_body"):
            return bytes(body)


async def _answer(status: int, text: str, scope: Scope, receive: Receive, send: Send) -> None:
    headers = {"connection": "close"}
    if status == 503:
        headers["retry-after"] = str(RETRY_SECONDS)
    await PlainTextResponse(f"{text}\n", status_code=status, headers=headers)(scope, receive, send)
