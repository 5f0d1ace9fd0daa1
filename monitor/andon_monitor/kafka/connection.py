"""Options of the Kafka clients from the settings, checked first: the library itself reports every mistake as a timeout.

And the library's errors in a few words.
"""

import ssl
from pathlib import Path
from typing import Any

from kafka import errors as kafka_errors

from andon_monitor.errors import InstallationError, UsageError
from andon_monitor.kafka.address import Address
from andon_monitor.kafka.oidc import TokenEndpoint
from andon_monitor.kafka.tokens import Issuer, tokens_of
from andon_monitor.settings.groups import KafkaSettings

PROTOCOLS = {
    "plaintext": "PLAINTEXT",
    "ssl": "SSL",
    "sasl_plaintext": "SASL_PLAINTEXT",
    "sasl_ssl": "SASL_SSL",
}
# Both log in with a token, by the mechanism OAUTHBEARER of the protocol.
TOKEN_MECHANISMS = ("OAUTHBEARER", "AWS_MSK_IAM")
# The longest pause between two attempts to connect: the return of a broker is noticed within this time.
MAX_RECONNECT_PAUSE_MS = 2_000
# The client's own policy for offsets out of range would also rule where retention has removed what was not read yet.
NO_RESET = "none"
PROBE_TIMEOUT_MS = 2_000  # for a question that is asked again where it is not answered
# How long a broker may hold back an empty answer to a fetch.
FETCH_WAIT_MS = 200
# How long `send` may wait for the topic's metadata.
METADATA_TIMEOUT_MS = 3_000
# The producer retries in order and without duplicates until this is over: never, for a monitor (24 days).
DELIVERY_TIMEOUT_MS = 2**31 - 1
# The topic decides how large a message may be. The producer's own limit would refuse a frame of `max_message_bytes`
# with its headers.
MAX_REQUEST_BYTES = 2**30
MAX_ERROR_LENGTH = 200  # characters of a client's error that fit into a line


def client_options(settings: KafkaSettings, address: Address) -> dict[str, Any]:
    """Options that consumer, producer and admin client have in common.

    Raises UsageError for files that do not fit, InstallationError, and TokenError (a KafkaError) without a valid token.
    """
    options: dict[str, Any] = {
        "bootstrap_servers": list(address.servers),
        "security_protocol": PROTOCOLS[settings.security],
        "reconnect_backoff_max_ms": MAX_RECONNECT_PAUSE_MS,
        "request_timeout_ms": milliseconds(settings.request_timeout),
        "client_id": settings.client_id,
    }
    if uses_tls(settings):
        options["ssl_context"] = tls_context(settings)
        options["ssl_check_hostname"] = settings.check_hostname
    if uses_sasl(settings):
        options |= _login(settings)
    return options


def _login(settings: KafkaSettings) -> dict[str, Any]:
    """Options of the login. Where it needs a token, it waits for a valid one. Raises UsageError and TokenError."""
    if settings.sasl_mechanism in TOKEN_MECHANISMS:
        tokens = tokens_of(_issuer(settings))
        tokens.wait()
        return {"sasl_mechanism": "OAUTHBEARER", "sasl_oauth_token_provider": tokens}
    return {
        "sasl_mechanism": settings.sasl_mechanism,
        "sasl_plain_username": settings.username,
        "sasl_plain_password": password(settings),
    }


def _issuer(settings: KafkaSettings) -> Issuer:
    if settings.sasl_mechanism == "AWS_MSK_IAM":
        try:
            from andon_monitor.kafka.msk import MskSigner  # its library is an extra
        except ModuleNotFoundError as error:
            if error.name is None or not error.name.startswith(("aws_msk", "boto")):
                raise
            raise InstallationError(f"{error.name} is not installed; run pip install 'andon[msk]'") from None
        assert settings.aws_region is not None  # checked by the settings
        return MskSigner(settings.aws_region, settings.request_timeout)
    assert settings.oauth_token_url is not None
    assert settings.oauth_client_id is not None
    assert settings.oauth_client_secret_file is not None
    return TokenEndpoint(
        settings.oauth_token_url,
        settings.oauth_client_id,
        settings.oauth_client_secret_file,
        settings.oauth_scope,
        settings.oauth_ca_file,
        settings.request_timeout,
    )


def consumer_options(settings: KafkaSettings, address: Address) -> dict[str, Any]:
    """Options that all consumers have in common. Raises as `client_options`."""
    return {
        **client_options(settings, address),
        "enable_auto_commit": False,
        # Verdicts of one transaction with frames of another that was aborted would be wrong; and only a consumer that
        # reads committed data waits for a predecessor's pending offsets (KIP-447).
        "isolation_level": "read_committed",
        "max_poll_records": settings.poll_records,
        "max_partition_fetch_bytes": settings.max_message_bytes,
        "fetch_max_bytes": settings.fetch_bytes,
        "fetch_max_wait_ms": FETCH_WAIT_MS,
        "allow_auto_create_topics": False,
        "metrics_enabled": False,
    }


def producer_options(settings: KafkaSettings, address: Address) -> dict[str, Any]:
    """Options that all producers have in common. Raises as `client_options`."""
    return {
        **client_options(settings, address),
        "max_request_size": MAX_REQUEST_BYTES,
        "max_block_ms": METADATA_TIMEOUT_MS,
        "delivery_timeout_ms": DELIVERY_TIMEOUT_MS,
        "allow_auto_create_topics": False,
        "metrics_enabled": False,
    }


def uses_tls(settings: KafkaSettings) -> bool:
    """Whether the connection is encrypted."""
    return settings.security in ("ssl", "sasl_ssl")


def uses_sasl(settings: KafkaSettings) -> bool:
    """Whether the client logs in, with a password or a token."""
    return settings.security.startswith("sasl")


def tls_context(settings: KafkaSettings) -> ssl.SSLContext:
    """The context for TLS. Raises UsageError for a file that is missing or has another content than expected."""
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
    """The password, from the settings or its file. Raises UsageError for a file that cannot be read or is empty."""
    if settings.password is not None:
        return settings.password.get_secret_value()
    path = settings.password_file
    assert path is not None  # checked by the settings
    if not path.is_file():  # perhaps the password itself, so it is not shown
        raise UsageError("kafka.password_file: no such file; right is the path of a file that holds the password")
    try:
        text = path.read_text().strip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"kafka.password_file: {path}: cannot be read ({error.__class__.__name__})") from None
    if not text:
        raise UsageError(f"kafka.password_file: {path}: is empty")
    return text


def milliseconds(seconds: float) -> int:
    """Seconds in milliseconds, Kafka's unit."""
    return round(seconds * 1000)


def describe(error: BaseException) -> str:
    """An error of the client in a few words on one line."""
    if isinstance(error, kafka_errors.KafkaTimeoutError):  # its own text names a function of the client
        return "no answer in time"
    text = str(error).strip().splitlines()
    return (text[0] if text else type(error).__name__)[:MAX_ERROR_LENGTH]


def _must_exist(key: str, path: Path) -> None:
    if not path.is_file():
        raise UsageError(f"{key}: {path}: no such file")
