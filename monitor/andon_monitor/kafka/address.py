"""Parsing of kafka://host:port[,host:port]/topic."""

import re
from dataclasses import dataclass

from andon_monitor.common.redaction import show_address
from andon_monitor.errors import UsageError

SCHEME = "kafka://"
EXPECTED = "right is kafka://host:port[,host:port]/topic"
TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")
SHOWN_SERVER = re.compile(r"[A-Za-z0-9._-]*(:[0-9]*)?")  # in a message: else it may be part of a password
SERVER = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):([0-9]{1,5})")


@dataclass(frozen=True)
class Address:
    """The brokers to connect to first, each host:port, and a topic."""

    servers: tuple[str, ...]
    topic: str

    def __str__(self) -> str:
        return f"{SCHEME}{','.join(self.servers)}/{self.topic}"

    def with_topic(self, topic: str) -> "Address":
        """The address of another topic of the same cluster."""
        return Address(self.servers, topic)


def is_kafka(uri: str) -> bool:
    """Whether the URI of a source or a sink names a Kafka topic."""
    return uri.lower().startswith(SCHEME)


def parse_address(uri: str) -> Address:
    """Parse a kafka:// URI. Raises UsageError, which does not repeat what may be part of a password."""
    rest = uri[len(SCHEME) :]
    if "@" in rest:
        raise UsageError(
            f"{show_address(uri)}: no user or password in the address, where they would be shown; "
            "give kafka.username and kafka.password_file, or ANDON_KAFKA_PASSWORD"
        )
    hosts, slash, topic = rest.partition("/")
    if not slash or not topic:
        raise UsageError(f"{show_address(uri)}: names no topic; {EXPECTED}")
    if not TOPIC.fullmatch(topic) or topic in (".", ".."):
        raise UsageError(
            f"{show_address(uri)}: what follows the brokers is not the name of a topic: letters, digits and . - _"
        )
    servers = tuple(hosts.split(","))
    for server in servers:
        match = SERVER.fullmatch(server)
        if match is None or not 0 < int(match.group(2)) < 65536:
            raise UsageError(f"{show_address(uri)}: {_shown(server)} is not host:port; {EXPECTED}")
    return Address(servers, topic)


def _shown(server: str) -> str:
    return repr(server) if SHOWN_SERVER.fullmatch(server) else "a broker"


def host_and_port(server: str) -> tuple[str, int]:
    """Split host:port; brackets around an IPv6 host are removed."""
    host, _, port = server.rpartition(":")
    return host.strip("[]"), int(port)
