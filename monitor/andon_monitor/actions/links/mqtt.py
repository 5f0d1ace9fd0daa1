"""MQTT: a message is done once the broker has acknowledged it."""

import json
import math
import threading
from contextlib import suppress
from typing import Any

from paho.mqtt.client import MQTTMessage
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from andon_monitor.actions.links.base import LinkError, Message
from andon_monitor.actions.links.mqtt_connection import CONTROL_QOS, MqttConnection, Will
from andon_monitor.settings.actions import TargetSettings

OFFLINE = {"state": "offline"}


class MqttLink:
    """A connection to a broker. Its last will, at the heartbeat's topic, is the state `offline`.

    The heartbeat is a retained `{"state": "online", "count": 7}`; while frames are not answered in time the state is
    `stale`.
    """

    def __init__(self, settings: TargetSettings) -> None:
        self._settings = settings
        self._connection = MqttConnection(settings)
        self._guard = threading.Lock()
        self._acknowledged = False

    def open(self) -> None:
        """Connect, and wait for the broker's answer."""
        heartbeat, acknowledge = self._settings.heartbeat, self._settings.acknowledge
        will = None if heartbeat is None else Will(heartbeat, json.dumps(OFFLINE).encode(), retain=True)
        self._acknowledged = False
        self._connection.connect(will, () if acknowledge is None else (acknowledge,), self._on_message)

    def check(self) -> None:
        """Raise where the connection is known to be gone."""
        self._connection.check()

    def send(self, message: Message) -> None:
        """Publish, and wait for the acknowledgement; with QoS 0, until it is on its way."""
        settings, properties = self._settings, self._properties(message)
        self._connection.publish(message.address, message.payload.encode(), settings.qos, settings.retain, properties)

    def beat(self, address: str, count: int, alive: bool) -> None:
        """Publish the heartbeat."""
        self._publish_state(address, {"state": "online" if alive else "stale", "count": count})

    def acknowledged(self, address: str) -> bool:
        """Whether a message came at the topic; one that the broker had kept from before does not count."""
        with self._guard:
            found, self._acknowledged = self._acknowledged, False
            return found

    def probe(self) -> str:
        """Connect and disconnect, without a will."""
        self._connection.connect()
        self._connection.drop()
        return self._connection.describe()

    def close(self) -> None:
        """Say `offline` and disconnect."""
        if self._settings.heartbeat is not None:
            with suppress(LinkError):  # then the broker sends the last will, or has done so
                self._publish_state(self._settings.heartbeat, OFFLINE)
        self._connection.drop()

    def _publish_state(self, address: str, state: dict[str, Any]) -> None:
        payload = json.dumps(state)
        properties = self._properties(Message(address, payload, ""))
        self._connection.publish(address, payload.encode(), CONTROL_QOS, retain=True, properties=properties)

    def _properties(self, message: Message) -> Properties | None:
        if not self._connection.is_v5:
            return None
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        if message.payload.startswith("{"):
            properties.ContentType = "application/json"
        if message.id:
            properties.UserProperty = ("id", message.id)
        if message.expires_after is not None:
            properties.MessageExpiryInterval = max(1, math.ceil(message.expires_after))
        return properties

    def _on_message(self, message: MQTTMessage) -> None:
        if not message.retain:
            with self._guard:
                self._acknowledged = True
