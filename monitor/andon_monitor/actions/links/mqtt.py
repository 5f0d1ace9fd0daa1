"""MQTT: a message is done once the broker has acknowledged it."""

import json
import math
import threading
import time
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from andon_monitor.actions.links.base import LinkError, Message
from andon_monitor.actions.links.secrets import read_secret, tls_context
from andon_monitor.common.redaction import show_address
from andon_monitor.settings.actions import TargetSettings

PORT, TLS_PORT = 1883, 8883
HEARTBEAT_QOS = 1
MAX_MESSAGES = 100  # handed to the client and not acknowledged; each is waited for, so there is one

VERSIONS = {"5": mqtt.MQTTv5, "3.1.1": mqtt.MQTTv311}


class MqttLink:
    """A connection to a broker. Its last will, at the heartbeat's topic, is the state `offline`.

    The heartbeat is a retained `{"state": "online", "count": 7}`; while frames are not answered in time the state is
    `stale`. Each connection is a new session: nothing that was sent over an earlier one is sent again.
    """

    def __init__(self, settings: TargetSettings) -> None:
        self._settings = settings
        address = urlsplit(settings.uri)
        self._host = address.hostname or ""
        self._tls = tls_context(settings) if address.scheme == "mqtts" else None
        self._port = address.port or (PORT if self._tls is None else TLS_PORT)
        self._password = read_secret(settings, "password_file")
        self._v5 = settings.mqtt_version == "5"
        self._client: mqtt.Client | None = None
        self._changed = threading.Condition()
        self._connected: str | None = None  # empty: yes; a text: why not
        self._answers: dict[int, str] = {}  # by the number of a message; empty: acknowledged
        self._lost: str | None = None
        self._acknowledged = False

    def open(self) -> None:
        """Connect, and wait for the broker's answer."""
        self._connect(will=True)
        if self._settings.acknowledge is not None:
            assert self._client is not None
            self._client.subscribe(self._settings.acknowledge, HEARTBEAT_QOS)

    def send(self, message: Message) -> None:
        """Publish, and wait for the acknowledgement; with QoS 0, until it is on its way."""
        self._publish(message, self._settings.qos, self._settings.retain)

    def beat(self, address: str, count: int, alive: bool) -> None:
        """Publish the heartbeat."""
        self._publish_state(address, {"state": "online" if alive else "stale", "count": count})

    def acknowledged(self, address: str) -> bool:
        """Whether a message came at the topic; one that the broker had kept from before does not count."""
        with self._changed:
            found, self._acknowledged = self._acknowledged, False
            return found

    def probe(self) -> str:
        """Connect and disconnect, without a will."""
        self._connect(will=False)
        self._drop()
        return f"the broker answers, MQTT {self._settings.mqtt_version}" + ("" if self._tls is None else ", TLS")

    def close(self) -> None:
        """Say `offline` and disconnect."""
        if self._client is not None and self._lost is None and self._settings.heartbeat is not None:
            with suppress(LinkError):  # then the broker sends the last will
                self._publish_state(self._settings.heartbeat, {"state": "offline"})
        self._drop()

    def _connect(self, will: bool) -> None:
        self._drop()
        settings = self._settings
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            "",  # the broker gives a name: two monitors with the same one would throw each other out
            protocol=VERSIONS[settings.mqtt_version],
            reconnect_on_failure=False,
        )
        client.connect_timeout = settings.timeout
        client.max_queued_messages_set(MAX_MESSAGES)
        client.on_connect, client.on_disconnect = self._on_connect, self._on_disconnect
        client.on_connect_fail, client.on_publish = self._on_connect_fail, self._on_publish
        client.on_message = self._on_message
        if self._tls is not None:
            client.tls_set_context(self._tls)
        if settings.username is not None:
            client.username_pw_set(settings.username, self._password)
        if will and settings.heartbeat is not None:
            client.will_set(settings.heartbeat, json.dumps({"state": "offline"}), HEARTBEAT_QOS, retain=True)
        with self._changed:
            self._connected, self._lost, self._acknowledged = None, None, False
            self._answers.clear()
        self._client = client
        # A broker notices after one and a half times as long that we are gone, and sends the last will.
        keepalive = max(1, math.ceil(settings.timeout))
        try:
            if self._v5:
                client.connect(self._host, self._port, keepalive, clean_start=True)
            else:
                client.connect(self._host, self._port, keepalive)
        except (OSError, ValueError) as error:
            self._client = None
            raise LinkError(self._about(f"does not answer ({_words(error)})")) from None
        client.loop_start()
        with self._changed:
            self._changed.wait_for(lambda: self._connected is not None or self._lost is not None, settings.timeout)
            refused = self._lost if self._connected is None else self._connected
            answered = self._connected == ""
        if not answered:
            self._drop()
            raise LinkError(self._about(refused or f"no answer within {settings.timeout:g} s"))

    def _publish_state(self, address: str, state: dict[str, Any]) -> None:
        self._publish(Message(address, json.dumps(state), ""), HEARTBEAT_QOS, retain=True)

    def _publish(self, message: Message, qos: int, retain: bool) -> None:
        client = self._client
        if client is None or self._lost is not None:
            raise LinkError(self._about(self._lost or "not connected"))
        try:
            properties = self._properties(message) if self._v5 else None
            sent = client.publish(message.address, message.payload.encode(), qos, retain, properties)
        except ValueError as error:
            raise LinkError(self._about(f"refuses a message ({_words(error)})"), lasting=True) from None
        deadline = time.monotonic() + self._settings.timeout
        with self._changed:
            while sent.mid not in self._answers:
                if self._lost is not None:
                    raise LinkError(self._about(self._lost))
                if not self._changed.wait(deadline - time.monotonic()) and time.monotonic() >= deadline:
                    raise LinkError(self._about(f"no acknowledgement within {self._settings.timeout:g} s"))
            refused = self._answers.pop(sent.mid)
        if refused:
            raise LinkError(self._about(f"refuses a message at {message.address[:80]} ({refused})"), lasting=True)

    def _properties(self, message: Message) -> Properties:
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        if message.payload.startswith("{"):
            properties.ContentType = "application/json"
        if message.id:
            properties.UserProperty = ("id", message.id)
        if message.expires_after is not None:
            properties.MessageExpiryInterval = max(1, math.ceil(message.expires_after))
        return properties

    def _drop(self) -> None:
        """Forget the connection, and with it whatever it has not sent."""
        client, self._client = self._client, None
        if client is not None:
            client.disconnect()
            client.loop_stop()

    def _about(self, what: str) -> str:
        return f"{show_address(self._settings.uri)}: {what}"

    # What follows runs on the client's thread.

    def _on_connect(self, client: mqtt.Client, data: Any, flags: Any, reason: ReasonCode, properties: Any) -> None:
        with self._changed:
            self._connected = f"connection refused ({reason})" if reason.is_failure else ""
            self._changed.notify_all()

    def _on_connect_fail(self, client: mqtt.Client, data: Any) -> None:
        with self._changed:
            self._connected = "connection failed"
            self._changed.notify_all()

    def _on_disconnect(self, client: mqtt.Client, data: Any, flags: Any, reason: ReasonCode, properties: Any) -> None:
        with self._changed:
            if client is self._client:
                self._lost = f"connection lost ({reason})"
                self._changed.notify_all()

    def _on_publish(self, client: mqtt.Client, data: Any, mid: int, reason: ReasonCode, properties: Any) -> None:
        with self._changed:
            if client is self._client:
                self._answers[mid] = str(reason) if reason.is_failure else ""
                self._changed.notify_all()

    def _on_message(self, client: mqtt.Client, data: Any, message: mqtt.MQTTMessage) -> None:
        if not message.retain:
            with self._changed:
                self._acknowledged = True


def _words(error: BaseException) -> str:
    text = getattr(error, "strerror", None) or getattr(error, "verify_message", None) or str(error)
    return text or type(error).__name__
