"""kafka://host:port[,host:port]/topic, taken apart."""

import re
from dataclasses import dataclass

from andon_monitor.errors import UsageError

SCHEME = "kafka://"
RIGHT = "right is kafka://host:port[,host:port]/topic"
TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")
SERVER = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):([0-9]{1,5})")


@dataclass(frozen=True)
class Address:
    """Brokers to begin with, as host:port, and a topic."""

    servers: tuple[str, ...]
    topic: str

    def __str__(self) -> str:
        return f"{SCHEME}{','.join(self.servers)}/{self.topic}"

    def with_topic(self, topic: str) -> "Address":
        """Another topic of the same cluster."""
        return Address(self.servers, topic)


def is_kafka(uri: str) -> bool:
    """Whether a source's or a sink's name is one of Kafka."""
    return uri.lower().startswith(SCHEME)


def parse_address(uri: str) -> Address:
    """Take a URI apart. Raises UsageError: one line with what is wrong; a password in it is not repeated."""
    rest = uri[len(SCHEME) :]
    if "@" in rest:
        raise UsageError(
            f"{SCHEME}***@{rest.rpartition('@')[2]}: no user or password in the address, they would be shown; "
            "give kafka.username and kafka.password_file, or ANDON_KAFKA_PASSWORD"
        )
    hosts, slash, topic = rest.partition("/")
    if not slash or not topic:
        raise UsageError(f"{uri}: names no topic; {RIGHT}")
    if not TOPIC.fullmatch(topic) or topic in (".", ".."):
        raise UsageError(f"{uri}: {topic!r} is no name of a topic: letters, digits, dot, dash and underscore")
    servers = tuple(hosts.split(","))
    for server in servers:
        match = SERVER.fullmatch(server)
        if match is None or not 0 < int(match.group(2)) < 65536:
            raise UsageError(f"{uri}: {server!r} is no host:port; {RIGHT}")
    return Address(servers, topic)


def host_and_port(server: str) -> tuple[str, int]:
    """host:port as a socket takes it."""
    host, _, port = server.rpartition(":")
    return host.strip("[]"), int(port)
