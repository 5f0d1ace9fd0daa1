"""Who a visitor is and what that visitor may do, and the security headers of every answer."""

import hmac
import ipaddress
import secrets
from dataclasses import dataclass
from urllib.parse import parse_qs

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from andon_monitor.review.users import MAX_NAME_LENGTH, Users
from andon_monitor.settings.groups import ReviewSettings

ANYBODY = "anybody"  # the name of visitors if nobody has to sign in
CSRF_COOKIE, CSRF_FIELD = "andon-form", "token"
MAX_FORM_BYTES = 4096
# Only what this server sends as a file: no scripts, styles or images from elsewhere or inside a page.
CONTENT_SECURITY_POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    ]
)
HEADERS = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who looks at a page."""

    name: str
    may_label: bool


class Access:
    """Identifies visitors as the settings say. Raises UsageError if the users file is wrong."""

    def __init__(self, settings: ReviewSettings) -> None:
        self._settings = settings
        self._users = None if settings.users_file is None else Users(settings.users_file)

    @property
    def open_to_all(self) -> bool:
        """Whether visitors from other machines get in without signing in."""
        signs_in = self._users or self._settings.user_header
        return not signs_in and not _is_loopback(self._settings.address)

    def visitor(self, request: Request) -> Visitor | None:
        """Who sends a request, None if they have to sign in first."""
        settings = self._settings
        if self._users is not None:
            name = self._users.name(request.headers.get("authorization", ""))
        elif settings.user_header is not None:
            # Anybody can send this header, so only a proxy's is believed.
            trusted = request.client is not None and request.client.host in settings.proxies
            name = request.headers.get(settings.user_header) if trusted else None
        else:
            name = ANYBODY
        if not name or len(name) > MAX_NAME_LENGTH or not name.isprintable():
            return None
        return Visitor(name, not settings.labellers or name in settings.labellers)

    @property
    def challenge(self) -> dict[str, str]:
        """Headers that make a browser ask for name and password."""
        return {"www-authenticate": 'Basic realm="andon", charset="UTF-8"'} if self._users else {}


def form_token(request: Request) -> str:
    """The token in a page's forms: that of the visitor's cookie, or a new one."""
    return request.cookies.get(CSRF_COOKIE) or secrets.token_urlsafe(32)


async def read_form(request: Request) -> dict[str, str] | None:
    """The fields of a form sent by one of our pages, else None: other sites do not know the token in our cookie."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_FORM_BYTES:
            return None
    if not request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        return None
    try:
        fields = {name: values[0] for name, values in parse_qs(body.decode(), max_num_fields=10).items()}
    except ValueError:
        return None
    cookie, token = request.cookies.get(CSRF_COOKIE, ""), fields.get(CSRF_FIELD, "")
    ours = bool(cookie) and hmac.compare_digest(cookie.encode(), token.encode())
    return fields if ours and request.headers.get("sec-fetch-site", "same-origin") == "same-origin" else None


class SafeHeaders:
    """Middleware that adds `HEADERS` to every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and add the headers to the answer."""

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("cache-control", "no-store")
            await send(message)

        await self._app(scope, receive, send_safely)


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"
