import base64
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from andon_monitor.errors import UsageError
from andon_monitor.settings.groups import ServerSettings
from andon_monitor.telemetry import credentials
from andon_monitor.telemetry.metrics import Metrics
from andon_monitor.telemetry.server import Server, bind, build_app, open_server

from tests.fixtures.commands import andon
from tests.fixtures.keys import make_keys

READY = [False]


@pytest.fixture
def server() -> Iterator[Server]:
    READY[0] = False
    server = Server(build_app(Metrics().registry, lambda: READY[0]), "127.0.0.1", 0)
    server.start()
    yield server
    server.close()


def get(url: str, method: str = "GET", **headers: str) -> tuple[int, str, str]:
    request = urllib.request.Request(url, headers=headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.headers["content-type"], answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers["content-type"], error.read().decode()


def test_it_answers_on_its_own_paths_only(server: Server) -> None:
    assert get(f"{server.url}/healthz")[0] == 200
    assert get(f"{server.url}/metrics")[0] == 200
    for path in ("/", "/metric", "/metrics/x", "/admin"):
        assert get(server.url + path)[0] == 404
    assert get(f"{server.url}/metrics", "POST")[0] == 405


def test_it_is_ready_when_the_monitor_is(server: Server) -> None:
    assert get(f"{server.url}/readyz")[0] == 503
    READY[0] = True
    assert get(f"{server.url}/readyz")[0] == 200


def test_openmetrics_is_served_on_request(server: Server) -> None:
    _, plain, text = get(f"{server.url}/metrics")
    assert plain.startswith("text/plain")
    assert "# TYPE andon_ready gauge" in text
    _, kind, text = get(f"{server.url}/metrics", Accept="application/openmetrics-text;version=1.0.0")
    assert kind.startswith("application/openmetrics-text; version=1.0.0")
    assert text.endswith("# EOF\n")


def test_a_port_in_use_is_one_clear_line(server: Server) -> None:
    port = int(server.url.rpartition(":")[2])
    with pytest.raises(UsageError) as caught:
        bind("127.0.0.1", port)
    assert str(caught.value) == (
        f"server 127.0.0.1:{port}: Address already in use; give another --port, 0 for a free one, or --no-server"
    )


@pytest.mark.parametrize("address", ["192.0.2.1", "no.such.host.invalid"])
def test_an_address_that_is_not_ours_is_one_clear_line(address: str) -> None:
    with pytest.raises(UsageError, match=f"^server {address}:0: "):
        bind(address, 0)


def test_closing_gives_the_port_back(server: Server) -> None:
    port = int(server.url.rpartition(":")[2])
    server.close()
    bind("127.0.0.1", port).close()
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port), timeout=1)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_keys(tmp_path_factory.mktemp("keys"))
    (folder / "password").write_text("s3cret\n")
    (folder / "empty").write_text("\n")
    (folder / "text.pem").write_text("no certificate")
    return folder


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """Starts a server with settings."""
    running = []

    def start(**settings: object) -> Server:
        server = open_server(ServerSettings(port=0, **settings), Metrics().registry, lambda: True)
        running.append(server)
        server.start()
        return server

    yield start
    for server in running:
        server.close()


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def test_metrics_ask_for_user_and_password_and_probes_do_not(serve: Callable[..., Server], keys: Path) -> None:
    url = serve(username="prometheus", password_file=keys / "password").url
    assert get(f"{url}/metrics", Authorization=basic("prometheus", "s3cret"))[0] == 200
    wrong = ["", "Basic", "Basic ?", "Bearer s3cret", basic("prometheus", "S3cret"), basic("admin", "s3cret")]
    for header in (*wrong, basic("prometheus", "s3cret").replace("Basic", "Digest")):
        status, _, text = get(f"{url}/metrics", Authorization=header)
        assert status == 401, header
        assert "andon_" not in text
    assert get(f"{url}/healthz")[0] == get(f"{url}/readyz")[0] == 200


@pytest.mark.parametrize(("name", "password"), [("good", None), ("secret", "hush")])
def test_the_server_uses_tls_with_the_certificate(
    serve: Callable[..., Server], keys: Path, name: str, password: str | None
) -> None:
    server = serve(certificate_file=keys / f"{name}.pem", key_file=keys / f"{name}.key", key_password=password)
    assert server.url.startswith("https://127.0.0.1:")
    context = ssl.create_default_context(cafile=keys / f"{name}.pem")
    with urllib.request.urlopen(f"{server.url}/metrics", timeout=10, context=context) as answer:
        assert b"andon_ready" in answer.read()
    with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
        urllib.request.urlopen(f"{server.url}/metrics", timeout=10)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"certificate_file": "none.pem"}, "server.certificate_file: none.pem: no such file"),
        ({"certificate_file": "good.pem", "key_file": "none.key"}, "server.key_file: none.key: no such file"),
        ({"certificate_file": "good.pem"}, "server.certificate_file: good.pem: does not load with its key"),
        ({"certificate_file": "secret.pem", "key_file": "good.key"}, "does not load with its key"),
        ({"certificate_file": "secret.pem", "key_file": "secret.key", "key_password": "no"}, "server.key_password?"),
        ({"certificate_file": "text.pem", "key_file": "good.key"}, "does not load with its key"),
        ({"certificate_file": "old.pem", "key_file": "good.key"}, "clients will refuse it (certificate has expired)"),
        ({"username": "a", "password_file": "none"}, "server.password_file: no such file; right is the path"),
        ({"username": "a", "password_file": "empty"}, "server.password_file: empty: is empty"),
    ],
)
def test_check_and_run_refuse_credentials_that_would_not_work(
    keys: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], message: str
) -> None:
    monkeypatch.chdir(keys)
    for attempt in (credentials.describe, lambda some: open_server(some, Metrics().registry, lambda: True)):
        with pytest.raises(UsageError) as caught:
            attempt(ServerSettings(port=0, **settings))
        assert message in str(caught.value)
        assert "\n" not in str(caught.value)


def test_check_shows_how_metrics_are_protected_and_never_a_password(keys: Path, model_path: Path) -> None:
    sets = [f"server.certificate_file={keys}/good.pem", f"server.key_file={keys}/good.key", "server.port=0"]
    sets += ["server.username=prometheus", "server.password=visible-to-nobody"]
    arguments = [part for setting in sets for part in ("--set", setting)]
    done = andon("check", "--model", model_path, "--source", model_path.parent, *arguments)
    assert "TLS, certificate valid until 20" in done.stdout
    assert "user prometheus" in done.stdout
    assert "visible-to-nobody" not in done.stdout + done.stderr
