"""The file of users: a line for each, with the password as a scrypt hash (RFC 7914).

ann:scrypt:SALT:KEY       both in base64; `andon-monitor user ann` makes it
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

# One of the settings that OWASP's password storage cheat sheet names: 16 MiB and about a fifth of a second.
N, R, P = 2**14, 8, 5
SALT_BYTES, KEY_BYTES = 16, 32
NAME = re.compile(r"[^:#\s][^:]*")
NAME_LENGTH = 100
REMEMBERED = 1000  # headers that were right


class Users:
    """Those who may look. Raises UsageError where the file is none."""

    def __init__(self, path: Path) -> None:
        self._keys = _read(path)
        self._nobody = (bytes(SALT_BYTES), bytes(KEY_BYTES))
        # A browser sends its password with every picture; what was right once is known by a hash that is quickly made.
        self._secret = secrets.token_bytes(32)
        self._right: dict[bytes, str] = {}
        self._one_at_a_time = threading.Lock()  # guesses take one core and 16 MiB, however many come

    def name(self, authorization: str) -> str | None:
        """Whose password the header `Authorization` gives (basic auth, RFC 7617), None where it is nobody's."""
        header = hmac.digest(self._secret, authorization.encode(), "sha256")
        if header in self._right:
            return self._right[header]
        given = read_basic(authorization)
        if given is None:
            return None
        name, password = given
        salt, key = self._keys.get(name, self._nobody)  # a name that is not there takes as long as one that is
        with self._one_at_a_time:
            same = hmac.compare_digest(_derive(password, salt), key)
        if not same or name not in self._keys:
            return None
        if len(self._right) < REMEMBERED:
            self._right[header] = name
        return name


def line(name: str, password: str) -> str:
    """A user's line of the file. Raises UsageError: a name or password that cannot be one."""
    if not NAME.fullmatch(name) or not name.isprintable() or len(name) > NAME_LENGTH:
        raise UsageError(
            f"name {name[:NAME_LENGTH]!r}: give printable characters without a colon, at most {NAME_LENGTH}"
        )
    if not password:
        raise UsageError("no password; give one")
    salt = secrets.token_bytes(SALT_BYTES)
    parts = (base64.b64encode(part).decode() for part in (salt, _derive(password, salt)))
    return ":".join([name, "scrypt", *parts])


def _derive(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=N, r=R, p=P, maxmem=2**26, dklen=KEY_BYTES)


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
        if not name or key is None:  # the line is not repeated: it may hold a password
            raise UsageError(
                f"review.users_file: {path} line {number}: right is NAME:scrypt:SALT:KEY from andon-monitor user"
            )
        users[name] = key
    if not users:
        raise UsageError(f"review.users_file: {path}: names nobody; andon-monitor user makes a line")
    return users


def _key(parts: list[str]) -> tuple[bytes, bytes] | None:
    if len(parts) != 3 or parts[0] != "scrypt":
        return None
    try:
        salt, key = (base64.b64decode(part, validate=True) for part in parts[1:])
    except (binascii.Error, ValueError):
        return None
    return (salt, key) if (len(salt), len(key)) == (SALT_BYTES, KEY_BYTES) else None
