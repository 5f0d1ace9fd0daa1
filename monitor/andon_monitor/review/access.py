"""Who a visitor is, what that visitor may do, and what a browser is told to refuse."""

import hmac
import ipaddress
import secrets
from dataclasses import dataclass
from urllib.parse import parse_qs

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from andon_monitor.review.users import NAME_LENGTH, Users
from andon_monitor.settings.groups import ReviewSettings

ANYBODY = "anybody"  # who labels where nobody is asked for a name
CSRF_COOKIE, CSRF_FIELD = "andon-form", "token"
FORM_BYTES = 4096
# Nothing but what this server sends: no script, style or image from elsewhere or from within a page.
POLICY = "; ".join(
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
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


@dataclass(frozen=True, slots=True)
class Visitor:
    """A person, or anybody."""

    name: str
    may_label: bool


class Access:
    """Tells visitors from their requests, by the settings. Raises UsageError: the file of users."""

    def __init__(self, settings: ReviewSettings) -> None:
        self._settings = settings
        self._users = None if settings.users_file is None else Users(settings.users_file)

    @property
    def open_to_all(self) -> bool:
        """Whether nobody is asked who they are, and the address can be reached from other machines."""
        asked = self._users or self._settings.user_header
        return not asked and not _is_loopback(self._settings.address)

    def visitor(self, request: Request) -> Visitor | None:
        """Who asks; None where that has to be said first."""
        settings = self._settings
        if self._users is not None:
            name = self._users.name(request.headers.get("authorization", ""))
        elif settings.user_header is not None:
            # Anybody can send a header: only a proxy's is believed.
            trusted = request.client is not None and request.client.host in settings.proxies
            name = request.headers.get(settings.user_header) if trusted else None
        else:
            name = ANYBODY
        if not name or len(name) > NAME_LENGTH or not name.isprintable():
            return None
        return Visitor(name, not settings.labellers or name in settings.labellers)

    @property
    def challenge(self) -> dict[str, str]:
        """Headers of an answer to somebody who has to say who they are."""
        return {"www-authenticate": 'Basic realm="andon", charset="UTF-8"'} if self._users else {}


def form_token(request: Request) -> str:
    """What a page's forms carry: the visitor's cookie, or a new one."""
    return request.cookies.get(CSRF_COOKIE) or secrets.token_urlsafe(32)


async def read_form(request: Request) -> dict[str, str] | None:
    """The fields of a form that one of our own pages sent, None for any other: another site knows no cookie of ours."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > FORM_BYTES:
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
        """Pass on, with headers."""

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
