"""Apply the manifests and the chart to a real API server, which nothing else belongs to: an etcd and a kube-apiserver.

    python deploy/kubernetes/try_out.py --apiserver kube-apiserver --definitions FOLDER

FOLDER has the definitions of the operators' kinds (CustomResourceDefinition): ServiceMonitor, PrometheusRule,
ScaledObject, KafkaTopic, KafkaUser. Every object is applied with strict validation into a namespace that enforces the
standard "restricted" for pods, and a warning is an error. No pod starts: that is a node's work. Needs etcd, kubectl,
helm and openssl.
"""

import argparse
import secrets
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
KUSTOMIZATIONS = ["base", "parts", "scaling", "bridge"]
CHART = HERE.parent / "helm" / "andon"
# Kubernetes 1.34 says so of every headless service: it fills the field in itself.
EXPECTED_WARNINGS = {"Warning: spec.SessionAffinity is ignored for headless services"}
START_SECONDS = 120
END_SECONDS = 30


class Cluster:
    """An API server that is up, as its administrator sees it."""

    def __init__(self, port: int, token: str) -> None:
        self._url = f"https://127.0.0.1:{port}"
        self._token = token

    def is_ready(self) -> bool:
        """Whether it takes requests."""
        return self._run("get", "--raw", "/readyz").returncode == 0

    def kubectl(self, *arguments: str | Path, stdin: str = "") -> str:
        """What kubectl prints; its failure ends the trial."""
        done = self._run(*map(str, arguments), stdin=stdin)
        if done.returncode:
            sys.exit(f"failed: kubectl {shlex.join(map(str, arguments))}\n{done.stdout}{done.stderr}")
        return done.stdout

    def _run(self, *arguments: str, stdin: str = "") -> "subprocess.CompletedProcess[str]":
        # Its certificate is of its own making.
        command = ["kubectl", f"--server={self._url}", "--insecure-skip-tls-verify", f"--token={self._token}"]
        return subprocess.run([*command, *arguments], input=stdin, capture_output=True, text=True)

    def apply(self, manifests: str, namespace: str) -> list[str]:
        """Apply manifests (YAML) twice, which must change nothing the second time. Returns the kinds of the objects."""
        options = ["--server-side", "--validate=strict", f"--namespace={namespace}"]
        applied = self._run("apply", *options, "--filename=-", stdin=manifests)
        warnings = [line for line in applied.stderr.splitlines() if line not in EXPECTED_WARNINGS]
        if applied.returncode or warnings:
            sys.exit(f"failed: {namespace}\n{applied.stdout}{applied.stderr}")
        generations = self._generations(manifests, namespace)
        self.kubectl("apply", *options, "--filename=-", stdin=manifests)
        changed = sorted(set(self._generations(manifests, namespace)) - set(generations))
        if changed:
            sys.exit(f"failed: {namespace}: the same manifests, applied again, changed {', '.join(changed)}")
        return [line.split("/")[0] for line in applied.stdout.splitlines()]

    def _generations(self, manifests: str, namespace: str) -> list[str]:
        columns = "--output=custom-columns=:.kind,:.metadata.name,:.metadata.generation"
        return self.kubectl("get", "--filename=-", f"--namespace={namespace}", columns, stdin=manifests).splitlines()


def main() -> None:
    """Apply everything, with a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--apiserver", default="kube-apiserver", help="the program")
    parser.add_argument("--definitions", type=Path, required=True, help="a folder with YAML files")
    parser.add_argument("--helm", default=str(Path(sys.executable).parent / "helm"), help="the program")
    arguments = parser.parse_args()
    for program in (arguments.apiserver, arguments.helm, "etcd", "kubectl", "openssl"):
        if shutil.which(program) is None:
            sys.exit(f"{program}: no such program here")
    definitions = sorted(arguments.definitions.glob("*.yaml"))
    if not definitions:
        sys.exit(f"{arguments.definitions}: no YAML files; give a folder with the operators' definitions")
    with tempfile.TemporaryDirectory(prefix="andon-api-server-") as folder, running(arguments, Path(folder)) as cluster:
        for path in definitions:
            cluster.kubectl("apply", "--server-side", f"--filename={path}")
        cluster.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
        for name in KUSTOMIZATIONS:
            manifests = subprocess.run(
                ["kubectl", "kustomize", HERE / name], check=True, capture_output=True, text=True
            ).stdout
            restrict(cluster, "andon")
            report(f"kustomize {name}", cluster.apply(manifests, "andon"))
        for values in (CHART / "values.yaml", CHART.parent / "factory.yaml"):
            namespace = f"chart-{values.stem}"
            command = [arguments.helm, "template", "hall-1", CHART, "--namespace", namespace, "--values", values]
            manifests = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            restrict(cluster, namespace)
            report(f"chart with {values.name}", cluster.apply(manifests, namespace))


def restrict(cluster: Cluster, namespace: str) -> None:
    """Make a namespace whose pods may do as little as Kubernetes knows a name for."""
    labels = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}
    made = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": labels}}
    cluster.kubectl("apply", "--server-side", "--field-manager=trial", "--filename=-", stdin=yaml.safe_dump(made))


def report(what: str, kinds: list[str]) -> None:
    """A line with the number of objects of each kind."""
    print(f"{what}: " + ", ".join(f"{number} {kind}" for kind, number in sorted(Counter(kinds).items())))


@contextmanager
def running(arguments: Any, folder: Path) -> Iterator[Cluster]:
    """etcd and the API server, for as long as they are used."""
    client, peer, port = free_ports(3)
    token = secrets.token_hex()
    (folder / "tokens.csv").write_text(f"{token},admin,admin,system:masters\n")
    (folder / "tokens.csv").chmod(0o600)
    subprocess.run(["openssl", "genrsa", "-out", folder / "account.key", "2048"], check=True, capture_output=True)
    etcd = [
        *("etcd", f"--data-dir={folder / 'etcd'}", f"--listen-client-urls=http://127.0.0.1:{client}"),
        *(f"--advertise-client-urls=http://127.0.0.1:{client}", f"--listen-peer-urls=http://127.0.0.1:{peer}"),
    ]
    server = [
        *(arguments.apiserver, f"--etcd-servers=http://127.0.0.1:{client}", f"--secure-port={port}"),
        *(
            "--bind-address=127.0.0.1",
            f"--cert-dir={folder / 'certificates'}",
            "--service-cluster-ip-range=10.0.0.0/24",
        ),
        *("--service-account-issuer=https://localhost", f"--service-account-key-file={folder / 'account.key'}"),
        *(f"--service-account-signing-key-file={folder / 'account.key'}", "--authorization-mode=RBAC"),
        *(f"--token-auth-file={folder / 'tokens.csv'}", "--disable-admission-plugins=ServiceAccount"),
    ]
    processes = []
    try:
        for command in (etcd, server):
            with (folder / f"{Path(command[0]).name}.log").open("wb") as log:
                processes.append(subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT))
        cluster, deadline = Cluster(port, token), time.monotonic() + START_SECONDS
        while not cluster.is_ready():
            if time.monotonic() > deadline or any(process.poll() is not None for process in processes):
                logs = "\n".join(path.read_text()[-2000:] for path in sorted(folder.glob("*.log")))
                sys.exit(f"failed: the API server is not ready\n{logs}")
            time.sleep(0.5)
        yield cluster
    finally:
        for process in reversed(processes):
            process.terminate()
            try:
                process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def free_ports(count: int) -> list[int]:
    """Ports of this machine that nobody listens at."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


if __name__ == "__main__":
    main()
