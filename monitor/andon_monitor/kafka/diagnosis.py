"""Why a cluster cannot be reached: address, TLS or user. kafka-python says `Unable to bootstrap` in every case."""

import logging
import re
import socket
import ssl
from dataclasses import dataclass

from kafka import KafkaAdminClient
from kafka import errors as kafka_errors

from andon_monitor.kafka.address import Address, host_and_port
from andon_monitor.kafka.connection import client_options, tls_context, uses_sasl, uses_tls
from andon_monitor.kafka.tokens import TokenError
from andon_monitor.settings.groups import KafkaSettings

CONNECT_SECONDS = 3.0
LOGIN_TIMEOUTS_MS = (2_000, 4_000, 8_000)  # one attempt each
# The client's log about a server that sent its version, as only Kafka does, and closed the connection during the login.
DISCONNECTED_AT_LOGIN = re.compile(r"broker_version=\(\d.*socket disconnected", re.DOTALL)


@dataclass(frozen=True)
class Fault:
    """What is wrong, in one line; `may_pass` where waiting may help."""

    message: str
    may_pass: bool


def diagnose(address: Address, settings: KafkaSettings) -> Fault | None:
    """Try to connect; returns what prevents it, None where it works. Raises UsageError for a wrong setting."""
    try:
        options = client_options(settings, address)
    except TokenError as error:
        return Fault(f"{address}: {error.message}", error.may_pass)
    faults = [_try_server(server, settings) for server in address.servers]
    if all(faults):
        return next((fault for fault in faults if fault and not fault.may_pass), faults[0])
    # A client whose login is refused retries until its timeout, and only its log says why.
    disconnected = uses_sasl(settings)
    for milliseconds in LOGIN_TIMEOUTS_MS:
        with _CapturedLog() as captured:
            try:
                KafkaAdminClient(**options, bootstrap_timeout_ms=milliseconds).close()
                return None
            except kafka_errors.KafkaError as error:
                text = " ".join([*captured.lines, str(error)])
        if fault := _refusal(address, settings, text):
            return fault
        disconnected = disconnected and DISCONNECTED_AT_LOGIN.search(text) is not None
    # A server may close the connection before the client has read the refusal. A server that is just starting does not
    # do that every time.
    if disconnected:
        return _refused(address, settings)
    return Fault(f"{address}: no Kafka answers as kafka.security {settings.security} expects", True)


def _refusal(address: Address, settings: KafkaSettings, text: str) -> Fault | None:
    if not uses_sasl(settings):
        return None
    if "Authentication failed" in text or "SaslAuthentication" in text:
        return _refused(address, settings)
    if "UnsupportedSaslMechanism" in text or "not enabled" in text or "mechanism" in text:
        return Fault(f"{address}: kafka.sasl_mechanism {settings.sasl_mechanism} is not offered by the broker", False)
    return None


def _refused(address: Address, settings: KafkaSettings) -> Fault:
    if settings.sasl_mechanism == "OAUTHBEARER":
        return Fault(
            f"{address}: the broker refuses the token of client {settings.oauth_client_id}; wrong kafka.oauth_scope, "
            "or a token endpoint that the broker does not trust?",
            False,
        )
    if settings.sasl_mechanism == "AWS_MSK_IAM":
        return Fault(
            f"{address}: the broker refuses the token; wrong kafka.aws_region, or an AWS identity without the right "
            "kafka-cluster:Connect?",
            False,
        )
    return Fault(
        f"{address}: user {settings.username} refused with {settings.sasl_mechanism}; wrong kafka.username, "
        "password or sasl_mechanism?",
        False,
    )


def _try_server(server: str, settings: KafkaSettings) -> Fault | None:
    host, port = host_and_port(server)
    try:
        with socket.create_connection((host, port), CONNECT_SECONDS) as plain:
            if not uses_tls(settings):
                return None
            plain.settimeout(CONNECT_SECONDS)
            with tls_context(settings).wrap_socket(plain, server_hostname=host):
                return None
    except ssl.SSLCertVerificationError as error:
        return Fault(f"{server}: its certificate is not accepted ({error.verify_message}); wrong kafka.ca_file?", False)
    except ssl.SSLError as error:
        return Fault(f"{server}: no TLS there ({error.reason}); wrong port or kafka.security?", False)
    except socket.gaierror:
        return Fault(f"{server}: no such host", True)
    except TimeoutError:
        return Fault(f"{server}: no answer within {CONNECT_SECONDS:g} s", True)
    except OSError as error:
        return Fault(f"{server}: no broker there ({error.strerror or error})", True)


class _CapturedLog(logging.Handler):
    """The client's warnings meanwhile: they have the reason, while its exception says only that it gave up."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())

    def __enter__(self) -> "_CapturedLog":
        self._logger = logging.getLogger("kafka")
        self._before = (self._logger.level, self._logger.propagate)
        self._logger.setLevel(logging.WARNING)
        self._logger.propagate = False
        self._logger.addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._logger.removeHandler(self)
        self._logger.setLevel(self._before[0])
        self._logger.propagate = self._before[1]
