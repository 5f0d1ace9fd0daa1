"""OPC UA as a server: what a PLC or SCADA reads, with a result object modelled on OPC 40100-1.

    Objects/Andon/NAME/
        Alive, Heartbeat            Boolean, UInt32: whether frames are answered in time; stands still where not
        Acknowledge                 Boolean, writable: ends what is held
        OUTPUT                      Boolean, one for each address of the rules
        Result/                     the last verdict that a rule acted on
            ResultId, PartId, ProductId, StationId, CreationTime, ResultEvaluation, ResultState, Content

Of OPC 40100-1 it has the names and meanings of the result's facts: not its state machine, methods, files and events.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from asyncua import ua
from asyncua.sync import Server, ThreadLoop

from andon_monitor.actions.facts import Fact
from andon_monitor.actions.links.asyncua_loop import end
from andon_monitor.actions.links.base import LinkError, Message, words
from andon_monitor.actions.links.opcua_certificates import OneUser, TrustedClients, check_dates
from andon_monitor.actions.links.secrets import check_pem_names, read_secret
from andon_monitor.errors import UsageError, first_line
from andon_monitor.inspection.part import Part
from andon_monitor.settings.actions import TargetSettings

NAMESPACE = "urn:andon:monitor"
START_SECONDS = 30.0
COMPLETED = 1  # ResultState: the result is whole
EVALUATIONS = {"good": 1, "defect": 2}  # ResultEvaluation: 1 OK, 2 not OK, 3 not decidable
NOT_DECIDABLE = 3
HEARTBEAT, ACKNOWLEDGE = "Heartbeat", "Acknowledge"


class OpcUaServerLink:
    """The server at the target's address. Rules' addresses are names of its outputs, such as `Reject`.

    With `certificate_file` clients must sign and encrypt (Basic256Sha256); with `ca_file` their certificate, or that of
    its issuer, must be in that file; with `username` they must know its password. Without all of these everybody may
    read, and write `Acknowledge`.
    """

    def __init__(self, settings: TargetSettings) -> None:
        self._settings = settings
        self._loop: ThreadLoop | None = None
        self._server: Server | None = None
        self._nodes: dict[str, Any] = {}
        check_pem_names(settings)
        self._password = read_secret(settings, "password_file")
        self._clients = None
        if settings.ca_file is not None:
            try:
                self._clients = TrustedClients(settings.ca_file)
            except (OSError, ValueError) as error:
                raise UsageError(
                    f"output.actions: {settings.name}: ca_file: {settings.ca_file}: does not load ({words(error)})"
                ) from None
        for rule in settings.rules:
            if not rule.address.isidentifier():
                raise UsageError(
                    f"output.actions: {settings.name}: {rule.address[:80]!r} is no name of an output, such as Reject"
                )

    def open(self) -> None:
        """Start the server, once."""
        if self._server is not None:
            return
        try:
            self._loop = ThreadLoop(START_SECONDS)
            self._loop.start()
            server = Server(tloop=self._loop, sync_wrapper_timeout=START_SECONDS)
            server.set_endpoint(self._settings.uri)
            server.set_server_name("Andon")
            self._secure(server)
            self._build(server)
            server.start()
        except Exception as error:
            self.close()
            raise LinkError(f"{self._settings.uri}: cannot be served ({first_line(error)})") from None
        self._server = server

    def check(self) -> None:
        """Does nothing: a server has no connection of its own to lose."""

    def send(self, message: Message) -> None:
        """Set an output, and the result where the message follows from a verdict."""
        active = message.payload.strip().lower() not in ("0", "false", "")
        self._set(message.address, active, ua.VariantType.Boolean)
        if message.fact is not None:
            self._show(message.fact)

    def _show(self, fact: Fact) -> None:
        """Show a verdict as the last result. Its id comes last: once that has changed, the rest has as well."""
        part = Part() if fact.part is None else fact.part
        self._set("Result/ResultEvaluation", EVALUATIONS.get(fact.outcome, NOT_DECIDABLE), ua.VariantType.Int32)
        self._set("Result/ResultState", COMPLETED, ua.VariantType.Int32)
        self._set("Result/CreationTime", datetime.now(UTC), ua.VariantType.DateTime)
        texts = {
            "PartId": part.id,
            "ProductId": part.product,
            "StationId": part.station or fact.camera,
            "Content": fact.to_json(),
            "ResultId": fact.id,
        }
        for name, text in texts.items():
            self._set(f"Result/{name}", text or "", ua.VariantType.String)

    def beat(self, address: str, count: int, alive: bool) -> None:
        """Show whether frames are answered, and count while they are."""
        self._set("Alive", alive, ua.VariantType.Boolean)
        if alive:
            self._set(HEARTBEAT, count % 2**32, ua.VariantType.UInt32)

    def acknowledged(self, address: str) -> bool:
        """Whether a client wrote true to `Acknowledge`; then it is set back."""
        if not self._nodes[ACKNOWLEDGE].read_value():
            return False
        self._set(ACKNOWLEDGE, False, ua.VariantType.Boolean)
        return True

    def probe(self) -> str:
        """Start the server and stop it."""
        self.open()
        return "can be served" + ("" if self._settings.certificate_file is None else ", signed and encrypted")

    def close(self) -> None:
        """Stop the server: clients see that the connection is gone."""
        loop, server, self._loop, self._server = self._loop, self._server, None, None
        end(loop, None if server is None else server.stop, self._settings.name)

    def _secure(self, server: Server) -> None:
        certificate: Path | None = self._settings.certificate_file
        if certificate is None:
            server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
            return
        server.load_certificate(str(certificate))
        server.load_private_key(str(self._settings.key_file or certificate))
        server.set_security_policy([ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt])
        server.aio_obj.set_certificate_validator(check_dates if self._clients is None else self._clients.check)
        if self._settings.username is not None:
            server.set_security_IDs(["Username"])
            server.aio_obj.iserver.set_user_manager(OneUser(self._settings.username, self._password or ""))

    def _build(self, server: Server) -> None:
        index = server.register_namespace(NAMESPACE)
        target = server.nodes.objects.add_object(index, "Andon").add_object(index, self._settings.name)

        def add(folder: Any, name: str, value: Any, kind: ua.VariantType, prefix: str = "") -> Any:
            identity = ua.NodeId.from_string(f"ns={index};s={self._settings.name}/{prefix}{name}")
            node = folder.add_variable(identity, ua.QualifiedName(name, index), value, kind)
            self._nodes[prefix + name] = node
            return node

        add(target, "Alive", False, ua.VariantType.Boolean)
        add(target, HEARTBEAT, 0, ua.VariantType.UInt32)
        add(target, ACKNOWLEDGE, False, ua.VariantType.Boolean).set_writable()
        for name in dict.fromkeys(rule.address for rule in self._settings.rules):
            add(target, name, False, ua.VariantType.Boolean)
        result = target.add_object(index, "Result")
        for name in ("ResultId", "PartId", "ProductId", "StationId", "Content"):
            add(result, name, "", ua.VariantType.String, "Result/")
        add(result, "CreationTime", datetime.now(UTC), ua.VariantType.DateTime, "Result/")
        for name in ("ResultEvaluation", "ResultState"):
            add(result, name, 0, ua.VariantType.Int32, "Result/")

    def _set(self, name: str, value: Any, kind: ua.VariantType) -> None:
        if self._server is None:
            raise LinkError(f"{self._settings.uri}: not served")
        try:
            self._nodes[name].write_value(ua.DataValue(ua.Variant(value, kind)))
        except Exception as error:
            raise LinkError(f"{self._settings.uri}: {name}: cannot be set ({first_line(error)})") from None
