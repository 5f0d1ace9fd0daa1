"""The users file: one line per user, with the password as a scrypt hash (RFC 7914).

ann:scrypt:SALT:KEY       salt and key in base64; `andon-monitor user ann` prints this line
"""

import base64
import binascii
import hashlib
import hmac
import re
import secrets
import threading
from pathlib import Path

from andon_monitor.errors import UsageError
from andon_monitor.telemetry.server import read_basic

# Cost, block size and parallelism of scrypt, as OWASP's password storage cheat sheet recommends: 16 MiB, about 0.2 s.
SCRYPT_N, SCRYPT_R, SCRYPT_P = 2**14, 8, 5
SCRYPT_MAX_BYTES = 2**26
SALT_BYTES, KEY_BYTES = 16, 32
NAME = re.compile(r"[^:#\s][^:]*")
MAX_NAME_LENGTH = 100
MAX_CACHED = 1000  # correct headers


class Users:
    """The users in a file. Raises UsageError if it is not a users file."""

    def __init__(self, path: Path) -> None:
        self._keys = _read(path)
        self._unknown = (bytes(SALT_BYTES), bytes(KEY_BYTES))
        # A browser sends its password with every picture, so correct headers are cached under a fast hash.
        self._secret = secrets.token_bytes(32)
        self._names: dict[bytes, str] = {}
        self._lock = threading.Lock()  # one scrypt at a time, so that many guesses take only one core and 16 MiB

    def name(self, authorization: str) -> str | None:
        """The user whose name and password are in an `Authorization` header (basic auth, RFC 7617), else None."""
        header = hmac.digest(self._secret, authorization.encode(), "sha256")
        if header in self._names:
            return self._names[header]
        given = read_basic(authorization)
        if given is None:
            return None
        name, password = given
        salt, key = self._keys.get(name, self._unknown)  # an unknown name takes as long as a known one
        with self._lock:
            same = hmac.compare_digest(_derive(password, salt), key)
        if not same or name not in self._keys:
            return None
        if len(self._names) < MAX_CACHED:
            self._names[header] = name
        return name


def line(name: str, password: str) -> str:
    """A user's line for the file. Raises UsageError for a name or password that is not allowed."""
    if not NAME.fullmatch(name) or not name.isprintable() or len(name) > MAX_NAME_LENGTH:
        raise UsageError(
            f"name {name[:MAX_NAME_LENGTH]!r}: give printable characters without a colon, at most {MAX_NAME_LENGTH}"
        )
    if not password:
        raise UsageError("no password; give one")
    salt = secrets.token_bytes(SALT_BYTES)
    parts = (base64.b64encode(part).decode() for part in (salt, _derive(password, salt)))
    return ":".join([name, "scrypt", *parts])


def _derive(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(
        password.encode(), salt=salt, n=SCRYPT_N, r=SCRYPT_R, p=SCRYPT_P, maxmem=SCRYPT_MAX_BYTES, dklen=KEY_BYTES
    )


def _read(path: Path) -> dict[str, tuple[bytes, bytes]]:
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except FileNotFoundError:
        raise UsageError(f"review.users_file: {path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"review.users_file: {path}: cannot be read ({type(error).__name__})") from None
    users = {}
    for number, text in enumerate(lines, start=1):
        if not text or text.startswith("#"):
            continue
        name, *rest = text.split(":")
        key = _key(rest)
        if not name or key is None:  # the message does not repeat the line, which may hold a password
            raise UsageError(
                f"review.users_file: {path} line {number}: expected NAME:scrypt:SALT:KEY from andon-monitor user"
            )
        users[name] = key
    if not users:
        raise UsageError(f"review.users_file: {path}: has no users; add lines that andon-monitor user prints")
    return users


def _key(parts: list[str]) -> tuple[bytes, bytes] | None:
    if len(parts) != 3 or parts[0] != "scrypt":
        return None
    try:
        salt, key = (base64.b64decode(part, validate=True) for part in parts[1:])
    except (binascii.Error, ValueError):
        return None
    return (salt, key) if (len(salt), len(key)) == (SALT_BYTES, KEY_BYTES) else None
