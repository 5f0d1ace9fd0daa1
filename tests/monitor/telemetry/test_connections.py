"""What connections may take: clients that send nothing, too slowly, too much, or all at once."""

import re
import resource
import socket
import ssl
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from andon_monitor.settings.groups import ServerSettings
from andon_monitor.telemetry import connections, requests
from andon_monitor.telemetry.connections import ConnectionLimits, Refusal
from andon_monitor.telemetry.metrics import Metrics
from andon_monitor.telemetry.server import Server, build_app, open_server
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from tests.fixtures.keys import make_keys
from tests.fixtures.small_model import parts, write_recording

Start = Callable[..., tuple[str, int]]
REFUSED: list[Refusal] = []


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a server of the monitor; gives its address."""
    REFUSED.clear()
    running = []

    def start(limit: int = 8, seconds: float = 30.0, app: object = None) -> tuple[str, int]:
        application = app or build_app(Metrics().registry, lambda: True, refused=REFUSED.append)
        limits = ConnectionLimits(limit, seconds)
        server = Server(application, "127.0.0.1", 0, limits=limits, refused=REFUSED.append)
        server.start()
        running.append(server)
        return "127.0.0.1", int(server.url.rpartition(":")[2])

    yield start
    for server in running:
        server.close()


def ask(address: tuple[str, int], request: bytes = b"GET /healthz HTTP/1.0\r\n\r\n") -> bytes:
    """Everything that a server answers until it closes the connection."""
    with socket.create_connection(address, timeout=20) as client:
        client.sendall(request)
        answer = b""
        try:
            while part := client.recv(65536):
                answer += part
        except ConnectionResetError:
            pass
        return answer


def is_closed(client: socket.socket) -> bool:
    """Whether the server closes a connection, waited for."""
    client.settimeout(20)
    try:
        return client.recv(1) == b""
    except ConnectionResetError:
        return True


def test_silent_connections_make_room_for_those_that_ask(start: Start) -> None:
    address = start()
    with ExitStack() as stack:
        silent = [stack.enter_context(socket.create_connection(address)) for _ in range(40)]
        for path in (b"/healthz", b"/readyz", b"/metrics"):
            assert b" 200 OK" in ask(address, b"GET " + path + b" HTTP/1.0\r\n\r\n")
        assert is_closed(silent[0])
    assert REFUSED.count("connections") >= 32


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET /metr",
        b"GET /metrics HTTP/1.1\r\nhost: x\r\nx-a: b\r\n",
        b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n",  # answered, then silent
        b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\nGET /he",  # answered, then half a request
    ],
)
def test_a_connection_without_a_whole_request_is_closed(
    start: Start, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(connections, "HEADER_SECONDS", 0.5)
    with socket.create_connection(start(), timeout=20) as client:
        client.sendall(sent)
        answer = b""
        try:
            while part := client.recv(65536):
                answer += part
        except ConnectionResetError:
            pass
    assert (b"alive" in answer) == (b"/healthz" in sent)
    assert REFUSED == ["timeout"]


def test_a_header_that_comes_byte_by_byte_is_not_waited_for(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEADER_SECONDS", 0.5)
    sent = 0
    with socket.create_connection(start(), timeout=0.05) as client:
        for byte in b"GET /healthz HTTP/1.1\r\nx: " + b"x" * 10_000:
            try:
                client.sendall(bytes([byte]))
                sent += 1
                if client.recv(1) == b"":
                    break
            except TimeoutError:
                continue
            except OSError:
                break
    assert sent < 1000


def test_a_header_without_end_is_refused(start: Start) -> None:
    assert b" 400 " in ask(start(), b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 10_000)


@pytest.mark.parametrize("header", [b"content-length: 100", b"transfer-encoding: chunked"])
def test_a_body_that_does_not_come_is_not_waited_for(
    start: Start, monkeypatch: pytest.MonkeyPatch, header: bytes
) -> None:
    monkeypatch.setattr(requests, "BODY_SECONDS", 0.3)
    request = b"POST /metrics HTTP/1.1\r\nhost: x\r\n" + header + b"\r\n\r\n"
    assert b" 408 " in ask(start(), request)


def test_a_body_that_is_too_large_is_refused(start: Start) -> None:
    body = bytes(requests.MAX_BODY_BYTES + 1)
    assert b" 413 " in ask(start(), b"POST /metrics HTTP/1.0\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))


def test_an_answer_that_nobody_reads_is_dropped(start: Start) -> None:
    async def app(scope: object, receive: object, send: object) -> None:
        await PlainTextResponse(b"x" * 50_000_000)(scope, receive, send)

    address = start(seconds=0.5, app=app)
    with socket.create_connection(address, timeout=20) as client:
        client.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        while REFUSED != ["timeout"]:
            threading.Event().wait(0.05)
        got = 0
        try:
            while part := client.recv(1 << 20):
                got += len(part)
        except ConnectionResetError:
            pass
    assert got < 50_000_000


def test_a_request_whose_answer_takes_too_long_is_closed_and_probes_answer(start: Start) -> None:
    """As many requests as there may be, and each waits: probes still get in."""
    release = threading.Event()

    def slow(request: Request) -> Response:
        release.wait(20)
        return PlainTextResponse("late")

    from starlette.routing import Route

    app = build_app(Metrics().registry, lambda: True, refused=REFUSED.append)
    app.router.routes.append(Route("/slow", slow))
    address = start(limit=100, seconds=2.0, app=app)
    with ExitStack() as stack:
        clients = [stack.enter_context(socket.create_connection(address)) for _ in range(60)]
        for client in clients:
            client.sendall(b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n")
        statuses = []
        for client in clients:
            client.settimeout(20)
            statuses.append(client.recv(12)[9:])
        assert b"alive" in ask(address)
        release.set()
    assert statuses.count(b"503") == 28
    assert statuses.count(b"") == 32  # closed, when their time was up
    assert REFUSED.count("busy") == 28


def test_handshakes_of_tls_that_do_not_go_on_make_room_too(tmp_path: Path) -> None:
    keys = make_keys(tmp_path)
    settings = ServerSettings(port=0, certificate_file=keys / "good.pem", key_file=keys / "good.key", connections=8)
    server = open_server(settings, Metrics().registry, lambda: True)
    server.start()
    address = "127.0.0.1", int(server.url.rpartition(":")[2])
    try:
        with ExitStack() as stack:
            silent = [stack.enter_context(socket.create_connection(address)) for _ in range(40)]
            for client in silent[::2]:
                client.sendall(b"\x16\x03\x01")
            context = ssl.create_default_context(cafile=keys / "good.pem")
            with urllib.request.urlopen(f"{server.url}/healthz", timeout=20, context=context) as answer:
                assert answer.read() == b"alive\n"
            assert is_closed(silent[0])
    finally:
        server.close()


def test_closing_does_not_wait_for_silent_clients(start: Start) -> None:
    app = build_app(Metrics().registry, lambda: True)
    server = Server(app, "127.0.0.1", 0)
    server.start()
    with socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2]))) as client:
        server.close()
        assert not server._thread.is_alive()
        assert is_closed(client)


def test_a_run_goes_on_under_more_connections_than_it_may_open_files(model_path: Path, tmp_path: Path) -> None:
    source = write_recording(tmp_path / "line", parts(24))
    command = [sys.executable, "-m", "andon_monitor", "run", "--model", str(model_path), "--source", str(source)]
    command += ["--pace", "recorded", "--port", "0", "--verdicts", str(tmp_path / "v.jsonl")]
    process = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256)),
    )
    assert process.stderr is not None
    found = re.search(r"http://127\.0\.0\.1:(\d+)/metrics", process.stderr.readline())
    assert found is not None
    address = "127.0.0.1", int(found.group(1))
    with ExitStack() as stack:
        for _ in range(400):
            stack.enter_context(socket.create_connection(address, timeout=20))
        for path in (b"/healthz", b"/readyz", b"/metrics"):
            assert b"HTTP/1.1 " in ask(address, b"GET " + path + b" HTTP/1.0\r\n\r\n")
        assert b'andon_http_refused_total{reason="connections"} 3' in ask(address, b"GET /metrics HTTP/1.0\r\n\r\n")
        _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert (tmp_path / "v.jsonl").read_text().count("\n") == 24
    assert len(said) < 5000
