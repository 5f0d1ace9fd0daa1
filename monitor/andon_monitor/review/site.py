"""What all pages share: who asks, the store, templates, forms that change something, and their answers."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response

from andon_monitor.common import html
from andon_monitor.common.files import read_within
from andon_monitor.common.times import rfc3339
from andon_monitor.errors import AndonError, OutputError, UsageError
from andon_monitor.review import card_words
from andon_monitor.review.access import CSRF_COOKIE, MAX_FORM_BYTES, Access, Visitor, form_token, read_form
from andon_monitor.review.filters import to_minute
from andon_monitor.review.news import News
from andon_monitor.review.store import Store
from andon_monitor.review.store.rows import LABELS
from andon_monitor.settings.groups import ReviewSettings

Page = Callable[[Request, Visitor], Response]
Change = Callable[[Request, dict[str, str], Visitor], str]  # returns the path of the page to show next
Endpoint = Callable[[Request], Awaitable[Response]]
Right = Literal["label", "change"]
REFUSALS: dict[Right, str] = {
    "label": "may view frames, not label them",
    "change": "may not change models (review.changers)",
}

# A report has its styles and pictures in itself; nothing else of it is let in.
REPORT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'; sandbox"
MAX_REPORT_BYTES = 100_000_000


class Site:
    """The pages' common parts."""

    def __init__(self, store: Store, settings: ReviewSettings) -> None:
        self.store = store
        self.settings = settings
        self.access = Access(settings)
        self.news = News(store)
        self._templates = html.environment("andon_monitor.review", "templates")
        self._templates.globals.update(prefix=settings.prefix, LABELS=LABELS, with_setup=settings.lines is not None)
        self._templates.globals.update(ENDINGS=card_words.ENDINGS, THRESHOLD_METHODS=card_words.THRESHOLD_METHODS)
        self._templates.filters.update(rfc3339=rfc3339, minute=to_minute)

    def page(self, page: Page) -> Endpoint:
        """The endpoint of a page, in a thread, for visitors who may see it."""

        def fill(request: Request, visitor: Visitor) -> Response:
            request.state.revision = self.news.revision()  # before the page is filled: later changes are news
            return page(request, visitor)

        async def answer(request: Request) -> Response:
            visitor = await self.access.visitor(request)
            return self.unauthorized(request) if visitor is None else await run_in_threadpool(fill, request, visitor)

        return answer

    def add_templates(self, package: str, folder: str = "templates") -> None:
        """Find templates in a folder of another package, too."""
        html.add_templates(self._templates, package, folder)

    def change(self, change: Change, right: Right, max_bytes: int = MAX_FORM_BYTES) -> Endpoint:
        """The endpoint of a form that changes something; the answer leads to the page that `change` returns.

        A script that accepts plain text alone gets "saved", or what was wrong.
        """

        def refuse(request: Request, visitor: Visitor, status: int, message: str) -> Response:
            request.state.revision = self.news.revision()
            return self.render(request, visitor, "message.html.jinja", status=status, message=message)

        async def answer(request: Request) -> Response:
            visitor = await self.access.visitor(request)
            if visitor is None:
                return self.unauthorized(request)
            if not (visitor.may_label if right == "label" else visitor.may_change):
                return PlainTextResponse(f"{visitor.name} {REFUSALS[right]}\n", status_code=403)
            fields = await read_form(request, max_bytes)
            if fields is None:
                return PlainTextResponse("not a form of this page; load the page again\n", status_code=403)
            wants_text = request.headers.get("accept") == "text/plain"
            try:
                path = await run_in_threadpool(change, request, fields, visitor)
            except AndonError as error:
                status = 400 if isinstance(error, UsageError) else 503 if isinstance(error, OutputError) else 422
                if wants_text:
                    return PlainTextResponse(str(error), status)
                return await run_in_threadpool(refuse, request, visitor, status, str(error))
            if wants_text:
                return PlainTextResponse("Saved.")
            return RedirectResponse(f"{self.settings.prefix}{path}", status_code=303)

        return answer

    def unauthorized(self, request: Request) -> Response:
        """The answer to a visitor who has to sign in: a browser is led to the form, a script is told the scheme."""
        from_browser = CSRF_COOKIE in request.cookies or "text/html" in request.headers.get("accept", "")
        if self.access.sessions is not None and from_browser and "authorization" not in request.headers:
            if request.method == "GET" and "text/html" in request.headers.get("accept", ""):
                path = request.url.path.removeprefix(self.settings.prefix)
                then = quote(f"{path}?{request.url.query}" if request.url.query else path, safe="")
                return RedirectResponse(f"{self.settings.prefix}/login?next={then}", status_code=303)
            return PlainTextResponse("please sign in again\n", status_code=401)  # no dialogue of the browser's own
        return PlainTextResponse("please sign in\n", status_code=401, headers=self.access.challenge)

    def render(self, request: Request, visitor: Visitor, name: str, status: int = 200, **values: Any) -> Response:
        """A page from a template."""
        values |= {"visitor": visitor, "revision": request.state.revision, "with_parts": self.store.parts.any()}
        return self.bare(request, name, status, **values)

    def bare(self, request: Request, name: str, status: int = 200, **values: Any) -> Response:
        """A page from a template that shows nothing of the line."""
        token = form_token(request)
        response = HTMLResponse(self._templates.get_template(name).render(values | {"token": token}), status)
        if CSRF_COOKIE not in request.cookies:
            path = self.settings.prefix or "/"
            secure = self.access.is_encrypted(request)
            response.set_cookie(CSRF_COOKIE, token, path=path, httponly=True, samesite="strict", secure=secure)
        return response


def report_response(path: Path) -> Response:
    """A report of one file, as a page that can do nothing; status 404 where there is none."""
    try:
        content = read_within(path, MAX_REPORT_BYTES)
    except OSError:
        return PlainTextResponse("no such report\n", 404)
    return Response(content, media_type="text/html", headers={"content-security-policy": REPORT_POLICY})
