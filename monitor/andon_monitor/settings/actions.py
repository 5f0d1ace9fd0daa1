"""The settings of `output.actions`: machines and services that act on verdicts, and when they do."""

from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, FiniteFloat, model_validator

from andon_monitor.common.redaction import HIDDEN, show_address
from andon_monitor.settings.types import Count, Group, Name, Positive, Seconds

# Outcomes that a rule can name: those of frames and of parts, and `late` for a verdict that is not known in time.
ACTION_OUTCOMES = ("good", "defect", "uninspectable", "incomplete", "late")
ActionOutcome = Literal["good", "defect", "uninspectable", "incomplete", "late"]
# What must not count as good where nobody says otherwise.
NOT_GOOD: tuple[ActionOutcome, ...] = ("defect", "uninspectable", "incomplete", "late")

MQTT, WEBHOOK, MODBUS, OPC_UA, GPIO = "mqtt", "webhook", "modbus", "opcua", "gpio"
KINDS = {
    "mqtt": MQTT,
    "mqtts": MQTT,
    "http": WEBHOOK,
    "https": WEBHOOK,
    "modbus": MODBUS,
    "modbuss": MODBUS,
    "opc.tcp": OPC_UA,
    "gpio": GPIO,
}
ENCRYPTED = ("mqtts", "https", "modbuss")
OUTPUT_KINDS = (MODBUS, OPC_UA, GPIO)  # they have states, and no messages
MAX_PULSE_SECONDS = 3600.0


# What a name in Sparkplug may not have: separators and wildcards of topics.
SparkplugName = Annotated[str, Field(pattern=r"^[^+#/\x00-\x1f]{1,100}$")]


class RuleSettings(Group):
    """One rule of a target: which verdicts it takes, and what is done then."""

    verdicts: Annotated[tuple[ActionOutcome, ...], Field(min_length=1)] = Field(
        default=NOT_GOOD,
        description="Verdicts that it takes. late: not known within output.action_deadline; incomplete: of a part",
    )
    of: Literal["frames", "parts"] | None = Field(
        default=None,
        description="Whether it takes verdicts of frames or of whole parts. Default: frames in run, both in bridge",
    )
    camera: Name = Field(default="*", description="Pattern of the cameras that it takes")
    product: str = Field(default="*", description="Pattern of the products; a verdict without one has an empty text")
    kind: str = Field(default="*", description="Pattern of the kinds of defects, where the model tells kinds apart")
    region: tuple[FiniteFloat, FiniteFloat, FiniteFloat, FiniteFloat] | None = Field(
        default=None,
        description="Left, top, width and height in pixels of the frame: takes only defects with a region that reaches "
        "into this box, and defects without regions",
    )
    at_least: Count = Field(
        default=1, description="Acts once so many of the last of_last verdicts fit, then counts again"
    )
    of_last: Count = Field(
        default=1, le=100_000, description="Number of verdicts of its cameras and products among which at_least counts"
    )
    address: str = Field(
        default="",
        max_length=1000,
        description="Where to: an MQTT topic, coil:N or register:N of Modbus, an OPC UA node, the number of a GPIO "
        "line; may have fields such as $camera",
    )
    payload: str | None = Field(
        default=None,
        max_length=65_536,
        description="What is sent; may have fields such as $part. Default: the verdict's JSON, for outputs 1",
    )
    after: Seconds | None = Field(
        default=None, le=3600, description="Seconds from capture to action; default: at once, when the verdict is known"
    )
    after_counts: Count | None = Field(
        default=None, description="Encoder counts from capture to action, by the speed of the last frames"
    )
    window: Positive = Field(
        default=0.05,
        description="Seconds by which an action may be late. After that it is not done, and counted as late",
    )
    pulse: Annotated[FiniteFloat, Field(gt=0, le=MAX_PULSE_SECONDS)] | None = Field(
        default=None, description="Seconds after which idle is sent; a further action meanwhile makes it longer"
    )
    hold: bool = Field(default=False, description="Whether it stays until it is acknowledged (acknowledge)")
    idle: str = Field(default="0", max_length=65_536, description="What is sent at the end of a pulse or hold")
    safe: Literal["active", "idle", "leave"] | None = Field(
        default=None,
        description="State before the first frame, while frames are not answered in time, and after the end: active "
        "(payload), idle, or leave. Default: active for outputs, leave for messages",
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.at_least > self.of_last:
            raise ValueError(f"at_least {self.at_least} is more than of_last {self.of_last}")
        if self.after is not None and self.after_counts is not None:
            raise ValueError("after and after_counts are both given; which one?")
        if self.pulse is not None and self.hold:
            raise ValueError("pulse and hold are both given; which one?")
        return self


class TargetSettings(Group):
    """A target in the list output.actions: how it is reached, and its rules."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")] = Field(
        description="Name in logs and metrics: a to z, 0 to 9 and -"
    )
    uri: Name = Field(
        description="mqtt://, mqtts://, http://, https://, modbus://, modbuss:// (TLS), opc.tcp:// with host and port, "
        "or gpio:///dev/gpiochip0"
    )
    rules: Annotated[tuple[RuleSettings, ...], Field(min_length=1, max_length=100)] = Field(
        description="Its rules; every rule that fits acts"
    )
    remember: bool | None = Field(
        default=None,
        description="Whether messages are kept in output.outbox until the target has them. Default: true for webhooks, "
        "false for all others, which act now or not at all; MQTT may choose",
    )
    timeout: Positive = Field(default=2.0, le=60, description="Longest time in seconds for one connection or request")
    queue: Count = Field(
        default=1000, description="Most actions that wait; beyond it the oldest are dropped and counted"
    )
    heartbeat: str | None = Field(
        default=None,
        max_length=1000,
        description="Address that changes while frames are answered in time: an MQTT topic, register:N, an OPC UA "
        "node, a GPIO line",
    )
    heartbeat_interval: Positive = Field(default=0.5, le=60, description="Seconds between two changes of heartbeat")
    silence: Seconds = Field(
        default=0.0, description="Seconds without a frame after which the heartbeat stops; 0: it goes on"
    )
    acknowledge: str | None = Field(
        default=None, max_length=1000, description="Address where 1, true or any message ends what is held (hold)"
    )
    username: Name | None = Field(default=None, description="User name, of MQTT and OPC UA")
    password_file: Path | None = Field(default=None, description="File that holds the password")
    token_file: Path | None = Field(default=None, description="File with a bearer token, of a webhook")
    secret_file: Path | None = Field(
        default=None, description="File with the secret that signs a webhook's messages (HMAC-SHA256)"
    )
    ca_file: Path | None = Field(
        default=None,
        description="PEM file of trusted certificate authorities; default: the system's. OPC UA: the server's own "
        "certificate; with serve, those of the clients that are let in",
    )
    certificate_file: Path | None = Field(default=None, description="PEM file of the monitor's own certificate")
    key_file: Path | None = Field(default=None, description="PEM file of its key, if in a separate file")
    qos: int = Field(default=1, ge=0, le=2, description="MQTT quality of service")
    retain: bool = Field(default=False, description="Whether an MQTT broker keeps the last message of a topic")
    mqtt_version: Literal["5", "3.1.1"] = Field(default="5", description="Version of MQTT")
    sparkplug_group: SparkplugName | None = Field(
        default=None,
        description="Group of Sparkplug B; with it verdicts are published as metrics of the device that address names",
    )
    sparkplug_node: SparkplugName | None = Field(
        default=None, description="Edge node of Sparkplug B, one for each monitor"
    )
    sparkplug_host: SparkplugName | None = Field(
        default=None, description="Primary host of Sparkplug B: nothing is published while it is offline"
    )
    serve: bool = Field(
        default=False, description="Whether to be an OPC UA server at uri, which others read, instead of a client"
    )
    unit: int = Field(default=1, ge=0, le=255, description="Modbus unit (device) number")

    def __repr__(self) -> str:
        """For people: nothing that may be secret."""
        return f"{self.name} ({self.shown})"

    __str__ = __repr__

    @property
    def shown(self) -> str:
        """The address as it may be shown: the path of a webhook is often a secret."""
        shown = show_address(self.uri)
        if not self.uri.lower().startswith(("http://", "https://")):
            return shown
        scheme, _, rest = shown.partition("://")
        host, slash, path = rest.partition("/")
        return f"{scheme}://{host}{slash}{HIDDEN if path else ''}"

    @property
    def kind(self) -> str:
        """What it is: `MQTT`, `WEBHOOK`, `MODBUS`, `OPC_UA` or `GPIO`."""
        return KINDS[urlsplit(self.uri).scheme]

    @property
    def remembers(self) -> bool:
        """Whether messages are kept on disk until the target has them."""
        return self.kind == WEBHOOK if self.remember is None else self.remember

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        address = urlsplit(self.uri)
        shown = self.shown
        if address.scheme not in KINDS:
            known = ", ".join(f"{scheme}://" for scheme in KINDS)
            raise ValueError(f"{self.name}: uri {shown}: unknown kind of target; right are {known}")
        if "@" in address.netloc or address.password:
            raise ValueError(
                f"{self.name}: uri {shown}: no user or password in the address, where they would be shown; give "
                "username and password_file"
            )
        if self.kind == GPIO:
            if address.netloc or not address.path.startswith("/dev/"):
                raise ValueError(f"{self.name}: uri {shown}: right is gpio:///dev/gpiochip0")
        elif not _names_host(self.uri):
            raise ValueError(f"{self.name}: uri {shown}: right is {address.scheme}://host:port")
        for field, kinds in _FIELDS_OF.items():
            if getattr(self, field) != type(self).model_fields[field].default and self.kind not in kinds:
                raise ValueError(f"{self.name}: {field} is for {' and '.join(kinds)} alone")
        is_opc_ua = self.kind == OPC_UA
        if address.scheme not in ENCRYPTED and not is_opc_ua and (self.ca_file or self.certificate_file):
            raise ValueError(f"{self.name}: files for TLS are given, but {address.scheme}:// has none")
        if self.key_file and not self.certificate_file:
            raise ValueError(f"{self.name}: key_file without certificate_file")
        if (self.username is None) != (self.password_file is None):
            raise ValueError(f"{self.name}: username and password_file belong together; one is not given")
        if is_opc_ua and self.username and not self.certificate_file:
            raise ValueError(f"{self.name}: username needs certificate_file and key_file, which encrypt the password")
        if is_opc_ua and self.username and not self.serve and not self.ca_file:
            raise ValueError(f"{self.name}: username needs ca_file, else any server could ask for the password")
        if is_opc_ua and self.ca_file and not self.certificate_file:
            raise ValueError(f"{self.name}: ca_file needs certificate_file and key_file")
        if self.remembers and self.kind not in (MQTT, WEBHOOK):
            raise ValueError(f"{self.name}: remember is for mqtt and webhook alone: an old command is worse than none")
        if self.remembers and self.kind == MQTT and self.qos == 0:
            raise ValueError(f"{self.name}: remember needs qos 1 or 2, else nobody says that a message has come")
        self._check_sparkplug()
        for number, rule in enumerate(self.rules, 1):
            self._check_rule(f"{self.name}: rule {number}", rule)
        return self

    def _check_sparkplug(self) -> None:
        if (self.sparkplug_group is None) != (self.sparkplug_node is None):
            raise ValueError(f"{self.name}: sparkplug_group and sparkplug_node belong together; one is not given")
        if self.sparkplug_group is None:
            if self.sparkplug_host is not None:
                raise ValueError(f"{self.name}: sparkplug_host needs sparkplug_group and sparkplug_node")
            return
        for field in ("qos", "retain", "remember", "acknowledge"):
            if getattr(self, field) != type(self).model_fields[field].default:
                raise ValueError(f"{self.name}: {field} is not for Sparkplug, which sets it itself or has none")
        for number, rule in enumerate(self.rules, 1):
            if rule.payload is not None or rule.pulse is not None or rule.hold or rule.safe not in (None, "leave"):
                raise ValueError(
                    f"{self.name}: rule {number}: payload, pulse, hold and safe are not for Sparkplug: the metrics are "
                    "those of the verdict"
                )

    def _check_rule(self, what: str, rule: RuleSettings) -> None:
        if (self.kind == WEBHOOK) == bool(rule.address):
            raise ValueError(f"{what}: a webhook has no address but its uri" if rule.address else f"{what}: no address")
        timed = rule.after is not None or rule.after_counts is not None
        if self.remembers and (timed or rule.pulse or rule.hold or rule.safe not in (None, "leave")):
            raise ValueError(
                f"{what}: after, after_counts, pulse, hold and safe are for targets that act now (remember: false)"
            )
        if rule.hold and self.acknowledge is None:
            raise ValueError(f"{what}: hold needs the target's acknowledge, the address that ends it")
        if self.kind in OUTPUT_KINDS and (rule.pulse is None and not rule.hold) and rule.safe == "active":
            raise ValueError(f"{what}: safe: active needs a pulse or hold, else nothing ends it")

    def safe_state(self, rule: RuleSettings) -> Literal["active", "idle", "leave"]:
        """The safe state of a rule's output."""
        if rule.safe is not None:
            return rule.safe
        return "active" if self.kind in OUTPUT_KINDS and (rule.pulse is not None or rule.hold) else "leave"


# Fields that only some kinds of targets have.
_FIELDS_OF: dict[str, tuple[str, ...]] = {
    "qos": (MQTT,),
    "retain": (MQTT,),
    "mqtt_version": (MQTT,),
    "sparkplug_group": (MQTT,),
    "unit": (MODBUS,),
    "serve": (OPC_UA,),
    "token_file": (WEBHOOK,),
    "secret_file": (WEBHOOK,),
    "username": (MQTT, OPC_UA),
    "heartbeat": (MQTT, MODBUS, OPC_UA, GPIO),
    "acknowledge": (MQTT, MODBUS, OPC_UA, GPIO),
}


def _names_host(uri: str) -> bool:
    try:
        address = urlsplit(uri)
        return bool(address.hostname) and (address.port is None or address.port > 0)
    except ValueError:
        return False
