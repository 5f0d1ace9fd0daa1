"""Tokens for SASL OAUTHBEARER: fetched on a thread of their own, again before they expire, shared by all clients."""

import functools
import logging
import threading
import time
from dataclasses import dataclass
from typing import Protocol

from kafka import errors as kafka_errors

from andon_monitor.kafka.client_internals import AbstractTokenProvider

# The share of its lifetime after which a token is fetched again: what is left is for a token endpoint that is away.
REFRESH_SHARE = 0.8
# A token is not sent so shortly before its end: the broker's clock may be ahead, and the network takes its time.
MARGIN_SECONDS = 2.0
FIRST_PAUSE_SECONDS = 0.5
MAX_PAUSE_SECONDS = 10.0
REPEAT_LOG_SECONDS = 30.0
# How much longer than the issuer's own time limit somebody waits for the first token.
GRACE_SECONDS = 1.0

log = logging.getLogger("andon")


class TokenError(kafka_errors.KafkaConnectionError):  # type: ignore[misc]
    """Why there is no token, in one line without secrets; `may_pass` where waiting may help.

    A connection that needs the token fails with it, and the client connects again later.
    """

    def __init__(self, message: str, may_pass: bool) -> None:
        super().__init__(message)
        self.message = message
        self.may_pass = may_pass

    def __str__(self) -> str:
        return self.message


@dataclass(frozen=True)
class Token:
    """A token and for how many seconds from now it is valid."""

    text: str
    seconds: float

    def __repr__(self) -> str:  # never in a log
        return f"Token({self.seconds:.0f} s)"


class Issuer(Protocol):
    """Gives tokens. `timeout`: the longest time in seconds that `fetch` should take."""

    @property
    def timeout(self) -> float: ...

    def __hash__(self) -> int: ...

    def fetch(self) -> Token:
        """A new token. Raises TokenError."""


class Tokens(AbstractTokenProvider):  # type: ignore[misc]
    """The present token of an issuer, as the clients ask for it. Its thread lives as long as the process."""

    def __init__(self, issuer: Issuer) -> None:
        self._issuer = issuer
        self._changed = threading.Condition()
        self._text = ""
        self._expires = 0.0
        self._fault: TokenError | None = None
        self._thread: threading.Thread | None = None

    def token(self) -> str:
        """The present token. Raises TokenError. A client calls it where its heartbeats are sent: it does not wait."""
        with self._changed:
            if not self._is_valid():
                raise self._fault or TokenError("no token yet", True)
            return self._text

    def wait(self) -> None:
        """Wait until there is a valid token. Raises TokenError where the last attempt to get one failed."""
        with self._changed:
            if self._thread is None:
                self._thread = threading.Thread(target=self._refresh, name="kafka-tokens", daemon=True)
                self._thread.start()
            known = self._changed.wait_for(
                lambda: self._is_valid() or self._fault is not None, self._issuer.timeout + GRACE_SECONDS
            )
            if not self._is_valid():
                raise self._fault if known and self._fault else TokenError("no token in time", True)

    def _is_valid(self) -> bool:
        return time.monotonic() < self._expires

    def _refresh(self) -> None:
        pause, logged = FIRST_PAUSE_SECONDS, -REPEAT_LOG_SECONDS
        while True:
            try:
                token = self._issuer.fetch()
            except Exception as error:  # without this thread there would never be a token again
                fault = error if isinstance(error, TokenError) else TokenError(type(error).__name__, True)
                with self._changed:
                    self._fault = fault
                    self._changed.notify_all()
                # Whoever waits for the first token says why there is none.
                if self._text and time.monotonic() - logged >= REPEAT_LOG_SECONDS:
                    logged = time.monotonic()
                    left = self._expires - logged
                    until = f"is valid for {left:.0f} s" if left > 0 else "has expired"
                    log.warning("kafka: no new token: %s; the last one %s", fault, until)
                time.sleep(pause)
                pause = min(2 * pause, MAX_PAUSE_SECONDS)
            else:
                with self._changed:
                    self._text = token.text
                    self._expires = time.monotonic() + token.seconds - min(MARGIN_SECONDS, token.seconds / 10)
                    self._fault = None
                    self._changed.notify_all()
                pause, logged = FIRST_PAUSE_SECONDS, -REPEAT_LOG_SECONDS
                time.sleep(max(token.seconds * REFRESH_SHARE, FIRST_PAUSE_SECONDS))


@functools.cache
def tokens_of(issuer: Issuer) -> Tokens:
    """The one source of tokens of an issuer in this process."""
    return Tokens(issuer)
