"""Sign in with name and password, and sign out."""

import re
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from andon_monitor.review.access import read_form
from andon_monitor.review.sessions import SESSION_COOKIE
from andon_monitor.review.site import Site
from andon_monitor.review.users import MAX_NAME_LENGTH

# Where a visitor may be led after signing in: a path of this page, never another site.
NEXT = re.compile(r"/(?![/\\])[A-Za-z0-9._~/?=&%+:@!$'()*,;-]{0,1000}")
MAX_PASSWORD = 1000  # characters


class LoginPages:
    """The routes /login and /logout, where the page has users of its own."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def routes(self) -> list[BaseRoute]:
        """Their routes; none where nobody can sign in."""
        if self._site.access.sessions is None:
            return []
        return [
            Route("/login", self._form),
            Route("/login", self._sign_in, methods=["POST"]),
            Route("/logout", self._sign_out, methods=["POST"]),
        ]

    async def _form(self, request: Request) -> Response:
        return self._render(request, 200, "")

    async def _sign_in(self, request: Request) -> Response:
        fields = await read_form(request)
        if fields is None:
            return self._render(request, 403, "The form was out of date. Sign in again.")
        name, password = fields.get("name", "").strip(), fields.get("password", "")
        access = self._site.access
        if (
            len(name) > MAX_NAME_LENGTH
            or len(password) > MAX_PASSWORD
            or not await access.knows(name, password, request)
        ):
            return self._render(request, 403, "Name or password is wrong.")
        assert access.sessions is not None
        access.sessions.end(request.cookies.get(SESSION_COOKIE, ""))
        response = RedirectResponse(f"{self._site.settings.prefix}{_next(request)}", status_code=303)
        response.set_cookie(
            SESSION_COOKIE,
            access.sessions.start(name),
            max_age=int(access.sessions.seconds),
            path=self._site.settings.prefix or "/",
            httponly=True,
            samesite="lax",  # so that a link in a mail opens the page
            secure=access.is_encrypted(request),
        )
        return response

    async def _sign_out(self, request: Request) -> Response:
        if await read_form(request) is None:
            return PlainTextResponse("not a form of this page; load the page again\n", status_code=403)
        sessions = self._site.access.sessions
        assert sessions is not None
        sessions.end(request.cookies.get(SESSION_COOKIE, ""))
        response = RedirectResponse(f"{self._site.settings.prefix}/login", status_code=303)
        response.delete_cookie(SESSION_COOKIE, path=self._site.settings.prefix or "/")
        return response

    def _render(self, request: Request, status: int, message: str) -> Response:
        return self._site.bare(
            request, "login.html.jinja", status, message=message, then=quote(_next(request), safe="")
        )


def _next(request: Request) -> str:
    wanted = request.query_params.get("next", "")
    return wanted if NEXT.fullmatch(wanted) else "/"
