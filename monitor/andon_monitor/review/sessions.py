"""Who is signed in: random tokens in a browser's cookie, of which the page remembers hashes, in memory."""

import hashlib
import secrets
import time
from collections import OrderedDict

SESSION_COOKIE = "andon-session"
MAX_SESSIONS = 1000  # beyond it the oldest ends; a line has some tens of people
TOKEN_BYTES = 32


class Sessions:
    """Sessions that end after `seconds`, or when the page is started again. Called in one event loop."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._names: OrderedDict[bytes, tuple[str, float]] = OrderedDict()

    def start(self, name: str) -> str:
        """A new session of a user; returns its token."""
        token = secrets.token_urlsafe(TOKEN_BYTES)
        self._names[_key(token)] = name, time.monotonic() + self.seconds
        if len(self._names) > MAX_SESSIONS:
            self._names.popitem(last=False)
        return token

    def name(self, token: str) -> str | None:
        """Whose session a token is, None for one that has ended or never was."""
        name, ends = self._names.get(_key(token), (None, 0.0))
        if name is not None and time.monotonic() >= ends:
            self.end(token)
            return None
        return name

    def end(self, token: str) -> None:
        """End a session."""
        self._names.pop(_key(token), None)


def _key(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="surrogateescape")).digest()
