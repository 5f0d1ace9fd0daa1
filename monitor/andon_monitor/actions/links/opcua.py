"""OPC UA as a client: writes the nodes of a PLC's or SCADA's server."""

from typing import Any

from asyncua import ua
from asyncua.crypto.security_policies import SecurityPolicyBasic256Sha256
from asyncua.crypto.uacrypto import load_certificate
from asyncua.sync import Client, ThreadLoop
from asyncua.ua.status_codes import StatusCodes
from asyncua.ua.uaerrors import UaError, UaStatusCodeError
from cryptography.hazmat.primitives.serialization import Encoding

from andon_monitor.actions.links.asyncua_loop import end
from andon_monitor.actions.links.base import LinkError, Message, words
from andon_monitor.actions.links.opcua_certificates import check_dates
from andon_monitor.actions.links.secrets import check_pem_names, read_secret
from andon_monitor.common.redaction import show_address
from andon_monitor.errors import UsageError
from andon_monitor.settings.actions import TargetSettings

INTEGERS = frozenset(
    getattr(ua.VariantType, name) for name in ("SByte", "Byte", "Int16", "UInt16", "Int32", "UInt32", "Int64", "UInt64")
)
FLOATS = frozenset((ua.VariantType.Float, ua.VariantType.Double))
# How far a heartbeat counts in a node of these types; a Boolean toggles.
COUNTS = {ua.VariantType.Boolean: 2, ua.VariantType.SByte: 2**7, ua.VariantType.Byte: 2**8}
TRUE = frozenset(("1", "true"))


def typed(text: str, kind: ua.VariantType) -> Any:
    """A payload as the value of a node. Raises ValueError."""
    if kind == ua.VariantType.Boolean:
        if text.strip().lower() not in ("0", "1", "true", "false"):
            raise ValueError(f"{text[:60]!r} is not 0, 1, true or false")
        return text.strip().lower() in TRUE
    if kind in INTEGERS:
        return int(text)
    return float(text) if kind in FLOATS else text


class OpcUaLink:
    """A session with a server. A write is done once the server has answered it as good.

    With `certificate_file` messages are signed and encrypted (Basic256Sha256); `ca_file` is then the server's own
    certificate, which must be the one that it shows and in force. Without it, whatever it shows is believed.
    """

    def __init__(self, settings: TargetSettings) -> None:
        self._settings = settings
        check_pem_names(settings)
        self._password = read_secret(settings, "password_file")
        self._loop: ThreadLoop | None = None
        self._client: Client | None = None
        self._kinds: dict[str, ua.VariantType] = {}
        for text in [rule.address for rule in settings.rules if "$" not in rule.address]:
            _parse(settings, text)
        for field in ("heartbeat", "acknowledge"):
            if getattr(settings, field) is not None:
                _parse(settings, getattr(settings, field))

    def open(self) -> None:
        """Connect, and open a session."""
        self.close()
        settings = self._settings
        try:
            self._loop = ThreadLoop(settings.timeout)
            self._loop.start()
            client = Client(settings.uri, settings.timeout, self._loop, settings.timeout)
            if settings.certificate_file is not None:
                client.set_security(
                    SecurityPolicyBasic256Sha256,
                    settings.certificate_file,
                    settings.key_file or settings.certificate_file,
                    server_certificate=None if settings.ca_file is None else str(settings.ca_file),
                    mode=ua.MessageSecurityMode.SignAndEncrypt,
                )
                if settings.ca_file is not None:
                    client.aio_obj.certificate_validator = check_dates
            if settings.username is not None:
                client.set_user(settings.username)
                client.set_password(self._password or "")
            client.connect()
        except Exception as error:  # of the library, of its files, or of the network
            may_differ = settings.ca_file is not None and isinstance(error, TimeoutError | OSError | UaError)
            reason = self._certificate_trouble() if may_differ else None
            self.close()
            raise LinkError(self._about(reason or f"does not answer ({words(error)})")) from None
        self._client = client
        self._kinds.clear()

    def check(self) -> None:
        """Does nothing: what is gone shows with the next request."""

    def send(self, message: Message) -> None:
        """Write a node, as the type that it has."""
        self._write(message.address, message.payload)

    def beat(self, address: str, count: int, alive: bool) -> None:
        """Write the count into its node; while frames are not answered, nothing is written."""
        if alive:
            self._write(address, str(count % COUNTS.get(self._kind(address), 2**15)))

    def acknowledged(self, address: str) -> bool:
        """Whether the node is true or not 0; then it is set back."""
        if not self._ask(lambda client: client.get_node(address).read_value()):
            return False
        self._write(address, "0")
        return True

    def probe(self) -> str:
        """Connect and read the type of every node that the settings name."""
        self.open()
        settings = self._settings
        for address in (*(rule.address for rule in settings.rules), settings.heartbeat, settings.acknowledge):
            if address is not None and "$" not in address:
                self._kind(address)
        if self._settings.certificate_file is None:
            return "the server answers"
        verified = "" if self._settings.ca_file is not None else "; its certificate is not verified (ca_file)"
        return f"the server answers, signed and encrypted{verified}"

    def close(self) -> None:
        """Close the session."""
        loop, client, self._loop, self._client = self._loop, self._client, None, None
        end(loop, None if client is None else client.disconnect, self._settings.name)

    def _certificate_trouble(self) -> str | None:
        """Whether the server shows another certificate than `ca_file`: it then just ends the connection."""
        path, loop = self._settings.ca_file, self._loop
        if path is None or loop is None:
            return None
        try:
            client = Client(self._settings.uri, self._settings.timeout, loop, self._settings.timeout)
            shown = {endpoint.ServerCertificate for endpoint in client.connect_and_get_server_endpoints()}
            expected = loop.post(load_certificate(path))
        except Exception:  # then what went wrong at first is said
            return None
        if expected.public_bytes(Encoding.DER) in shown:
            return None
        return f"shows another certificate than ca_file, {path}"

    def _kind(self, address: str) -> ua.VariantType:
        if address not in self._kinds:
            kind = self._ask(lambda client: client.get_node(address).read_data_type_as_variant_type())
            self._kinds[address] = kind
        return self._kinds[address]

    def _write(self, address: str, payload: str) -> None:
        try:
            kind = self._kind(address)
            value = ua.DataValue(ua.Variant(typed(payload, kind), kind))
        except ValueError as error:
            raise LinkError(self._about(f"{address}: {error}"), lasting=True) from None
        # Without time stamps: many PLCs refuse to have theirs set.
        self._ask(lambda client: client.get_node(address).write_value(value))

    def _ask(self, request: Any) -> Any:
        if self._client is None:
            raise LinkError(self._about("not connected"))
        try:
            return request(self._client)
        except UaStatusCodeError as error:
            lasting = error.code in LASTING
            raise LinkError(self._about(f"refuses ({words(error)})"), lasting) from None
        except (TimeoutError, OSError, ConnectionError, UaError) as error:
            raise LinkError(self._about(f"does not answer ({words(error)})")) from None

    def _about(self, what: str) -> str:
        return f"{show_address(self._settings.uri)}: {what}"


# Answers that the same write would get again.
LASTING = frozenset(
    getattr(StatusCodes, name)
    for name in (
        *("BadNodeIdUnknown", "BadNodeIdInvalid", "BadTypeMismatch", "BadNotWritable", "BadUserAccessDenied"),
        *("BadOutOfRange", "BadWriteNotSupported", "BadAttributeIdInvalid"),
    )
)


def _parse(settings: TargetSettings, address: str) -> None:
    try:
        ua.NodeId.from_string(address)
    except Exception:
        raise UsageError(
            f"output.actions: {settings.name}: {address[:80]!r} is not an OPC UA node, such as ns=2;s=Gate.Reject"
        ) from None
