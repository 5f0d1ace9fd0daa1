"""The web application: routes and what their pages are filled with."""

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from andon_monitor.common import html as pages
from andon_monitor.errors import EvidenceError, OutputError, UsageError
from andon_monitor.formats.evidence_package import unpack
from andon_monitor.inspection.frames import rfc3339
from andon_monitor.review import drawing, figures, gallery, labels, live
from andon_monitor.review.access import CSRF_COOKIE, Access, SafeHeaders, Visitor, form_token, read_form
from andon_monitor.review.gallery import Filters
from andon_monitor.review.pictures import PICTURES, draw
from andon_monitor.review.store import Store
from andon_monitor.settings.groups import ReviewSettings

STREAMS = 64  # open pages that are told of news, at most
LOOK_SECONDS = 0.5
BEAT_SECONDS = 15.0  # a stream without news says that it lives, or a proxy would end it
YEAR = 31_536_000

Page = Callable[[Request, Visitor], Response]


class Review:
    """The pages of one store. `silence`: seconds without a frame after which a camera is shown as silent."""

    def __init__(self, store: Store, settings: ReviewSettings, silence: float = 60.0) -> None:
        self._store = store
        self._settings = settings
        self._silence = silence
        self._access = Access(settings)
        self._streams = 0
        self._closed = False
        self._templates = pages.environment("andon_monitor.review", "templates")
        self._templates.globals.update(prefix=settings.prefix, LABELS=labels.LABELS, PICTURES=PICTURES)
        self._templates.filters.update(rfc3339=rfc3339, minute=gallery.minute)

    def close(self) -> None:
        """End the streams of news, which have no end of their own."""
        self._closed = True

    @property
    def open_to_all(self) -> bool:
        """See `Access.open_to_all`."""
        return self._access.open_to_all

    def app(self) -> Starlette:
        """The application, under the prefix."""
        routes: list[BaseRoute] = [
            Route("/", self._page(self._now)),
            Route("/defects", self._page(partial(self._gallery, kind="defect"))),
            Route("/borderline", self._page(partial(self._gallery, kind="borderline"))),
            Route("/good", self._page(partial(self._gallery, kind="good"))),
            Route("/model", self._page(self._model)),
            Route("/frames/{id}", self._page(self._frame)),
            Route("/frames/{id}/{picture}", self._page(self._picture)),
            Route("/frames/{id}/label", self._change(self._label), methods=["POST"]),
            Route("/frames/{id}/undo", self._change(self._undo), methods=["POST"]),
            Route("/events", self._events),
            Route("/healthz", lambda request: PlainTextResponse("alive\n")),
            Mount("/static", StaticFiles(directory=Path(__file__).parent / "static")),
        ]
        prefix = self._settings.prefix
        middleware = [
            Middleware(TrustedHostMiddleware, allowed_hosts=list(self._settings.hosts), www_redirect=False),
            Middleware(SafeHeaders),
        ]
        return Starlette(
            routes=[Mount(prefix, routes=routes), Route("/", lambda request: RedirectResponse(f"{prefix}/"))]
            if prefix
            else routes,
            middleware=middleware,
            exception_handlers={404: lambda request, error: PlainTextResponse("no such page\n", 404)},
        )

    def _page(self, page: Page) -> Callable[[Request], Response]:
        def answer(request: Request) -> Response:
            visitor = self._access.visitor(request)
            if visitor is None:
                return self._stranger()
            request.state.revision = self._revision()  # before the page is filled: what comes meanwhile is news
            return page(request, visitor)

        return answer

    def _change(self, change: Callable[[str, dict[str, str], str], Any]) -> Callable[[Request], Any]:
        """A form that changes a frame's label, and the way back to the frame."""

        async def answer(request: Request) -> Response:
            visitor = await run_in_threadpool(self._access.visitor, request)
            if visitor is None:
                return self._stranger()
            if not visitor.may_label:
                return PlainTextResponse(f"{visitor.name} may look, not label\n", status_code=403)
            fields = await read_form(request)
            if fields is None:
                return PlainTextResponse("not a form of this page; load the page again\n", status_code=403)
            frame_id = request.path_params["id"]
            try:
                await run_in_threadpool(change, frame_id, fields, visitor.name)
            except (UsageError, OutputError) as error:
                return PlainTextResponse(f"{error}\n", status_code=400 if isinstance(error, UsageError) else 503)
            back = Filters.read(request.query_params).query()
            return RedirectResponse(f"{self._settings.prefix}/frames/{frame_id}{back}", status_code=303)

        return answer

    def _label(self, frame_id: str, fields: dict[str, str], who: str) -> None:
        labels.give(self._store, frame_id, fields.get("label", ""), fields.get("kind", ""), who)

    def _undo(self, frame_id: str, fields: dict[str, str], who: str) -> None:
        labels.undo(self._store, frame_id, who)

    def _stranger(self) -> Response:
        return PlainTextResponse("who are you?\n", status_code=401, headers=self._access.challenge)

    def _render(self, request: Request, visitor: Visitor, name: str, **values: Any) -> Response:
        token = form_token(request)
        values |= {"visitor": visitor, "token": token, "revision": request.state.revision}
        content = self._templates.get_template(name).render(values)
        response = HTMLResponse(content)
        if CSRF_COOKIE not in request.cookies:
            path = self._settings.prefix or "/"
            response.set_cookie(CSRF_COOKIE, token, path=path, httponly=True, samesite="strict")
        return response

    def _now(self, request: Request, visitor: Visitor) -> Response:
        cameras = live.cameras(self._store)
        curves = {camera.name: drawing.curve(camera.ratios, live.CURVE) for camera in cameras}
        return self._render(request, visitor, "now.html.jinja", cameras=cameras, curves=curves, silence=self._silence)

    def _gallery(self, request: Request, visitor: Visitor, kind: str) -> Response:
        filters = Filters.read(request.query_params)
        frames = gallery.find(self._store, kind, filters, _place(request.query_params.get("before", "")))
        more = frames[gallery.PAGE :]
        frames = frames[: gallery.PAGE]
        return self._render(
            request,
            visitor,
            "gallery.html.jinja",
            kind=kind,
            frames=frames,
            filters=filters,
            total=gallery.count(self._store, kind, filters),
            first="before" not in request.query_params,
            older=filters.query(before=f"{frames[-1]['captured_at']!r}_{frames[-1]['number']}") if more else None,
            cameras=gallery.cameras(self._store),
            defects=labels.kinds(self._store),
        )

    def _frame(self, request: Request, visitor: Visitor) -> Response:
        shown = gallery.frame(self._store, request.path_params["id"])
        if shown is None:
            return PlainTextResponse("no such frame, or no longer: frames without a label go in time\n", 404)
        filters = Filters.read(request.query_params)
        newer, older = gallery.neighbours(self._store, shown, filters)
        return self._render(
            request,
            visitor,
            "frame.html.jinja",
            frame=shown,
            filters=filters,
            newer=newer,
            older=older,
            history=labels.history(self._store, shown["id"]),
            defects=labels.kinds(self._store),
        )

    def _picture(self, request: Request, visitor: Visitor) -> Response:
        frame_id, name = request.path_params["id"], request.path_params["picture"]
        try:
            if name == "thumbnail":
                content, content_type = self._store.thumbnail(frame_id), "image/jpeg"
            elif name in PICTURES and (package := self._store.package(frame_id)) is not None:
                content, content_type = draw(unpack(package), name)
            else:
                content = None
        except EvidenceError as error:
            return PlainTextResponse(f"{error}\n", 404)
        if content is None:
            return PlainTextResponse("no such picture, or no longer\n", 404)
        return Response(
            content, media_type=content_type, headers={"cache-control": f"private, max-age={YEAR}, immutable"}
        )

    def _model(self, request: Request, visitor: Visitor) -> Response:
        known = figures.models(self._store)
        wanted = request.query_params.get("sha256", "")
        chosen = next((model for model in known if model[0] == wanted), known[0] if known else None)
        values: dict[str, Any] = {"models": known, "chosen": chosen, "weeks": figures.weeks(self._store)}
        if chosen is not None:
            sha256, _, card = chosen
            frames = figures.judged(self._store, sha256)
            typed = _number(request.query_params.get("threshold", ""))
            values |= {
                "judged": frames,
                "cuts": figures.cuts(frames, card),
                "typed": None if typed is None else figures.cut(frames, typed),
                "plot": drawing.histogram(card.calibration.scores, card.threshold),
                "examples": figures.examples(self._store, sha256),
            }
        return self._render(request, visitor, "model.html.jinja", **values)

    async def _events(self, request: Request) -> Response:
        """News as server-sent events: a revision that changes when the store does."""
        if await run_in_threadpool(self._access.visitor, request) is None:
            return self._stranger()
        if self._streams >= STREAMS:
            return PlainTextResponse("too many pages are open\n", status_code=503, headers={"retry-after": "30"})
        return StreamingResponse(self._news(request), media_type="text/event-stream")

    def _revision(self) -> str:
        return "-".join(map(str, self._store.revision()))

    async def _news(self, request: Request) -> AsyncIterator[str]:
        self._streams += 1
        try:
            seen: str | None = None
            silent = 0.0
            while not self._closed and not await request.is_disconnected():
                revision = await run_in_threadpool(self._revision)
                if revision != seen:
                    seen, silent = revision, 0.0
                    yield f"data: {revision}\n\n"
                elif silent >= BEAT_SECONDS:
                    silent = 0.0
                    yield ": still here\n\n"
                silent += LOOK_SECONDS
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            self._streams -= 1


def _place(text: str) -> tuple[float, int] | None:
    """Where a page of the gallery begins, from its link."""
    at, _, number = text.partition("_")
    try:
        return float(at), int(number)
    except ValueError:
        return None


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if abs(value) < 1e9 else None
