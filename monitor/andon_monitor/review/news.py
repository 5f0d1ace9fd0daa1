"""News for open pages: server-sent events that tell a browser when the store has changed."""

import asyncio
from collections.abc import AsyncIterator

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from andon_monitor.review.store import Store
from andon_monitor.telemetry.connections import ENDLESS

MAX_STREAMS = 64  # pages open at a time
POLL_SECONDS = 0.5
KEEPALIVE_SECONDS = 15.0  # without any byte for longer, a proxy would close the stream


class News:
    """Streams of revisions of a store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._streams = 0
        self._closed = False

    def close(self) -> None:
        """End all streams; they have no end of their own."""
        self._closed = True

    def revision(self) -> str:
        """A text that changes when the store does."""
        return "-".join(map(str, self._store.revision()))

    def respond(self, request: Request) -> Response:
        """A stream of revisions, or status 503 if too many are open."""
        if self._streams >= MAX_STREAMS:
            return PlainTextResponse(
                "too many pages are open; close some\n", status_code=503, headers={"retry-after": "30"}
            )
        request.scope["state"][ENDLESS] = True
        return _Stream(self, self._events(request))

    async def _events(self, request: Request) -> AsyncIterator[str]:
        sent: str | None = None
        silent_seconds = 0.0
        while not self._closed and not await request.is_disconnected():
            revision = await run_in_threadpool(self.revision)
            if revision != sent:
                sent, silent_seconds = revision, 0.0
                yield f"data: {revision}\n\n"
            elif silent_seconds >= KEEPALIVE_SECONDS:
                silent_seconds = 0.0
                yield ": nothing new\n\n"
            silent_seconds += POLL_SECONDS
            await asyncio.sleep(POLL_SECONDS)


class _Stream(StreamingResponse):
    """A stream that is counted from its first byte to its end, however it ends."""

    def __init__(self, news: News, events: AsyncIterator[str]) -> None:
        super().__init__(events, media_type="text/event-stream")
        self._news = news

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        self._news._streams += 1
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._news._streams -= 1
