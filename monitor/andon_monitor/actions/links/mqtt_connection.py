"""A connection to an MQTT broker: one client of paho for each, so that nothing of an earlier one is sent again."""

import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from andon_monitor.actions.links.base import LinkError, words
from andon_monitor.actions.links.secrets import read_secret, tls_context
from andon_monitor.common.redaction import show_address
from andon_monitor.settings.actions import TargetSettings

PORT, TLS_PORT = 1883, 8883
CONTROL_QOS = 1  # of subscriptions, wills and states
MAX_MESSAGES = 100  # handed to the client and not acknowledged; each is waited for, so there is one
MAX_RECEIVED_BYTES = 65_536  # of a message to us, with MQTT 5: what is larger stays at the broker

VERSIONS = {"5": mqtt.MQTTv5, "3.1.1": mqtt.MQTTv311}

OnMessage = Callable[[mqtt.MQTTMessage], None]


@dataclass(frozen=True, slots=True)
class Will:
    """What the broker publishes once we are gone without a word."""

    topic: str
    payload: bytes
    retain: bool


def _ignore(message: mqtt.MQTTMessage) -> None:
    """Nothing is subscribed to."""


class MqttConnection:
    """The connection of one target, by its settings. A single thread uses it; `on_message` runs on the client's thread.

    Everything but `drop` raises LinkError. Raises UsageError for files that do not load.
    """

    def __init__(self, settings: TargetSettings) -> None:
        self._settings = settings
        address = urlsplit(settings.uri)
        self._host = address.hostname or ""
        self._tls = tls_context(settings) if address.scheme == "mqtts" else None
        self._port = address.port or (PORT if self._tls is None else TLS_PORT)
        self._password = read_secret(settings, "password_file")
        self.is_v5 = settings.mqtt_version == "5"
        self._client: mqtt.Client | None = None
        self._changed = threading.Condition()
        self._connected: str | None = None  # empty: yes; a text: why not
        self._answers: dict[int, str] = {}  # by the number of a message or subscription; empty: acknowledged
        self._lost: str | None = None

    def connect(
        self,
        will: Will | None = None,
        subscriptions: Sequence[str] = (),
        on_message: OnMessage = _ignore,
        client_id: str = "",
    ) -> None:
        """Connect as a new session, and wait for the broker's answers.

        Without `client_id` the broker gives a name: two monitors with the same one would throw each other out.
        """
        self.drop()
        client = self._make_client(client_id, will, on_message)
        with self._changed:
            self._connected, self._lost = None, None
            self._answers.clear()
        self._client = client
        # A broker notices after one and a half times as long that we are gone, and sends the last will.
        keepalive = max(1, math.ceil(self._settings.timeout))
        try:
            if self.is_v5:
                properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
                properties.MaximumPacketSize = MAX_RECEIVED_BYTES
                client.connect(self._host, self._port, keepalive, clean_start=True, properties=properties)
            else:
                client.connect(self._host, self._port, keepalive)
        except (OSError, ValueError) as error:
            self._client = None
            raise self.error(f"does not answer ({words(error)})") from None
        client.loop_start()
        self._wait_until_connected()
        for topic in subscriptions:
            _, number = client.subscribe(topic, CONTROL_QOS)
            self._wait_for_answer(number, f"refuses the subscription to {topic[:80]}")

    def publish(
        self, topic: str, payload: bytes, qos: int, retain: bool = False, properties: Properties | None = None
    ) -> None:
        """Publish, and wait for the acknowledgement; with QoS 0, until it is on its way."""
        self.check()
        assert self._client is not None
        try:
            sent = self._client.publish(topic, payload, qos, retain, properties)
        except ValueError as error:
            raise self.error(f"refuses a message ({words(error)})", lasting=True) from None
        self._wait_for_answer(sent.mid, f"refuses a message at {topic[:80]}")

    def check(self) -> None:
        """Raise where there is no connection."""
        if self._client is None or self._lost is not None:
            raise self.error(self._lost or "not connected")

    def drop(self) -> None:
        """Disconnect, and forget whatever was not sent. The broker sends no last will. Never raises."""
        client, self._client = self._client, None
        if client is not None:
            client.disconnect()
            client.loop_stop()

    def describe(self) -> str:
        """In a few words, what answered."""
        return f"the broker answers, MQTT {self._settings.mqtt_version}" + ("" if self._tls is None else ", TLS")

    def error(self, what: str, lasting: bool = False) -> LinkError:
        """An error about this broker."""
        return LinkError(f"{show_address(self._settings.uri)}: {what}", lasting)

    def _make_client(self, client_id: str, will: Will | None, on_message: OnMessage) -> mqtt.Client:
        settings = self._settings
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id,
            protocol=VERSIONS[settings.mqtt_version],
            reconnect_on_failure=False,
        )
        client.connect_timeout = settings.timeout
        client.max_queued_messages_set(MAX_MESSAGES)
        client.on_connect, client.on_disconnect = self._on_connect, self._on_disconnect
        client.on_connect_fail, client.on_publish = self._on_connect_fail, self._on_publish
        client.on_subscribe = self._on_subscribe
        client.on_message = lambda _client, _data, message: on_message(message)
        if self._tls is not None:
            client.tls_set_context(self._tls)
        if settings.username is not None:
            client.username_pw_set(settings.username, self._password)
        if will is not None:
            client.will_set(will.topic, will.payload, CONTROL_QOS, retain=will.retain)
        return client

    def _wait_until_connected(self) -> None:
        timeout = self._settings.timeout
        with self._changed:
            self._changed.wait_for(lambda: self._connected is not None or self._lost is not None, timeout)
            refused = self._lost if self._connected is None else self._connected
            answered = self._connected == ""
        if not answered:
            self.drop()
            raise self.error(refused or f"no answer within {timeout:g} s")

    def _wait_for_answer(self, number: int | None, refusal: str) -> None:
        timeout = self._settings.timeout
        with self._changed:
            self._changed.wait_for(lambda: number in self._answers or self._lost is not None, timeout)
            if number is None or number not in self._answers:
                raise self.error(self._lost or f"no acknowledgement within {timeout:g} s")
            refused = self._answers.pop(number)
        if refused:
            raise self.error(f"{refusal} ({refused})", lasting=True)

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
        self._answered(client, mid, reason)

    def _on_subscribe(
        self, client: mqtt.Client, data: Any, mid: int, reasons: list[ReasonCode], properties: Any
    ) -> None:
        self._answered(client, mid, reasons[0])

    def _answered(self, client: mqtt.Client, number: int, reason: ReasonCode) -> None:
        with self._changed:
            if client is self._client:
                self._answers[number] = str(reason) if reason.is_failure else ""
                self._changed.notify_all()
