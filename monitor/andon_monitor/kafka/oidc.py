"""Tokens from a token endpoint by OAuth 2.0 client credentials (RFC 6749, section 4.4), as OpenID Connect servers have.

The answer is not trusted: it is bounded in time and size, and no part of it but its error code is ever shown.
"""

import base64
import http.client
import json
import re
import socket
import ssl
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from andon_monitor.common.redaction import show_address
from andon_monitor.kafka.tokens import Token, TokenError

MAX_ANSWER_BYTES = 65_536
TOKEN = re.compile(r"[A-Za-z0-9._~+/-]{1,32768}=*")  # RFC 6750, section 2.1
ERROR_CODE = re.compile(r"[a-z_]{1,40}")  # of RFC 6749, section 5.2
# Error codes that the same request gets again. Others, such as temporarily_unavailable, may change.
LASTING = {
    "invalid_client": "wrong kafka.oauth_client_id or secret?",
    "unauthorized_client": "may this client use the grant client_credentials?",
    "invalid_scope": "wrong kafka.oauth_scope?",
    "unsupported_grant_type": "right is a server that has the grant client_credentials",
    "invalid_request": "wrong kafka.oauth_token_url, or is kafka.oauth_scope missing?",
}
LASTING_STATUS = {
    400: "wrong kafka.oauth_token_url or oauth_scope?",
    401: "wrong kafka.oauth_client_id or secret?",
    403: "may this client have tokens?",
    404: "wrong kafka.oauth_token_url?",
    405: "wrong kafka.oauth_token_url?",
}
# An answer need not say how long its token is valid.
ASSUMED_SECONDS = 60.0
# Shorter is no lifetime: the token would be fetched again without end. Longer ones are fetched again once a day.
MIN_SECONDS, MAX_SECONDS = 5.0, 86_400.0


@dataclass(frozen=True)
class TokenEndpoint:
    """A token endpoint and what this client sends to it. The secret is read from its file for every token."""

    url: str
    client_id: str
    secret_file: Path
    scope: str | None
    ca_file: Path | None
    timeout: float

    def fetch(self) -> Token:
        """Ask for a token. Raises TokenError."""
        status, body = self._post()
        try:
            answer = json.loads(body)
        except (ValueError, RecursionError):
            answer = None
        answer = answer if isinstance(answer, dict) else {}
        if status != http.client.OK:
            raise self._refusal(status, answer)
        text, seconds = answer.get("access_token"), answer.get("expires_in", ASSUMED_SECONDS)
        if not isinstance(text, str) or not TOKEN.fullmatch(text):
            raise self._fault("answers without a token; is this the address of a token endpoint?", True)
        try:
            seconds = float(seconds)
        except (TypeError, ValueError, OverflowError):
            seconds = 0.0
        if not seconds >= MIN_SECONDS:  # also where it is not a number
            raise self._fault(f"gives tokens that are valid for less than {MIN_SECONDS:g} s", True)
        return Token(text, min(seconds, MAX_SECONDS))

    def _post(self) -> tuple[int, bytes]:
        """Status and body of the answer. Redirects are not followed: the secret goes to this server alone."""
        fields = {"grant_type": "client_credentials"} | ({"scope": self.scope} if self.scope else {})
        credentials = f"{quote(self.client_id, safe='')}:{quote(self._secret(), safe='')}"
        headers = {
            "accept": "application/json",
            "authorization": f"Basic {base64.b64encode(credentials.encode()).decode()}",
            "content-type": "application/x-www-form-urlencoded",
        }
        address = urlsplit(self.url)
        path = (address.path or "/") + (f"?{address.query}" if address.query else "")
        connection = self._connection()
        # Each read has the connection's time limit; the sum of many has none.
        cut = threading.Event()  # set before the connection ends, so that its end is never taken for the server's
        limit = threading.Timer(self.timeout, _cut, (connection, cut))
        limit.daemon = True
        try:
            limit.start()
            connection.connect()
            connection.request("POST", path, urlencode(fields), headers)
            answer = connection.getresponse()
            body = answer.read(MAX_ANSWER_BYTES + 1)
            if cut.is_set():
                raise TimeoutError
            if len(body) > MAX_ANSWER_BYTES:
                raise self._fault(f"answers with more than {MAX_ANSWER_BYTES} bytes", True)
            return answer.status, body
        except ssl.SSLCertVerificationError as error:
            words = f"its certificate is not accepted ({error.verify_message}); wrong kafka.oauth_ca_file?"
            raise self._fault(words, False) from None
        except ssl.SSLError as error:
            raise self._fault(f"no TLS there ({error.reason})", True) from None
        except socket.gaierror:
            raise self._fault("no such host", True) from None
        except TimeoutError:
            raise self._fault(f"no answer within {self.timeout:g} s", True) from None
        except (OSError, http.client.HTTPException) as error:
            why = (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
            words = f"no answer within {self.timeout:g} s" if cut.is_set() else f"no answer ({why})"
            raise self._fault(words, True) from None
        finally:
            limit.cancel()
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        address = urlsplit(self.url)
        host = address.hostname or ""
        if address.scheme == "http":
            return http.client.HTTPConnection(host, address.port, timeout=self.timeout)
        if self.ca_file is not None and not self.ca_file.is_file():
            raise TokenError(f"kafka.oauth_ca_file: {self.ca_file}: no such file", False)
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
        except OSError as error:
            raise TokenError(
                f"kafka.oauth_ca_file: {self.ca_file}: not a PEM file of certificates ({error})", False
            ) from None
        return http.client.HTTPSConnection(host, address.port, timeout=self.timeout, context=context)

    def _secret(self) -> str:
        path = self.secret_file
        if not path.is_file():  # perhaps the secret itself, so it is not shown
            raise TokenError(
                "kafka.oauth_client_secret_file: no such file; right is the path of a file that holds the secret", False
            )
        try:
            text = path.read_text().strip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise TokenError(
                f"kafka.oauth_client_secret_file: {path}: cannot be read ({type(error).__name__})", False
            ) from None
        if not text or not text.isprintable():
            raise TokenError(f"kafka.oauth_client_secret_file: {path}: is empty or has more than one line", False)
        return text

    def _refusal(self, status: int, answer: dict[str, Any]) -> TokenError:
        code = answer.get("error")
        if isinstance(code, str) and ERROR_CODE.fullmatch(code):
            advice = LASTING.get(code)
            return self._fault(f"refuses with {code}{f'; {advice}' if advice else ''}", advice is None)
        advice = LASTING_STATUS.get(status)
        return self._fault(f"answers with status {status}{f'; {advice}' if advice else ''}", advice is None)

    def _fault(self, what: str, may_pass: bool) -> TokenError:
        return TokenError(f"token endpoint {show_address(self.url)}: {what}", may_pass)


def _cut(connection: http.client.HTTPConnection, cut: threading.Event) -> None:
    """End whatever the connection waits for."""
    cut.set()
    if connection.sock is not None:
        try:
            # Of a TLS connection, too: that of the class would first say goodbye to the other side.
            socket.socket.shutdown(connection.sock, socket.SHUT_RDWR)
        except OSError:  # it has ended
            return
