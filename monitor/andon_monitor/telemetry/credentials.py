"""Certificate and password of the HTTP server, checked before anybody connects."""

import ssl
from datetime import UTC, datetime

from pydantic import SecretStr

from andon_monitor.errors import UsageError
from andon_monitor.settings.groups import ServerSettings


def certificate(settings: ServerSettings) -> datetime | None:
    """When the certificate expires, None without TLS. Raises UsageError: missing, damaged, expired, wrong key.

    Checked as a client would, with a handshake in memory that trusts the certificate file itself.
    """
    path = settings.certificate_file
    if path is None:
        return None
    key = settings.key_file or path
    for name, file in (("certificate_file", path), ("key_file", key)):
        if not file.is_file():
            raise UsageError(f"server.{name}: {file}: no such file")
    secret = settings.key_password.get_secret_value() if settings.key_password else ""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        # A callable, since OpenSSL would otherwise ask for the password of an encrypted key at the terminal.
        server.load_cert_chain(path, key, lambda: secret)
        client.load_verify_locations(path)
    except (ssl.SSLError, OSError) as error:
        raise UsageError(
            f"server.certificate_file: {path}: does not load with its key ({error.strerror or error}); wrong "
            "server.key_file or server.key_password?"
        ) from None
    try:
        return _handshake(server, client)
    except ssl.SSLCertVerificationError as error:
        raise UsageError(f"server.certificate_file: {path}: clients will refuse it ({error.verify_message})") from None


def password(settings: ServerSettings) -> SecretStr | None:
    """The password of /metrics, None without one. Raises UsageError."""
    path = settings.password_file
    if path is None:
        return settings.password
    try:
        text = path.read_text().strip("\r\n")
    except FileNotFoundError:  # perhaps the password itself, so it is not shown
        raise UsageError(
            "server.password_file: no such file; right is the path of a file that holds the password"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"server.password_file: {path}: cannot be read ({type(error).__name__})") from None
    if not text:
        raise UsageError(f"server.password_file: {path}: is empty")
    return SecretStr(text)


def describe(settings: ServerSettings) -> str:
    """The protection of /metrics in a few words. Raises UsageError."""
    until = certificate(settings)
    words = ["plain HTTP" if until is None else f"TLS, certificate valid until {until:%Y-%m-%d %H:%M} UTC"]
    words.append("no password" if password(settings) is None else f"user {settings.username}")
    return ", ".join(words)


def _handshake(server: ssl.SSLContext, client: ssl.SSLContext) -> datetime:
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(to_client, to_server)
    theirs = server.wrap_bio(to_server, to_client, server_side=True)
    pending = [ours, theirs]
    while pending:
        for side in list(pending):
            try:
                side.do_handshake()
                pending.remove(side)
            except ssl.SSLWantReadError:
                continue
    found = ours.getpeercert() or {}
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(str(found["notAfter"])), UTC)
