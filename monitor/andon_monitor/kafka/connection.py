"""From settings to what kafka-python wants, checked first: the library itself reports every mistake as a timeout.

And from its errors to a few words.
"""

import ssl
from pathlib import Path
from typing import Any

from andon_monitor.errors import UsageError
from andon_monitor.kafka.address import Address
from andon_monitor.settings.groups import KafkaSettings

PROTOCOLS = {
    "plaintext": "PLAINTEXT",
    "ssl": "SSL",
    "sasl_plaintext": "SASL_PLAINTEXT",
    "sasl_ssl": "SASL_SSL",
}
# After a broker's death it is tried again this often at most, so that its return is noticed as soon.
RECONNECT_MS = 2_000
PROBE_TIMEOUT_MS = 2_000  # for a question that is asked again where it is not answered


def client_options(settings: KafkaSettings, address: Address) -> dict[str, Any]:
    """What consumer, producer and admin client have in common. Raises UsageError."""
    options: dict[str, Any] = {
        "bootstrap_servers": list(address.servers),
        "security_protocol": PROTOCOLS[settings.security],
        "reconnect_backoff_max_ms": RECONNECT_MS,
        "request_timeout_ms": milliseconds(settings.request_timeout),
        "client_id": settings.client_id,
    }
    if uses_tls(settings):
        options["ssl_context"] = tls_context(settings)
        options["ssl_check_hostname"] = settings.check_hostname
    if uses_sasl(settings):
        options |= {
            "sasl_mechanism": settings.sasl_mechanism,
            "sasl_plain_username": settings.username,
            "sasl_plain_password": password(settings),
        }
    return options


def uses_tls(settings: KafkaSettings) -> bool:
    """Whether the connection is encrypted."""
    return settings.security in ("ssl", "sasl_ssl")


def uses_sasl(settings: KafkaSettings) -> bool:
    """Whether user and password are sent."""
    return settings.security.startswith("sasl")


def tls_context(settings: KafkaSettings) -> ssl.SSLContext:
    """The context for TLS. Raises UsageError: a file that is missing or is not what it should be."""
    if settings.ca_file is not None:
        _must_exist("kafka.ca_file", settings.ca_file)
    try:
        context = ssl.create_default_context(cafile=settings.ca_file)
    except (ssl.SSLError, OSError) as error:
        raise UsageError(f"kafka.ca_file: {settings.ca_file}: not a PEM file of certificates ({error})") from None
    context.check_hostname = settings.check_hostname
    if settings.certificate_file is not None:
        _must_exist("kafka.certificate_file", settings.certificate_file)
        if settings.key_file is not None:
            _must_exist("kafka.key_file", settings.key_file)
        secret = settings.key_password.get_secret_value() if settings.key_password else ""
        try:
            # Without a callable OpenSSL would ask at the terminal for the password of an encrypted key.
            context.load_cert_chain(settings.certificate_file, settings.key_file, lambda: secret)
        except (ssl.SSLError, OSError) as error:
            raise UsageError(
                f"kafka.certificate_file: {settings.certificate_file}: does not load with its key ({error}); wrong "
                "kafka.key_file or kafka.key_password?"
            ) from None
    return context


def password(settings: KafkaSettings) -> str:
    """The password, from the settings or its file. Raises UsageError."""
    if settings.password is not None:
        return settings.password.get_secret_value()
    path = settings.password_file
    assert path is not None  # the settings see to it
    _must_exist("kafka.password_file", path)
    try:
        text = path.read_text().strip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"kafka.password_file: {path}: cannot be read ({error.__class__.__name__})") from None
    if not text:
        raise UsageError(f"kafka.password_file: {path}: is empty")
    return text


def milliseconds(seconds: float) -> int:
    """Seconds as Kafka counts them."""
    return round(seconds * 1000)


def describe(error: BaseException) -> str:
    """An error of the client in a few words."""
    text = str(error).strip().splitlines()
    return (text[0] if text else type(error).__name__)[:200]


def _must_exist(key: str, path: Path) -> None:
    if not path.is_file():
        raise UsageError(f"{key}: {path}: no such file")
