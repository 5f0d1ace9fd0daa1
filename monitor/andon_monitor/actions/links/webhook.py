"""Webhooks: a POST for each message, signed as Standard Webhooks has it, done once the answer is 2xx."""

import base64
import hashlib
import hmac
import logging
import time
from typing import Any

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError

from andon_monitor.actions.links.base import LinkError, Message
from andon_monitor.actions.links.secrets import read_secret, tls_context
from andon_monitor.settings.actions import TargetSettings

# At the level of debugging it logs whole addresses, whose path is often a secret.
logging.getLogger("urllib3").setLevel(logging.CRITICAL)

# Answers that the same message would get again. Others, such as 401 while a token is renewed, may change.
LASTING = frozenset((400, 405, 406, 410, 413, 415, 422))
MAX_ANSWER_BYTES = 65_536  # nobody reads it, but it has to be read for the connection to be used again


class WebhookLink:
    """Posts to the one address of the settings; redirects are not followed.

    Headers: `webhook-id` (the verdict's id: the same for a message that comes twice), `webhook-timestamp` and, with a
    secret, `webhook-signature`: `v1,` and the base64 of HMAC-SHA256 over id, timestamp and body with dots between.
    """

    def __init__(self, settings: TargetSettings) -> None:
        self._settings = settings
        self._token = read_secret(settings, "token_file")
        self._secret = read_secret(settings, "secret_file")
        encrypted = settings.uri.startswith("https")
        self._tls = tls_context(settings) if encrypted else None
        timeout = urllib3.Timeout(connect=settings.timeout, read=settings.timeout)
        pool: dict[str, Any] = {} if self._tls is None else {"ssl_context": self._tls}
        self._pool = urllib3.PoolManager(1, timeout=timeout, retries=False, **pool)

    def open(self) -> None:
        """Does nothing: a connection is made with the first message, and used again."""

    def check(self) -> None:
        """Does nothing: each message has its own connection, or uses an earlier one again."""

    def send(self, message: Message) -> None:
        """Post, and wait for the answer."""
        body = message.payload.encode()
        moment = str(int(time.time()))
        headers = {
            "content-type": "application/json" if body[:1] in (b"{", b"[") else "text/plain; charset=utf-8",
            "user-agent": "andon-monitor",
            "webhook-id": message.id,
            "webhook-timestamp": moment,
        }
        if self._secret is not None:
            headers["webhook-signature"] = sign(self._secret, message.id, moment, body)
        if self._token is not None:
            headers["authorization"] = f"Bearer {self._token}"
        deadline = time.monotonic() + self._settings.timeout
        try:
            answer = self._pool.request(
                "POST", self._settings.uri, body=body, headers=headers, redirect=False, preload_content=False
            )
            self._read(answer, deadline)
        except (HTTPError, OSError) as error:
            raise LinkError(self._about(f"does not answer ({_words(error)})")) from None
        if not 200 <= answer.status < 300:
            raise LinkError(self._about(f"answers {answer.status}"), lasting=answer.status in LASTING)

    def beat(self, address: str, count: int, alive: bool) -> None:
        """Does nothing: a webhook has no heartbeat."""

    def acknowledged(self, address: str) -> bool:
        """Never: nothing is held."""
        return False

    def probe(self) -> str:
        """Connect, with TLS where the address has it, and send nothing."""
        address = urllib3.util.parse_url(self._settings.uri)
        host, timeout = address.host or "", self._settings.timeout
        connection = (
            HTTPConnection(host, address.port or 80, timeout=timeout)
            if self._tls is None
            else HTTPSConnection(host, address.port or 443, timeout=timeout, ssl_context=self._tls)
        )
        try:
            connection.connect()
        except (HTTPError, OSError) as error:
            raise LinkError(self._about(f"does not answer ({_words(error)})")) from None
        finally:
            connection.close()
        signed = "unsigned" if self._secret is None else "signed"
        return f"the server takes connections; messages are {signed}"

    def close(self) -> None:
        """Close the connections."""
        self._pool.clear()

    def _read(self, answer: urllib3.BaseHTTPResponse, deadline: float) -> None:
        """Read the answer's body within bounds; of a longer one the connection is not used again."""
        read = 0
        try:
            while chunk := answer.read1(MAX_ANSWER_BYTES):
                read += len(chunk)
                if read > MAX_ANSWER_BYTES or time.monotonic() > deadline:
                    answer.close()
                    return
        finally:
            answer.release_conn()

    def _about(self, what: str) -> str:
        return f"{self._settings.shown}: {what}"


def sign(secret: str, message_id: str, moment: str, body: bytes) -> str:
    """The header webhook-signature. A secret that begins with `whsec_` is base64, as senders of webhooks write it."""
    key = base64.b64decode(secret.removeprefix("whsec_")) if secret.startswith("whsec_") else secret.encode()
    digest = hmac.new(key, f"{message_id}.{moment}.".encode() + body, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


def _words(error: BaseException) -> str:
    """What went wrong, without the address and its query, which the library repeats."""
    reason = getattr(error, "reason", None)
    for one in (reason, error):
        if isinstance(one, OSError) and (one.strerror or getattr(one, "verify_message", None)):
            return getattr(one, "verify_message", None) or one.strerror or ""
    return type(reason or error).__name__
