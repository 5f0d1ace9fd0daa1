"""A real Kafka of one or three nodes, without containers: for `make kafka` and for the tests.

    python deploy/kafka/broker.py --port 9092 [--nodes 3] [--folder DIR]

Needs JDK 17 and, the first time, Maven. Made for trying things: small heaps, no replication with one node.
"""

import argparse
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
LIBS = HERE / "libs"
CLASSES = LIBS / "classes.jsa"
START_SECONDS = 180
END_SECONDS = 60
# A compiler that stops early and the simplest collector start in half the time and need a third of the memory.
JAVA = ["java", "-Xms64m", "-Xmx320m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
JAVA += ["-Dorg.slf4j.simpleLogger.logFile=System.out"]


class BrokerError(Exception):
    """What is missing, or why the broker did not start."""


class MissingError(BrokerError):
    """Java, Maven or the jars cannot be had here."""


@dataclass(frozen=True)
class Security:
    """A second listener with TLS and SASL. `users` are SCRAM and PLAIN users; `admins` among them may do everything.

    `keystore` is a PEM file of the node's key and certificate chain.
    """

    keystore: Path
    users: Mapping[str, str]
    admins: tuple[str, ...]
    tokens: "Tokens | None" = None


@dataclass(frozen=True)
class Tokens:
    """Which OAUTHBEARER tokens are believed: those signed by a key at the address, for the audience."""

    keys_url: str
    audience: str


def fetch_jars() -> None:
    """Have Maven fetch the jars once. Raises BrokerError."""
    if any(LIBS.glob("kafka_*.jar")):
        return
    if shutil.which("mvn") is None:
        raise MissingError("no jars of Kafka and no Maven (mvn) to fetch them")
    done = subprocess.run(
        ["mvn", "-q", "-B", "dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={LIBS}"],
        cwd=HERE,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        shutil.rmtree(LIBS, ignore_errors=True)
        raise MissingError(f"Maven could not fetch Kafka: {done.stdout.strip()[:300]}")


def archive_classes() -> None:
    """Have Java keep Kafka's classes as it has them in memory, once: every node then starts in half the time.

    Java itself notices where the archive does not fit the jars or the JDK, and does without it.
    """
    if CLASSES.exists():
        return
    unfinished = CLASSES.with_suffix(".part")
    with tempfile.TemporaryDirectory(prefix="andon-kafka-") as folder:
        cluster = Cluster(Path(folder), node_options=[f"-XX:ArchiveClassesAtExit={unfinished}"])
        try:
            cluster.start()
            cluster.end_node(1)
        finally:
            cluster.stop()
    if unfinished.exists():  # a JDK may have no such archives
        unfinished.replace(CLASSES)


class Cluster:
    """Nodes on 127.0.0.1, each a process that can be killed, stopped and started again; data in a folder."""

    def __init__(
        self,
        folder: Path,
        nodes: int = 1,
        port: int | None = None,
        security: Security | None = None,
        node_options: Sequence[str] = (),
    ) -> None:
        if shutil.which("java") is None:
            raise MissingError("no Java (JDK 17) here")
        fetch_jars()
        ports = free_ports(3 * nodes)
        archive = [f"-XX:SharedArchiveFile={CLASSES}"] if CLASSES.exists() else []
        self._java = [*JAVA, *archive, "-cp", ":".join(map(str, sorted(LIBS.glob("*.jar"))))]
        self._node_options = list(node_options)  # of their Java
        if security is not None and security.tokens is not None:
            self._node_options += [f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={security.tokens.keys_url}"]
        self.folder = folder
        self.nodes = range(1, nodes + 1)
        self._security = security
        self._plain = {node: port + node - 1 if port else ports[node - 1] for node in self.nodes}
        self._controller = {node: ports[nodes + node - 1] for node in self.nodes}
        self._secure = {node: ports[2 * nodes + node - 1] for node in self.nodes}
        self._processes: dict[int, subprocess.Popen[bytes]] = {}

    @property
    def servers(self) -> str:
        """host:port,host:port, as clients take it."""
        return ",".join(f"127.0.0.1:{port}" for port in self._plain.values())

    @property
    def secure_servers(self) -> str:
        """The same for the listener with TLS and SASL."""
        return ",".join(f"localhost:{port}" for port in self._secure.values())

    def start(self) -> None:
        """Format the folder where it is new, start every node, wait until they serve. Raises BrokerError."""
        cluster_id = "andon-local-cluster-id"
        for node in self.nodes:
            home = self.folder / f"node-{node}"
            if not (home / "data" / "meta.properties").exists():
                home.mkdir(parents=True, exist_ok=True)
                (home / "server.properties").write_text(self._properties(node, home))
                self._format(home, cluster_id)
        for node in self.nodes:
            self._launch(node)
        for node in self.nodes:
            self._wait(node)

    def start_node(self, node: int) -> None:
        """Start one node again and wait until it serves."""
        self._launch(node)
        self._wait(node)

    def signal_node(self, node: int, number: signal.Signals) -> None:
        """SIGKILL is a crash, SIGSTOP a hang, SIGCONT its end."""
        process = self._processes[node]
        process.send_signal(number)
        if number == signal.SIGKILL:
            process.wait()

    def end_node(self, node: int) -> None:
        """Let a node end by itself."""
        self._processes[node].terminate()
        self._processes[node].wait(END_SECONDS)

    def stop(self) -> None:
        """End every node."""
        for process in self._processes.values():
            if process.poll() is None:
                process.kill()
        for process in self._processes.values():
            process.wait()

    def wait_for_end(self) -> int:
        """Wait until a node ends by itself; its exit status."""
        while True:
            for process in self._processes.values():
                if process.poll() is not None:
                    return process.returncode
            time.sleep(0.5)

    def _launch(self, node: int) -> None:
        home = self.folder / f"node-{node}"
        with (home / "log.txt").open("wb") as log:
            command = [*self._java, *self._node_options, "kafka.Kafka", str(home / "server.properties")]
            self._processes[node] = subprocess.Popen(command, stdout=log, stderr=log, cwd=home)

    def _wait(self, node: int) -> None:
        log = self.folder / f"node-{node}" / "log.txt"
        deadline = time.monotonic() + START_SECONDS
        while b"Kafka Server started" not in log.read_bytes():
            if self._processes[node].poll() is not None or time.monotonic() > deadline:
                tail = log.read_text(errors="replace")[-800:]
                self.stop()
                raise BrokerError(f"node {node} did not start: {tail}")
            time.sleep(0.1)

    def _format(self, home: Path, cluster_id: str) -> None:
        command = [*self._java, "kafka.tools.StorageTool", "format", "-t", cluster_id]
        command += ["-c", str(home / "server.properties")]
        for name, password in (self._security.users if self._security else {}).items():
            for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512"):
                command += ["--add-scram", f"{mechanism}=[name={name},password={password}]"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise BrokerError(f"storage cannot be formatted: {(done.stdout + done.stderr)[-400:]}")

    def _properties(self, node: int, home: Path) -> str:
        replicas = len(self.nodes)
        in_sync = 2 if replicas > 1 else 1
        voters = ",".join(f"{n}@127.0.0.1:{port}" for n, port in self._controller.items())
        listeners = f"PLAINTEXT://127.0.0.1:{self._plain[node]}"
        lines = {
            "process.roles": "broker,controller",
            "node.id": node,
            "controller.quorum.voters": voters,
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL",
            "log.dirs": home / "data",
            "offsets.topic.replication.factor": replicas,
            "offsets.topic.num.partitions": 4,
            "transaction.state.log.replication.factor": replicas,
            "transaction.state.log.min.isr": in_sync,
            "transaction.state.log.num.partitions": 4,
            "default.replication.factor": replicas,
            "min.insync.replicas": in_sync,
            "group.initial.rebalance.delay.ms": 0,
            "group.min.session.timeout.ms": 1000,
            "message.max.bytes": 8 * 2**20,
            "replica.fetch.max.bytes": 8 * 2**20,
            "auto.create.topics.enable": "false",
            # The default of 128 MiB does not fit the small heap.
            "log.cleaner.dedupe.buffer.size": 4 * 2**20,
        }
        if self._security is not None:
            listeners += f",SASL_SSL://localhost:{self._secure[node]}"
            plain = " ".join(f'user_{name}="{password}"' for name, password in self._security.users.items())
            lines |= {
                "ssl.keystore.type": "PEM",
                "ssl.keystore.location": self._security.keystore,
                "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
                "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
                "super.users": ";".join(f"User:{name}" for name in ("ANONYMOUS", *self._security.admins)),
                "listener.name.sasl_ssl.plain.sasl.jaas.config": (
                    f"org.apache.kafka.common.security.plain.PlainLoginModule required {plain};"
                ),
            }
            for mechanism in ("scram-sha-256", "scram-sha-512"):
                lines[f"listener.name.sasl_ssl.{mechanism}.sasl.jaas.config"] = (
                    "org.apache.kafka.common.security.scram.ScramLoginModule required;"
                )
            if self._security.tokens is not None:
                handler = "org.apache.kafka.common.security.oauthbearer."
                prefix = "listener.name.sasl_ssl.oauthbearer"
                lines |= {
                    "sasl.enabled.mechanisms": f"{lines['sasl.enabled.mechanisms']},OAUTHBEARER",
                    f"{prefix}.sasl.jaas.config": f"{handler}OAuthBearerLoginModule required;",
                    f"{prefix}.sasl.server.callback.handler.class": f"{handler}OAuthBearerValidatorCallbackHandler",
                    # A connection ends with its token unless the client logs in again.
                    f"{prefix}.connections.max.reauth.ms": 3_600_000,
                    "sasl.oauthbearer.jwks.endpoint.url": self._security.tokens.keys_url,
                    "sasl.oauthbearer.expected.audience": self._security.tokens.audience,
                }
        lines["listeners"] = f"{listeners},CONTROLLER://127.0.0.1:{self._controller[node]}"
        lines["advertised.listeners"] = listeners
        return "".join(f"{key}={value}\n" for key, value in lines.items())


def free_ports(count: int) -> list[int]:
    """Ports nobody listens on."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for sock in sockets:
            sock.bind(("127.0.0.1", 0))
        return [sock.getsockname()[1] for sock in sockets]
    finally:
        for sock in sockets:
            sock.close()


def main() -> None:
    """Run a cluster until Ctrl-C."""
    parser = argparse.ArgumentParser(description="A local Kafka in the foreground.")
    parser.add_argument("--nodes", type=int, choices=(1, 3), default=1)
    parser.add_argument("--port", type=int, default=9092, help="port of the first node")
    parser.add_argument("--folder", type=Path, help="keep the data here; else a temporary folder, removed at the end")
    parser.add_argument("--fetch", action="store_true", help="fetch and prepare the jars and do no more")
    arguments = parser.parse_args()
    if arguments.fetch:
        try:
            fetch_jars()
            archive_classes()
        except BrokerError as error:
            sys.exit(f"error: {error}")
        return
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="andon-kafka-"))
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    cluster = None
    try:
        cluster = Cluster(folder.absolute(), arguments.nodes, arguments.port)
        cluster.start()
        print(f"kafka://{cluster.servers}/andon.frames is up, data in {folder}; Ctrl-C ends it", flush=True)
        sys.exit(cluster.wait_for_end())
    except KeyboardInterrupt:
        print()
    except BrokerError as error:
        sys.exit(f"error: {error}")
    finally:
        if cluster is not None:
            cluster.stop()
        if arguments.folder is None:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
