"""The web application: routes, and the values that fill their templates."""

import math
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from andon_monitor.common import html
from andon_monitor.common.times import rfc3339
from andon_monitor.errors import EvidenceError, OutputError, UsageError
from andon_monitor.formats.evidence_package import Kind, unpack
from andon_monitor.review import card_words, drawing, figures, labels, live
from andon_monitor.review.access import CSRF_COOKIE, Access, SafeHeaders, Visitor, form_token, read_form
from andon_monitor.review.filters import MAX_LENGTH, Filters, parse_number, to_minute
from andon_monitor.review.news import News
from andon_monitor.review.pictures import PICTURES, draw
from andon_monitor.review.store import Store
from andon_monitor.review.store.frame_table import Place
from andon_monitor.review.store.rows import LABELS, PartQuery
from andon_monitor.review.users import TooManyGuesses
from andon_monitor.settings.groups import ReviewSettings
from andon_monitor.telemetry.requests import RequestLimits
from andon_monitor.telemetry.server import too_many_guesses

PROBE = "/healthz"
MAX_REQUESTS = 32  # at a time, without probes and streams; threads of the pool are 40
PAGE_FRAMES = 48  # in the gallery: whole rows of 2, 3, 4, 6 or 8 tiles
PAGE_PARTS = 100
MAX_THRESHOLD = 1e9  # that a visitor may try; more is a slip
YEAR_SECONDS = 31_536_000  # a picture's address always has the same content, so that browsers may keep it

Page = Callable[[Request, Visitor], Response]


class Review:
    """The pages of one store. `silence`: seconds without a frame after which a camera is shown as silent."""

    def __init__(self, store: Store, settings: ReviewSettings, silence: float = 60.0) -> None:
        self._store = store
        self._settings = settings
        self._silence = silence
        self._access = Access(settings)
        self._news = News(store)
        self._templates = html.environment("andon_monitor.review", "templates")
        self._templates.globals.update(prefix=settings.prefix, LABELS=LABELS)
        self._templates.globals.update(ENDINGS=card_words.ENDINGS, THRESHOLD_METHODS=card_words.THRESHOLD_METHODS)
        self._templates.filters.update(rfc3339=rfc3339, minute=to_minute)

    def close(self) -> None:
        """End the streams of news."""
        self._news.close()

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
            Route("/parts", self._page(self._parts)),
            Route("/model", self._page(self._model)),
            Route("/frames/{id}", self._page(self._frame)),
            Route("/frames/{id}/{picture}", self._page(self._picture)),
            Route("/frames/{id}/label", self._change(self._add_label), methods=["POST"]),
            Route("/frames/{id}/undo", self._change(self._undo), methods=["POST"]),
            Route("/events", self._events),
            Route(PROBE, _healthz),
            Mount("/static", StaticFiles(directory=Path(__file__).parent / "static")),
        ]
        prefix = self._settings.prefix
        middleware = [
            Middleware(TrustedHostMiddleware, allowed_hosts=list(self._settings.hosts), www_redirect=False),
            Middleware(SafeHeaders),
            Middleware(RequestLimits, requests=MAX_REQUESTS, exempt=(prefix + PROBE,), refused=lambda reason: None),
        ]
        return Starlette(
            routes=[Mount(prefix, routes=routes), Route("/", lambda request: RedirectResponse(f"{prefix}/"))]
            if prefix
            else routes,
            middleware=middleware,
            exception_handlers={404: _no_such_page, TooManyGuesses: _too_many_guesses},
        )

    def _page(self, page: Page) -> Callable[[Request], Awaitable[Response]]:
        def fill(request: Request, visitor: Visitor) -> Response:
            request.state.revision = self._news.revision()  # before the page is filled: later changes are news
            return page(request, visitor)

        async def answer(request: Request) -> Response:
            visitor = await self._access.visitor(request)
            return self._unauthorized() if visitor is None else await run_in_threadpool(fill, request, visitor)

        return answer

    def _change(self, change: Callable[[str, dict[str, str], str], Any]) -> Callable[[Request], Awaitable[Response]]:
        """A form that changes a frame's label; the answer leads back to the frame."""

        async def answer(request: Request) -> Response:
            visitor = await self._access.visitor(request)
            if visitor is None:
                return self._unauthorized()
            if not visitor.may_label:
                return PlainTextResponse(f"{visitor.name} may view frames, not label them\n", status_code=403)
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

    def _add_label(self, frame_id: str, fields: dict[str, str], who: str) -> None:
        labels.add_label(self._store, frame_id, fields.get("label", ""), fields.get("kind", ""), who)

    def _undo(self, frame_id: str, fields: dict[str, str], who: str) -> None:
        self._store.labels.undo(frame_id, who)

    def _unauthorized(self) -> Response:
        return PlainTextResponse("please sign in\n", status_code=401, headers=self._access.challenge)

    def _render(self, request: Request, visitor: Visitor, name: str, **values: Any) -> Response:
        token = form_token(request)
        values |= {"visitor": visitor, "token": token, "revision": request.state.revision}
        values["with_parts"] = self._store.parts.any()
        content = self._templates.get_template(name).render(values)
        response = HTMLResponse(content)
        if CSRF_COOKIE not in request.cookies:
            path = self._settings.prefix or "/"
            secure = self._access.is_encrypted(request)
            response.set_cookie(CSRF_COOKIE, token, path=path, httponly=True, samesite="strict", secure=secure)
        return response

    def _now(self, request: Request, visitor: Visitor) -> Response:
        cameras = live.cameras(self._store)
        curves = {camera.name: drawing.curve(camera.ratios, live.CURVE_VERDICTS) for camera in cameras.shown}
        return self._render(
            request,
            visitor,
            "now.html.jinja",
            cameras=cameras.shown,
            others=cameras.others,
            refused=self._store.refused,
            curves=curves,
            silence=self._silence,
        )

    def _gallery(self, request: Request, visitor: Visitor, kind: Kind) -> Response:
        filters = Filters.read(request.query_params)
        query = filters.frames(kind)
        before = _parse_place(request.query_params.get("before", ""))
        found = self._store.frames.find(query, before=before, limit=PAGE_FRAMES + 1)
        frames = found[:PAGE_FRAMES]
        is_last = len(found) <= PAGE_FRAMES
        return self._render(
            request,
            visitor,
            "gallery.html.jinja",
            kind=kind,
            frames=frames,
            filters=filters,
            total=self._store.frames.count(query),
            is_first="before" not in request.query_params,
            older=None if is_last else filters.query(before=f"{frames[-1].captured_at!r}_{frames[-1].number}"),
            cameras=self._store.frames.cameras(),
            products=self._store.frames.products(),
            defect_kinds=self._store.labels.defect_kinds(),
        )

    def _parts(self, request: Request, visitor: Visitor) -> Response:
        given = {
            name: request.query_params.get(name, "")[:MAX_LENGTH].strip() for name in ("verdict", "part", "product")
        }
        parts = self._store.parts.find(PartQuery(**given), PAGE_PARTS)
        views = {view["id"] for part in parts for view in part.views if view["verdict"] != "uninspectable"}
        return self._render(
            request,
            visitor,
            "part_list.html.jinja",
            **given,
            parts=parts,
            counts=self._store.parts.count(),
            products=self._store.parts.products(),
            known={view_id for view_id in views if self._store.frames.has(view_id)},
        )

    def _frame(self, request: Request, visitor: Visitor) -> Response:
        frame = self._store.frames.get(request.path_params["id"])
        if frame is None:
            return PlainTextResponse("no such frame; frames without a label are deleted after some time\n", 404)
        filters = Filters.read(request.query_params)
        newer, older = self._store.frames.neighbours(frame, filters.frames(frame.kind))
        return self._render(
            request,
            visitor,
            "frame.html.jinja",
            frame=frame,
            filters=filters,
            newer=newer,
            older=older,
            history=self._store.labels.history(frame.id),
            defect_kinds=self._store.labels.defect_kinds(),
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
            return PlainTextResponse("no such picture, or it is no longer kept\n", 404)
        return Response(
            content, media_type=content_type, headers={"cache-control": f"private, max-age={YEAR_SECONDS}, immutable"}
        )

    def _model(self, request: Request, visitor: Visitor) -> Response:
        models = figures.known_models(self._store)
        wanted = request.query_params.get("sha256", "")
        chosen = next((model for model in models if model.sha256 == wanted), models[0] if models else None)
        values: dict[str, Any] = {"models": models, "chosen": chosen, "weeks": figures.count_weeks(self._store)}
        if chosen is not None:
            decided = self._store.frames.decided_scores(chosen.sha256)
            typed = _parse_threshold(request.query_params.get("threshold", ""))
            values |= {
                "decided": decided,
                "outcomes": figures.compare_thresholds(decided, chosen.card),
                "typed": None if typed is None else figures.apply_threshold(decided, typed),
                "plot": drawing.histogram(chosen.card.calibration.scores, chosen.card.threshold),
                "cameras": self._store.frames.cameras(),
                "examples": figures.find_examples(self._store, chosen.sha256),
                "metrics": card_words.describe_metrics(chosen.card),
            }
        return self._render(request, visitor, "model.html.jinja", **values)

    async def _events(self, request: Request) -> Response:
        if await self._access.visitor(request) is None:
            return self._unauthorized()
        return self._news.respond(request)


async def _healthz(request: Request) -> Response:
    return PlainTextResponse("alive\n")  # by the event loop itself, so that it needs no thread


async def _no_such_page(request: Request, error: Exception) -> Response:
    return PlainTextResponse("no such page\n", 404)


async def _too_many_guesses(request: Request, error: Exception) -> Response:
    assert isinstance(error, TooManyGuesses)
    if error.status == 429:
        return too_many_guesses(error.wait_seconds)
    headers = {"retry-after": str(math.ceil(error.wait_seconds))}
    return PlainTextResponse("too many people sign in at once; try again\n", status_code=503, headers=headers)


def _parse_place(text: str) -> Place | None:
    """Where a page of the gallery begins, from its link."""
    at, _, number = text.partition("_")
    try:
        return float(at), int(number)
    except ValueError:
        return None


def _parse_threshold(text: str) -> float | None:
    number = parse_number(text)
    return number if number is not None and abs(number) < MAX_THRESHOLD else None
