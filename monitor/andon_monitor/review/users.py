"""The users file: one line per user, with the password's hash; see `review.passwords`.

ann:argon2:HASH       `andon-monitor user ann` prints this line
"""

import asyncio
import hmac
import re
import secrets
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from andon_monitor.errors import UsageError
from andon_monitor.review.passwords import Hash, hash_password
from andon_monitor.telemetry.backoff import Backoff
from andon_monitor.telemetry.server import read_basic

NAME = re.compile(r"[^:#\s][^:]*")
MAX_NAME_LENGTH = 100
MAX_CACHED = 1000  # correct headers, and places where somebody signed in
MAX_WAITING = 8  # passwords at a time: the last one waits about two seconds
RETRY_SECONDS = 2.0
# Shorter than that of an address, because guesses from elsewhere keep the name's owner waiting too.
LONGEST_WAIT_OF_A_NAME_SECONDS = 15.0


class TooManyGuesses(Exception):
    """A password is not looked at now. `wait_seconds`: how long to wait before the next try."""

    def __init__(self, status: int, wait_seconds: float) -> None:
        super().__init__()
        self.status = status  # 429 after wrong passwords, 503 where others are being looked at
        self.wait_seconds = wait_seconds


class Users:
    """The users in a file. Raises UsageError if it is not a users file.

    Hashing a password takes a core for a quarter of a second, and anybody can ask for it. So one thread of its own does
    it, `MAX_WAITING` passwords wait for that thread, and all others are turned away at once. After some wrong ones an
    address, and a name, has to wait before its next try; names that are not in the file are treated as those that are.
    """

    def __init__(self, path: Path) -> None:
        self._hashes = _read(path)
        # A password of an unknown name is hashed as well, so that it takes as long.
        scheme = next(iter(self._hashes.values())).scheme
        self._unknown = Hash(hash_password(secrets.token_urlsafe(), scheme))
        # A browser sends its password with every picture, so correct headers are cached under a fast hash.
        self._secret = secrets.token_bytes(32)
        self._names: dict[bytes, str] = {}
        self._hashing = ThreadPoolExecutor(1, thread_name_prefix="passwords")
        self._asked: dict[bytes, asyncio.Future[str | None]] = {}
        self._by_address = Backoff()
        self._by_name = Backoff(LONGEST_WAIT_OF_A_NAME_SECONDS)
        # Where somebody has signed in: who guesses from elsewhere cannot keep them out.
        self._at_home: OrderedDict[tuple[str, str], None] = OrderedDict()

    async def name(self, authorization: str, address: str) -> str | None:
        """The user whose name and password are in an `Authorization` header (basic auth, RFC 7617), else None.

        `address` is the visitor's. Raises TooManyGuesses. Called in one event loop.
        """
        header = hmac.digest(self._secret, authorization.encode(errors="surrogateescape"), "sha256")
        if header in self._names:
            return self._names[header]
        given = read_basic(authorization)
        return None if given is None else await self._name(*given, header, address)

    async def knows(self, name: str, password: str, address: str) -> bool:
        """Whether name and password are a user's; as `name`."""
        content = b"\0".join([name.encode(errors="surrogateescape"), password.encode(errors="surrogateescape")])
        return await self._name(name, password, hmac.digest(self._secret, content, "sha512"), address) is not None

    async def _name(self, name: str, password: str, key: bytes, address: str) -> str | None:
        """`key` stands for name and password while they are being looked at."""
        at_home = (name, address) in self._at_home
        wait = self._by_address.wait_seconds([address])
        if not at_home:
            wait = max(wait, self._by_name.wait_seconds([name]))
        if wait > 0:
            raise TooManyGuesses(429, wait)
        asked = self._asked.get(key)
        if asked is None:  # else the same name and password are being looked at: a page's pictures come all at once
            if len(self._asked) >= MAX_WAITING:
                raise TooManyGuesses(503, RETRY_SECONDS)
            asked = asyncio.ensure_future(self._check(name, password, key, address))
            self._asked[key] = asked
            asked.add_done_callback(lambda _: self._asked.pop(key, None))
        return await asyncio.shield(asked)

    async def _check(self, name: str, password: str, key: bytes, address: str) -> str | None:
        known = self._hashes.get(name, self._unknown)  # an unknown name takes as long as a known one
        right = await asyncio.get_running_loop().run_in_executor(self._hashing, known.matches, password)
        if not right or name not in self._hashes:
            self._by_address.fail([address])
            self._by_name.fail([name])
            return None
        self._by_address.succeed([address])
        self._by_name.succeed([name])
        self._at_home[name, address] = None
        if len(self._at_home) > MAX_CACHED:
            self._at_home.popitem(last=False)
        if len(self._names) < MAX_CACHED:
            self._names[key] = name
        return name


def line(name: str, password: str) -> str:
    """A user's line for the file. Raises UsageError for a name or password that is not allowed."""
    if not NAME.fullmatch(name) or not name.isprintable() or len(name) > MAX_NAME_LENGTH:
        raise UsageError(
            f"name {name[:MAX_NAME_LENGTH]!r}: give printable characters without a colon, at most {MAX_NAME_LENGTH}"
        )
    if not password:
        raise UsageError("no password; give one")
    return f"{name}:{hash_password(password)}"


def _read(path: Path) -> dict[str, Hash]:
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except FileNotFoundError:
        raise UsageError(f"review.users_file: {path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"review.users_file: {path}: cannot be read ({type(error).__name__})") from None
    users: dict[str, Hash] = {}
    for number, text in enumerate(lines, start=1):
        if not text or text.startswith("#"):
            continue
        name, _, rest = text.partition(":")
        try:
            users[name] = Hash(rest)
        except ValueError:
            users.pop(name, None)
        if not name or name not in users:  # the message does not repeat the line, which may hold a password
            raise UsageError(f"review.users_file: {path} line {number}: expected NAME:HASH from andon-monitor user")
    if not users:
        raise UsageError(f"review.users_file: {path}: has no users; add lines that andon-monitor user prints")
    return users
