"""Which certificates and users of OPC UA are believed: validators and user managers as asyncua calls them."""

import hmac
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from asyncua import ua
from asyncua.common.utils import ServiceError
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.ua.status_codes import StatusCodes
from cryptography import x509


async def check_dates(certificate: x509.Certificate, application: ua.ApplicationDescription) -> None:
    """Raise ServiceError for a certificate that is not in force."""
    if not certificate.not_valid_before_utc <= datetime.now(UTC) <= certificate.not_valid_after_utc:
        raise ServiceError(StatusCodes.BadCertificateTimeInvalid)


class TrustedClients:
    """The clients of our server: their certificates, or those of authorities that issued them, in a PEM or DER file.

    Raises ValueError or OSError for a file that does not load.
    """

    def __init__(self, path: Path) -> None:
        data = path.read_bytes()
        is_der = path.suffix.lower() == ".der"
        self._trusted = [x509.load_der_x509_certificate(data)] if is_der else x509.load_pem_x509_certificates(data)

    async def check(self, certificate: x509.Certificate, application: ua.ApplicationDescription) -> None:
        """Raise ServiceError for a certificate that is not trusted, or not in force."""
        await check_dates(certificate, application)
        for trusted in self._trusted:
            if certificate == trusted or _issued(certificate, trusted):
                return
        raise ServiceError(StatusCodes.BadCertificateUntrusted)


class OneUser:
    """The one user of our server, by name and password."""

    def __init__(self, name: str, password: str) -> None:
        self._name, self._password = name.encode(), password.encode()

    def get_user(
        self, iserver: Any, username: str | None = None, password: str | None = None, certificate: Any = None
    ) -> User | None:
        """The user, None for whoever has not this name and password."""
        is_name = hmac.compare_digest(_bytes(username), self._name)
        is_password = hmac.compare_digest(_bytes(password), self._password)
        return User(role=UserRole.User, name=username) if is_name and is_password else None


def _bytes(text: str | bytes | None) -> bytes:
    return text if isinstance(text, bytes) else (text or "").encode(errors="replace")


def _issued(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except Exception:  # of many kinds, as keys are
        return False
    try:
        return bool(authority.extensions.get_extension_for_class(x509.BasicConstraints).value.ca)
    except x509.ExtensionNotFound:
        return False
