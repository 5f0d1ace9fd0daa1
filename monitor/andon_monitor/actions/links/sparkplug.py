"""Sparkplug B 3.0 over MQTT: an edge node with a device for each address, whose metrics are those of the last verdict.

spBv1.0/GROUP/NBIRTH/NODE          the node's metrics: bdSeq, Node Control/Rebirth, the heartbeat
spBv1.0/GROUP/DBIRTH/NODE/DEVICE   before a device's first verdict, and again whenever a host asks
spBv1.0/GROUP/DDATA/NODE/DEVICE    a verdict on which a rule acts
spBv1.0/GROUP/NDATA/NODE           the heartbeat
spBv1.0/GROUP/NDEATH/NODE          at the end; as last will, where there is no word before it
"""

import json
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from paho.mqtt.client import MQTTMessage

from andon_monitor import __version__
from andon_monitor.actions.facts import Fact
from andon_monitor.actions.links.base import LinkError, Message
from andon_monitor.actions.links.mqtt_connection import CONTROL_QOS, MqttConnection, Will
from andon_monitor.actions.links.sparkplug_payload import DataType, Metric, encode, is_true
from andon_monitor.errors import UsageError
from andon_monitor.inspection.part import Part
from andon_monitor.settings.actions import TargetSettings

NAMESPACE = "spBv1.0"
NUMBERS = 256  # of sequences, and of birth and death
DATA_QOS = 0  # as the specification has it
MAX_DEVICES = 1000  # names of devices come from verdicts
REBIRTH, BIRTH_SEQUENCE, ALIVE = "Node Control/Rebirth", "bdSeq", "Alive"


def _of_part(name: str) -> Callable[[Fact], str | int | None]:
    return lambda fact: getattr(fact.part or Part(), name)


# The metrics of a device, and what a verdict says about each.
METRICS: dict[str, tuple[DataType, Callable[[Fact], str | int | float | bool | None]]] = {
    "Verdict/Id": (DataType.STRING, lambda fact: fact.id),
    "Verdict/Result": (DataType.STRING, lambda fact: fact.outcome),
    "Verdict/Good": (DataType.BOOLEAN, lambda fact: fact.outcome == "good"),
    "Verdict/Camera": (DataType.STRING, lambda fact: fact.camera or None),
    "Verdict/CapturedAt": (DataType.DATE_TIME, lambda fact: _milliseconds(fact.captured_at)),
    "Verdict/Score": (DataType.DOUBLE, lambda fact: fact.score),
    "Verdict/Threshold": (DataType.DOUBLE, lambda fact: fact.threshold),
    "Verdict/PValue": (DataType.DOUBLE, lambda fact: fact.p_value),
    "Verdict/Kind": (DataType.STRING, lambda fact: fact.kind),
    "Verdict/Reason": (DataType.STRING, lambda fact: fact.reason),
    "Verdict/Recipe": (DataType.STRING, lambda fact: fact.recipe),
    "Verdict/Model": (DataType.STRING, lambda fact: fact.model),
    "Part/Id": (DataType.STRING, _of_part("id")),
    "Part/Product": (DataType.STRING, _of_part("product")),
    "Part/Order": (DataType.STRING, _of_part("order")),
    "Part/Station": (DataType.STRING, _of_part("station")),
    "Part/View": (DataType.STRING, _of_part("view")),
    "Part/Encoder": (DataType.INT64, _of_part("encoder")),
}


class SparkplugLink:
    """An edge node. A message's address is the name of its device.

    With a primary host (`sparkplug_host`) nothing is published while that host is offline. Data have QoS 0: what is
    sent while nobody hears it is lost. The client's name is that of the node, so that a broker ends a connection that
    we have lost, with its NDEATH, before we are born again.
    """

    def __init__(self, settings: TargetSettings) -> None:
        self._settings = settings
        self._group, self._node = settings.sparkplug_group or "", settings.sparkplug_node or ""
        self._host_topic = None if settings.sparkplug_host is None else f"{NAMESPACE}/STATE/{settings.sparkplug_host}"
        self._connection = MqttConnection(settings)
        self._births = -1  # bdSeq of this connection
        self._sequence = 0
        self._devices: dict[str, Sequence[Metric]] = {}  # as they were last published
        self._born = False
        self._beat = (0, False)
        self._changed = threading.Condition()  # guards what follows, which the client's thread sets
        self._rebirth = False
        self._host_online = False
        self._host_time = 0
        for rule in settings.rules:
            if "/" in rule.address:
                raise UsageError(
                    f"output.actions: {settings.name}: address {rule.address[:80]!r}: the name of a Sparkplug device "
                    "has no /"
                )

    def open(self) -> None:
        """Connect, wait for the primary host where there is one, and publish the births."""
        if self._born or not self._is_connected():
            self._connect()
        self._wait_for_host()
        self._publish_births()

    def check(self) -> None:
        """Raise where the connection is gone or the primary host offline; else give births that were asked for."""
        self._connection.check()
        with self._changed:
            offline, rebirth = self._host_topic is not None and not self._host_online, self._rebirth
        if offline and self._born:
            self._die()
            raise self._host_is_offline()
        if rebirth:
            self._publish_births()

    def send(self, message: Message) -> None:
        """Publish a verdict's metrics as those of its device, after the device's birth."""
        self.check()
        if message.fact is None:
            return
        device, metrics = message.address, metrics_of(message.fact)
        if device not in self._devices:
            if len(self._devices) >= MAX_DEVICES:
                raise self._connection.error(f"device {device[:80]!r}: there are {MAX_DEVICES} already", lasting=True)
            self._devices[device] = metrics_of(None)
            self._publish("DBIRTH", self._devices[device], device)
        self._devices[device] = metrics
        self._publish("DDATA", metrics, device)

    def beat(self, address: str, count: int, alive: bool) -> None:
        """Publish the node's heartbeat, and whether frames are answered."""
        self.check()
        self._beat = (count, alive)
        self._publish("NDATA", self._heartbeat())

    def acknowledged(self, address: str) -> bool:
        """Never: nothing is held."""
        return False

    def probe(self) -> str:
        """Connect and disconnect, under another name than the node's, without a birth."""
        self._connection.connect()
        self._connection.drop()
        return f"{self._connection.describe()}, Sparkplug B"

    def close(self) -> None:
        """Publish the node's death, and disconnect."""
        if self._born:
            self._die()
        self._connection.drop()

    def _connect(self) -> None:
        births = (self._births + 1) % NUMBERS
        self._born = False
        with self._changed:
            self._rebirth, self._host_online, self._host_time = False, False, 0
        subscriptions = [self._topic("NCMD"), *([] if self._host_topic is None else [self._host_topic])]
        will = Will(self._topic("NDEATH"), _death(births), retain=False)
        self._connection.connect(will, subscriptions, self._on_message, f"{self._group}/{self._node}")
        self._births = births

    def _is_connected(self) -> bool:
        with suppress(LinkError):
            self._connection.check()
            return True
        return False

    def _wait_for_host(self) -> None:
        if self._host_topic is None:
            return
        with self._changed:
            if not self._changed.wait_for(lambda: self._host_online, self._settings.timeout):
                raise self._host_is_offline()

    def _host_is_offline(self) -> LinkError:
        return self._connection.error(f"the primary host {self._settings.sparkplug_host} is offline")

    def _publish_births(self) -> None:
        """The node with the sequence number 0, then every device that is known."""
        with self._changed:
            self._rebirth = False
        now = _milliseconds(time.time())
        metrics = [
            Metric(BIRTH_SEQUENCE, DataType.INT64, self._births, now),
            Metric(REBIRTH, DataType.BOOLEAN, False, now),
            Metric("Properties/Software", DataType.STRING, "andon-monitor", now),
            Metric("Properties/Version", DataType.STRING, __version__, now),
            *([] if self._settings.heartbeat is None else self._heartbeat()),
        ]
        self._sequence = 0
        self._born = True
        self._publish("NBIRTH", metrics)
        for device, known in self._devices.items():
            self._publish("DBIRTH", known, device)

    def _die(self) -> None:
        self._born = False
        with suppress(LinkError):  # then the broker sends the last will
            self._connection.publish(self._topic("NDEATH"), _death(self._births), CONTROL_QOS)
        self._connection.drop()

    def _publish(self, kind: str, metrics: Sequence[Metric], device: str | None = None) -> None:
        payload = encode(metrics, _milliseconds(time.time()), self._sequence)
        self._sequence = (self._sequence + 1) % NUMBERS
        self._connection.publish(self._topic(kind, device), payload, DATA_QOS)

    def _topic(self, kind: str, device: str | None = None) -> str:
        return "/".join((NAMESPACE, self._group, kind, self._node, *([] if device is None else [device])))

    def _heartbeat(self) -> list[Metric]:
        count, alive = self._beat
        now = _milliseconds(time.time())
        name = self._settings.heartbeat or ""
        return [Metric(name, DataType.INT64, count, now), Metric(ALIVE, DataType.BOOLEAN, alive, now)]

    def _on_message(self, message: MQTTMessage) -> None:
        """Note a command to the node, or the state of the primary host; on the client's thread. All else is ignored."""
        with suppress(ValueError, RecursionError), self._changed:
            if message.topic == self._host_topic:
                online, moment = read_state(bytes(message.payload))
                if moment >= self._host_time:
                    self._host_time, self._host_online = moment, online
                    self._changed.notify_all()
            elif is_true(bytes(message.payload), REBIRTH):
                self._rebirth = True


def metrics_of(fact: Fact | None) -> list[Metric]:
    """The metrics of a device after a verdict; before the first one, all are unknown."""
    now = _milliseconds(time.time() if fact is None else fact.captured_at)
    return [Metric(name, kind, None if fact is None else value(fact), now) for name, (kind, value) in METRICS.items()]


def read_state(payload: bytes) -> tuple[bool, int]:
    """Whether a host is online, and since when, in milliseconds since 1970. Raises ValueError."""
    state = json.loads(payload)
    if not isinstance(state, dict):
        raise ValueError("not a JSON object")
    online, moment = state.get("online"), state.get("timestamp")
    if not isinstance(online, bool) or not isinstance(moment, int):
        raise ValueError("no state of a host")
    return online, moment


def _death(births: int) -> bytes:
    """The payload of a node's death: which birth it ends, and no sequence number."""
    now = _milliseconds(time.time())
    return encode([Metric(BIRTH_SEQUENCE, DataType.INT64, births, now)], now, None)


def _milliseconds(seconds: float) -> int:
    return max(0, round(1000 * seconds))
