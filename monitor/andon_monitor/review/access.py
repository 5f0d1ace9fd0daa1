"""Who a visitor is and what that visitor may do, and the security headers of every answer."""

import hmac
import ipaddress
import secrets
from dataclasses import dataclass
from urllib.parse import parse_qs

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from andon_monitor.review.sessions import SESSION_COOKIE, Sessions
from andon_monitor.review.users import MAX_NAME_LENGTH, Users
from andon_monitor.settings.groups import ReviewSettings
from andon_monitor.telemetry.server import peer_of

ANYBODY = "anybody"  # the name of visitors if nobody has to sign in
CSRF_COOKIE, CSRF_FIELD = "andon-form", "token"
MAX_FORM_BYTES = 4096
HOUR_SECONDS = 3600.0
MAX_ADDRESS_LENGTH = 64  # characters
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
    may_change: bool = False  # models
    has_session: bool = False  # and can sign out


class Access:
    """Identifies visitors as the settings say. Raises UsageError if the users file is wrong."""

    def __init__(self, settings: ReviewSettings) -> None:
        self._settings = settings
        self._users = None if settings.users_file is None else Users(settings.users_file)
        self.sessions = None if self._users is None else Sessions(HOUR_SECONDS * settings.session_hours)
        self._proxies = [ipaddress.ip_network(text, strict=False) for text in settings.proxies]

    @property
    def open_to_all(self) -> bool:
        """Whether visitors from other machines get in without signing in."""
        signs_in = self._users or self._settings.user_header
        return not signs_in and not _is_loopback(self._settings.address)

    async def visitor(self, request: Request) -> Visitor | None:
        """Who sends a request, None if they have to sign in first. Raises TooManyGuesses."""
        settings = self._settings
        has_session = False
        if self._users is not None and self.sessions is not None:
            name = self.sessions.name(request.cookies.get(SESSION_COOKIE, ""))
            has_session = name is not None
            if name is None:
                name = await self._users.name(request.headers.get("authorization", ""), self._address(request))
        elif settings.user_header is not None:
            # Anybody can send this header, so only a proxy's is believed, and only where it is the only one: a proxy
            # that adds its own after a visitor's leaves both.
            given = request.headers.getlist(settings.user_header)
            name = given[0] if len(given) == 1 and self._from_proxy(request) else None
        else:
            name = ANYBODY
        if not name or len(name) > MAX_NAME_LENGTH or not name.isprintable():
            return None
        may_change = name in settings.changers
        return Visitor(
            name, may_change or not settings.labellers or name in settings.labellers, may_change, has_session
        )

    async def knows(self, name: str, password: str, request: Request) -> bool:
        """Whether name and password are those of a user. Raises TooManyGuesses."""
        return self._users is not None and await self._users.knows(name, password, self._address(request))

    def is_encrypted(self, request: Request) -> bool:
        """Whether the visitor's browser speaks TLS, with us or with a proxy of ours that says so."""
        said = request.headers.get("x-forwarded-proto", "") if self._from_proxy(request) else ""
        return request.url.scheme == "https" or said == "https"

    def _from_proxy(self, request: Request) -> bool:
        """Whether the other end of the TCP connection is one of `review.proxies`. What a header says does not count."""
        try:
            peer = _unmapped(ipaddress.ip_address(peer_of(request)))
        except ValueError:
            return False
        return any(peer in network for network in self._proxies if network.version == peer.version)

    def _address(self, request: Request) -> str:
        """The visitor's address, for back-off alone: that which a proxy of ours adds last, else the TCP peer's."""
        forwarded = request.headers.getlist("x-forwarded-for") if self._from_proxy(request) else []
        last = forwarded[-1].rpartition(",")[2].strip()[:MAX_ADDRESS_LENGTH] if forwarded else ""
        return last or peer_of(request)

    @property
    def challenge(self) -> dict[str, str]:
        """Headers that make a browser ask for name and password."""
        return {"www-authenticate": 'Basic realm="andon", charset="UTF-8"'} if self._users else {}


def form_token(request: Request) -> str:
    """The token in a page's forms: that of the visitor's cookie, or a new one."""
    return request.cookies.get(CSRF_COOKIE) or secrets.token_urlsafe(32)


async def read_form(request: Request, max_bytes: int = MAX_FORM_BYTES) -> dict[str, str] | None:
    """The fields of a form sent by one of our pages, else None: other sites do not know the token in our cookie."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > max_bytes:
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
                    headers.setdefault(name, value)  # a report has a policy of its own
                headers.setdefault("cache-control", "no-store")
            await send(message)

        await self._app(scope, receive, send_safely)


def _unmapped(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """An IPv4 address as such, where a listener on :: shows it as ::ffff:10.0.0.5."""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return address if mapped is None else mapped


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"
