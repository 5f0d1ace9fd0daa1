import socket
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from monitor.errors import UsageError
from monitor.metrics import Metrics
from monitor.server import Server, bind, build_app

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


def test_openmetrics_is_given_to_who_asks_for_it(server: Server) -> None:
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
