"""The web application: routes, and the values that fill their templates."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from andon_monitor.errors import EvidenceError
from andon_monitor.formats.evidence_package import Kind, unpack
from andon_monitor.review import drawing, labels, live
from andon_monitor.review.access import SafeHeaders, Visitor
from andon_monitor.review.filters import MAX_LENGTH, Filters
from andon_monitor.review.login import LoginPages
from andon_monitor.review.models.compare_pages import ComparePages
from andon_monitor.review.models.line_models import LineModels
from andon_monitor.review.models.pages import ModelPages
from andon_monitor.review.pictures import PICTURES, draw
from andon_monitor.review.site import Site
from andon_monitor.review.store import Store
from andon_monitor.review.store.frame_table import Place
from andon_monitor.review.store.rows import PartQuery
from andon_monitor.review.teach.pages import TeachPages
from andon_monitor.review.users import TooManyGuesses
from andon_monitor.settings.groups import ReviewSettings
from andon_monitor.telemetry.requests import RequestLimits
from andon_monitor.telemetry.server import too_many_guesses

PROBE = "/healthz"
MAX_REQUESTS = 32  # at a time, without probes and streams; threads of the pool are 40
PAGE_FRAMES = 48  # in the gallery: whole rows of 2, 3, 4, 6 or 8 tiles
PAGE_PARTS = 100
MAX_LARGE = 6  # cameras in large on the page; of more, each is a tile
YEAR_SECONDS = 31_536_000  # a picture's address always has the same content, so that browsers may keep it

MorePages = Callable[[Site, LineModels], Sequence[BaseRoute]]


class Review:
    """The pages of one store. `silence`: seconds without a frame after which a camera is shown as silent."""

    def __init__(
        self,
        store: Store,
        settings: ReviewSettings,
        silence: float = 60.0,
        models: LineModels | None = None,
        more: MorePages | None = None,
    ) -> None:
        """`models`: the model files of the line, None where the page knows none. `more`: makes further pages."""
        self._store = store
        self._settings = settings
        self._silence = silence
        self._site = Site(store, settings)
        models = models or LineModels(store, (), settings)
        self._model_pages = ModelPages(self._site, models)
        self._compare_pages = ComparePages(self._site, models)
        self._teach_pages = TeachPages(self._site, models, settings)
        self._more_routes = () if more is None else more(self._site, models)

    def close(self) -> None:
        """End the streams of news."""
        self._site.news.close()

    @property
    def open_to_all(self) -> bool:
        """See `Access.open_to_all`."""
        return self._site.access.open_to_all

    def app(self) -> Starlette:
        """The application, under the prefix."""
        page, change = self._site.page, self._site.change
        routes: list[BaseRoute] = [
            Route("/", page(self._now)),
            Route("/defects", page(partial(self._gallery, kind="defect"))),
            Route("/borderline", page(partial(self._gallery, kind="borderline"))),
            Route("/good", page(partial(self._gallery, kind="good"))),
            Route("/parts", page(self._parts)),
            Route("/frames/{id}", page(self._frame)),
            Route("/frames/{id}/{picture}", page(self._picture)),
            Route("/frames/{id}/label", change(self._add_label, "label"), methods=["POST"]),
            Route("/frames/{id}/undo", change(self._undo, "label"), methods=["POST"]),
            *self._model_pages.routes(),
            *self._compare_pages.routes(),
            *self._teach_pages.routes(),
            *self._more_routes,
            *LoginPages(self._site).routes(),
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

    def _add_label(self, request: Request, fields: dict[str, str], visitor: Visitor) -> str:
        frame_id = request.path_params["id"]
        labels.add_label(self._store, frame_id, fields.get("label", ""), fields.get("kind", ""), visitor.name)
        return _back_to_frame(request)

    def _undo(self, request: Request, fields: dict[str, str], visitor: Visitor) -> str:
        self._store.labels.undo(request.path_params["id"], visitor.name)
        return _back_to_frame(request)

    def _now(self, request: Request, visitor: Visitor) -> Response:
        only = request.query_params.get("camera", "")
        cameras = live.cameras(self._store, only=only)
        curves = {camera.name: drawing.curve(camera.ratios, live.CURVE_VERDICTS) for camera in cameras.shown}
        wanted = request.query_params.get("view", "")
        is_one = len(cameras.shown) == 1 and bool(only)
        return self._site.render(
            request,
            visitor,
            "now.html.jinja",
            cameras=cameras.shown,
            others=cameras.others,
            refused=self._store.refused,
            curves=curves,
            silence=self._silence,
            is_one=is_one,
            as_tiles=wanted == "tiles" or (wanted != "large" and not is_one and len(cameras.shown) > MAX_LARGE),
        )

    def _gallery(self, request: Request, visitor: Visitor, kind: Kind) -> Response:
        filters = Filters.read(request.query_params)
        query = filters.frames(kind)
        before = _parse_place(request.query_params.get("before", ""))
        found = self._store.frames.find(query, before=before, limit=PAGE_FRAMES + 1)
        frames = found[:PAGE_FRAMES]
        is_last = len(found) <= PAGE_FRAMES
        return self._site.render(
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
        given: dict[str, Any] = {
            name: request.query_params.get(name, "")[:MAX_LENGTH].strip() for name in ("verdict", "part", "product")
        }
        parts = self._store.parts.find(PartQuery(**given), PAGE_PARTS)
        views = {view["id"] for part in parts for view in part.views if view["verdict"] != "uninspectable"}
        return self._site.render(
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
        return self._site.render(
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

    async def _events(self, request: Request) -> Response:
        if await self._site.access.visitor(request) is None:
            return self._site.unauthorized(request)
        return self._site.news.respond(request)


def _back_to_frame(request: Request) -> str:
    return f"/frames/{request.path_params['id']}{Filters.read(request.query_params).query()}"


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
