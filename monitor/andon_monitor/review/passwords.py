"""Hashes of passwords, as the users file has them: Argon2id (RFC 9106) by argon2-cffi, or scrypt (RFC 7914) without it.

argon2:$argon2id$v=19$m=65536,t=3,p=4$SALT$KEY      scrypt:SALT:KEY, both in base64
"""

import base64
import binascii
import hashlib
import hmac
import secrets
from typing import Literal

from andon_monitor.errors import InstallationError

try:
    from argon2 import PasswordHasher, Type, exceptions, extract_parameters, profiles
except ImportError:
    HAS_ARGON2 = False
else:
    HAS_ARGON2 = True

Scheme = Literal["argon2", "scrypt"]
# Cost, block size and parallelism of scrypt, as OWASP's password storage cheat sheet recommends: 16 MiB, about 0.2 s.
SCRYPT_N, SCRYPT_R, SCRYPT_P = 2**14, 8, 5
SCRYPT_MAX_BYTES = 2**26
SALT_BYTES, KEY_BYTES = 16, 32
# A users file is trusted, yet a slip in it must not take all memory: 16 times the memory and the passes of the profile.
MAX_ARGON2_KIB, MAX_ARGON2_PASSES = 2**20, 48


class Hash:
    """A password's hash, as the text of a users file."""

    def __init__(self, text: str) -> None:
        """Raises ValueError for what is no hash, InstallationError where argon2-cffi is needed and is not there."""
        self.scheme: Scheme
        scheme, _, rest = text.partition(":")
        if scheme == "argon2":
            if not HAS_ARGON2:
                raise InstallationError("passwords hashed with Argon2 need argon2-cffi: install andon[review]")
            _check_argon2(rest)
            self.scheme, self._argon2 = "argon2", rest
        elif scheme == "scrypt":
            self.scheme, (self._salt, self._key) = "scrypt", _read_scrypt(rest)
        else:
            raise ValueError("no hash")

    def matches(self, password: str) -> bool:
        """Whether it is the hash of a password; takes a core for some tenths of a second."""
        given = password.encode(errors="surrogateescape")
        if self.scheme == "scrypt":
            return hmac.compare_digest(_derive(given, self._salt), self._key)
        try:
            return PasswordHasher().verify(self._argon2, given)
        except exceptions.VerificationError:
            return False


def hash_password(password: str, scheme: Scheme | None = None) -> str:
    """A hash with a new salt, with the best scheme that is installed where none is given."""
    given = password.encode(errors="surrogateescape")
    if scheme is None:
        scheme = "argon2" if HAS_ARGON2 else "scrypt"
    if scheme == "argon2":
        return "argon2:" + PasswordHasher.from_parameters(profiles.RFC_9106_LOW_MEMORY).hash(given)
    salt = secrets.token_bytes(SALT_BYTES)
    return ":".join(["scrypt", *(base64.b64encode(part).decode() for part in (salt, _derive(given, salt)))])


def _check_argon2(text: str) -> None:
    try:
        found = extract_parameters(text)
    except exceptions.InvalidHashError:
        raise ValueError("no hash of Argon2") from None
    if found.type is not Type.ID or found.memory_cost > MAX_ARGON2_KIB or found.time_cost > MAX_ARGON2_PASSES:
        raise ValueError("not Argon2id, or at a cost that is a slip")


def _read_scrypt(text: str) -> tuple[bytes, bytes]:
    parts = text.split(":")
    try:
        salt, key = (base64.b64decode(part, validate=True) for part in parts)
    except binascii.Error:
        raise ValueError("not base64") from None
    if (len(salt), len(key)) != (SALT_BYTES, KEY_BYTES):
        raise ValueError("salt or key of another length")
    return salt, key


def _derive(password: bytes, salt: bytes) -> bytes:
    return hashlib.scrypt(
        password, salt=salt, n=SCRYPT_N, r=SCRYPT_R, p=SCRYPT_P, maxmem=SCRYPT_MAX_BYTES, dklen=KEY_BYTES
    )
