"""A real broker for all tests of a run, with a plain listener and one with TLS and users; a line for each test."""

import os
import re
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.broker import Authority, load_broker, node
from tests.fixtures.components import skip_or_fail
from tests.fixtures.kafka_line import Line
from tests.fixtures.kafka_members import join_group
from tests.fixtures.keys import make_keys
from tests.fixtures.token_server import AUDIENCE, TokenServer

USERS = {"line": "line-secret", "guest": "guest-secret"}


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A certificate authority and a broker's certificate for localhost, made for this run."""
    if shutil.which("openssl") is None:
        skip_or_fail("no openssl to make certificates with")
    folder = tmp_path_factory.mktemp("tls")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-days", "2",
            "-subj", "/CN=andon test authority")  # fmt: skip
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", "node.key", "-out", "node.csr", "-subj", "/CN=localhost")
    (folder / "san").write_text("subjectAltName=DNS:localhost\n")
    openssl("x509", "-req", "-in", "node.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
            "-extfile", "san", "-out", "node.pem")  # fmt: skip
    parts = [(folder / name).read_text() for name in ("node.key", "node.pem", "ca.pem")]
    (folder / "keystore.pem").write_text("".join(parts))
    return Authority(folder / "ca.pem", folder / "keystore.pem")


@pytest.fixture(scope="session")
def token_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TokenServer]:
    """A token endpoint with TLS, and its public keys for the broker."""
    with TokenServer(make_keys(tmp_path_factory.mktemp("token-server"))) as server:
        yield server


@pytest.fixture(scope="session")
def cluster(authority: Authority, token_server: TokenServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """One node that this run started, with a listener for TLS, users and tokens too."""
    broker = load_broker()
    tokens = broker.Tokens(token_server.keys_url, AUDIENCE)
    security = broker.Security(authority.keystore, USERS, ("line",), tokens)
    yield from node(tmp_path_factory.mktemp("kafka"), security=security)


@pytest.fixture(scope="session")
def fragile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Another node, that tests may kill or stop."""
    yield from node(tmp_path_factory.mktemp("fragile"))


@pytest.fixture(scope="session")
def servers(request: pytest.FixtureRequest) -> str:
    """Brokers without TLS: those of ANDON_TEST_KAFKA (host:port,...), else a node of our own."""
    given = os.environ.get("ANDON_TEST_KAFKA")
    return given or request.getfixturevalue("cluster").servers


@pytest.fixture
def line(servers: str, request: pytest.FixtureRequest, model_path: Path, tmp_path: Path) -> Line:
    """Topics of this test's own."""
    name = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower())[:60] + f"-{uuid.uuid4().hex[:8]}"
    return Line(servers, name, model_path, tmp_path)


@pytest.fixture
def members(line: Line) -> Iterator[Any]:
    """Makes sources of one group, see `join_group`."""
    yield from join_group(line)
