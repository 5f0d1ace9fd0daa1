"""Modbus TCP: coils and holding registers, a register that counts as heartbeat."""

import logging
import re
import socket
from typing import Any
from urllib.parse import urlsplit

from pymodbus import ModbusException
from pymodbus.client import ModbusTcpClient

from andon_monitor.actions.links.base import LinkError, Message, words
from andon_monitor.actions.links.secrets import tls_context
from andon_monitor.common.redaction import show_address
from andon_monitor.errors import UsageError
from andon_monitor.settings.actions import TargetSettings

PORT, TLS_PORT = 502, 802
MAX_ADDRESS = 65_535
MAX_REGISTER = 65_536  # values of one register
WIDE = 2**32  # values of two registers, the more significant one first
EXPECTED = "right is coil:N, register:N, or register32:N for two registers, with N from 0 to 65535"

# Its lines about lost connections say nothing that ours do not, and its dumps of packets fill a log.
logging.getLogger("pymodbus").setLevel(logging.CRITICAL)

_ADDRESS = re.compile(r"(coil|register|register32):([0-9]{1,5})")


def parse_address(text: str) -> tuple[str, int]:
    """`coil`, `register` or `register32`, and its number counted from 0. Raises ValueError."""
    match = _ADDRESS.fullmatch(text)
    if match is None or int(match[2]) > MAX_ADDRESS:
        raise ValueError(f"address {text[:60]!r}: {EXPECTED}")
    return match[1], int(match[2])


def parse_value(kind: str, text: str) -> int:
    """A number for a coil or register; negative ones as two's complement. Raises ValueError."""
    limit = {"coil": 2, "register": MAX_REGISTER, "register32": WIDE}[kind]
    try:
        value = {"true": 1, "false": 0}.get(text.strip().lower())
        value = int(text) if value is None else value
    except ValueError:
        raise ValueError(f"{text[:60]!r} is not a whole number") from None
    if not -limit // 2 <= value < limit or (kind == "coil" and value < 0):
        raise ValueError(f"{text[:60]!r} does not fit into a {kind}")
    return value % limit


class ModbusLink:
    """A connection to a PLC or a coupler. A write is done once the device has answered it."""

    def __init__(self, settings: TargetSettings) -> None:
        self._settings = settings
        address = urlsplit(settings.uri)
        self._tls = tls_context(settings) if address.scheme == "modbuss" else None
        self._host = address.hostname or ""
        self._port = address.port or (PORT if self._tls is None else TLS_PORT)
        self._client: Any = None
        _check(settings)

    def open(self) -> None:
        """Connect, and wait for an answer: a device that hangs would do later what is sent to it now."""
        self.close()
        client: Any = ModbusTcpClient(self._host, port=self._port, timeout=self._settings.timeout, retries=0)
        try:
            client.socket = self._dial()
        except OSError as error:
            raise LinkError(self._about(f"does not answer ({words(error)})")) from None
        self._client = client
        try:
            self._read_first()
        except LinkError as error:
            if not error.lasting:
                raise
            # It refuses to have this read, which is an answer, too.

    def check(self) -> None:
        """Raise where the connection is known to be gone."""
        if self._client is None or not self._client.connected:
            raise LinkError(self._about("connection lost"))

    def send(self, message: Message) -> None:
        """Write a coil or a register."""
        try:
            kind, number = parse_address(message.address)
            value = parse_value(kind, message.payload)
        except ValueError as error:
            raise LinkError(self._about(str(error)), lasting=True) from None
        unit = self._settings.unit
        if kind == "coil":
            self._ask("write_coil", number, bool(value), device_id=unit)
        elif kind == "register":
            self._ask("write_register", number, value, device_id=unit)
        else:
            self._ask("write_registers", number, list(divmod(value, MAX_REGISTER)), device_id=unit)

    def beat(self, address: str, count: int, alive: bool) -> None:
        """Write the count into its register; while frames are not answered, nothing is written."""
        if alive:
            _, number = parse_address(address)
            self._ask("write_register", number, count % MAX_REGISTER, device_id=self._settings.unit)

    def acknowledged(self, address: str) -> bool:
        """Whether the coil or register is not 0; then it is set back to 0."""
        kind, number = parse_address(address)
        read = "read_coils" if kind == "coil" else "read_holding_registers"
        answer = self._ask(read, number, count=1, device_id=self._settings.unit)
        if not (answer.bits[0] if kind == "coil" else answer.registers[0]):
            return False
        self.send(Message(address, "0", ""))
        return True

    def probe(self) -> str:
        """Connect and read the first coil or register of the rules."""
        self.open()
        self._read_first()
        return f"unit {self._settings.unit} answers" + ("" if self._tls is None else ", TLS")

    def close(self) -> None:
        """Close the connection."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _read_first(self) -> None:
        """Read the first coil or register that the rules name."""
        constant = [rule.address for rule in self._settings.rules if "$" not in rule.address]
        kind, number = parse_address(constant[0] if constant else "register:0")
        read = "read_coils" if kind == "coil" else "read_holding_registers"
        self._ask(read, number, count=1, device_id=self._settings.unit)

    def _dial(self) -> socket.socket:
        """The socket, with TLS where the address has it: pymodbus' own client for TLS verifies no host name."""
        plain = socket.create_connection((self._host, self._port), self._settings.timeout)
        if self._tls is None:
            return plain
        try:
            return self._tls.wrap_socket(plain, server_hostname=self._host)
        except BaseException:
            plain.close()
            raise

    def _ask(self, function: str, *arguments: Any, **options: Any) -> Any:
        """One request and its answer. The client would connect again by itself; then outputs would be unknown."""
        client = self._client
        if client is None or not client.connected:
            raise LinkError(self._about("connection lost"))
        try:
            answer = getattr(client, function)(*arguments, **options)
        except (ModbusException, OSError) as error:
            self.close()
            raise LinkError(self._about(f"does not answer ({type(error).__name__})")) from None
        if answer.isError():
            code = getattr(answer, "exception_code", None)
            raise LinkError(self._about(f"refuses {function} at {arguments[0]} (code {code})"), lasting=True)
        return answer

    def _about(self, what: str) -> str:
        return f"{show_address(self._settings.uri)}: {what}"


def _check(settings: TargetSettings) -> None:
    """Raise UsageError for addresses and values that no device takes, as far as they have no fields."""
    what = f"output.actions: {settings.name}"
    try:
        for number, rule in enumerate(settings.rules, 1):
            place = f"{what}: rule {number}"
            for text in (rule.payload or "1", rule.idle):
                if "$" not in rule.address:
                    kind, _ = parse_address(rule.address)
                    if "$" not in text:
                        parse_value(kind, text)
        for field in ("heartbeat", "acknowledge"):
            place = f"{what}: {field}"
            text = getattr(settings, field)
            if text is not None and parse_address(text)[0] == "coil" and field == "heartbeat":
                raise ValueError(f"{text!r}: right is register:N")
    except ValueError as error:
        raise UsageError(f"{place}: {error}") from None
