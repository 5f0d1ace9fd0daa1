"""The link that a target's URI names."""

import sys
from importlib import import_module
from typing import NamedTuple

from andon_monitor.actions.links.base import Link
from andon_monitor.errors import InstallationError
from andon_monitor.settings.actions import GPIO, MODBUS, MQTT, OPC_UA, WEBHOOK, TargetSettings


class Protocol(NamedTuple):
    """The module and class of a link, the package that it needs and what pip calls it."""

    module: str
    link: str
    package: str
    extra: str


PROTOCOLS = {
    MQTT: Protocol("andon_monitor.actions.links.mqtt", "MqttLink", "paho", "mqtt"),
    WEBHOOK: Protocol("andon_monitor.actions.links.webhook", "WebhookLink", "urllib3", "webhook"),
    MODBUS: Protocol("andon_monitor.actions.links.modbus", "ModbusLink", "pymodbus", "modbus"),
    OPC_UA: Protocol("andon_monitor.actions.links.opcua", "OpcUaLink", "asyncua", "opcua"),
    GPIO: Protocol("andon_monitor.actions.links.gpio", "GpioLink", "gpiod", "gpio"),
}
SPARKPLUG = Protocol("andon_monitor.actions.links.sparkplug", "SparkplugLink", "paho", "mqtt")
OPC_UA_SERVER = Protocol("andon_monitor.actions.links.opcua_server", "OpcUaServerLink", "asyncua", "opcua")


def make_link(settings: TargetSettings) -> Link:
    """The link of a target, not yet open. Its library is an extra and is imported here.

    Raises InstallationError where it is missing, UsageError for files and addresses that cannot be used.
    """
    protocol = PROTOCOLS[settings.kind]
    if settings.serve:
        protocol = OPC_UA_SERVER
    elif settings.sparkplug_group is not None:
        protocol = SPARKPLUG
    if settings.kind == GPIO and sys.platform != "linux":
        raise InstallationError(
            f"output.actions: {settings.name}: gpio:///dev/... is only on Linux, this is {sys.platform}"
        )
    try:
        module = import_module(protocol.module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] != protocol.package:
            raise
        raise InstallationError(
            f"output.actions: {settings.name}: {protocol.package} is not installed; run pip install "
            f"'andon[{protocol.extra}]'"
        ) from None
    link: Link = getattr(module, protocol.link)(settings)
    return link
