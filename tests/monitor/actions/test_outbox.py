"""Targets that remember: what they owe is on disk until it has come, through failures, stalls and a kill."""

import logging
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from andon_monitor.actions import courier
from andon_monitor.actions.facts import fact_of
from andon_monitor.actions.links.base import Message
from andon_monitor.actions.links.webhook import sign
from andon_monitor.actions.outbox import Outbox
from andon_monitor.errors import UsageError

from tests.fixtures.actions import Running, acting, live_frame, make_verdict
from tests.fixtures.keys import make_keys
from tests.fixtures.mosquitto import PASSWORD, Mosquitto, Subscriber, free_port
from tests.fixtures.webhook_server import WebhookServer


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(courier, "FIRST_RETRY_SECONDS", 0.02)
    monkeypatch.setattr(courier, "LONGEST_RETRY_SECONDS", 0.05)


def hook(uri: str, **target: Any) -> dict[str, Any]:
    return {"name": "hook", "uri": uri, "timeout": 0.5, "rules": [{"verdicts": ["good", "defect"]}], **target}


def keep(running: Running, *numbers: int) -> list[str]:
    """Verdicts that became durable; their ids."""
    verdicts = [make_verdict(live_frame(number), "defect") for number in numbers]
    running.engine.keep([fact_of(verdict) for verdict in verdicts])
    return [verdict.id for verdict in verdicts]


def test_a_message_is_signed_has_the_verdicts_id_and_leaves_no_secret_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    (tmp_path / "secret").write_text("hush\n")
    (tmp_path / "token").write_text("t0ken")
    files = {"secret_file": str(tmp_path / "secret"), "token_file": str(tmp_path / "token")}
    with WebhookServer() as server, acting(hook(server.uri, **files), outbox=tmp_path / "outbox") as running:
        (identity,) = keep(running, 1)
        (received,) = server.wait_accepted(1)
    headers = received.headers
    assert headers["webhook-id"] == identity
    assert headers["webhook-signature"] == sign("hush", identity, headers["webhook-timestamp"], received.body)
    assert headers["authorization"] == "Bearer t0ken"
    assert headers["content-type"] == "application/json"
    for secret in ("/andon", "hush", "t0ken", headers["webhook-signature"]):
        assert secret not in caplog.text


def test_a_signature_is_that_of_standard_webhooks() -> None:
    # The example of the specification's libraries.
    secret, identity = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek"
    assert sign(secret, identity, "1614265330", b'{"test": 2432232314}') == (
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    )


def test_a_server_that_fails_stalls_and_comes_back_has_every_message_in_order(tmp_path: Path) -> None:
    with WebhookServer() as server, acting(hook(server.uri), outbox=tmp_path) as running:
        server.answers = [500, 503, 429, 307, 0, 401, 200, 500]
        ids = keep(running, 1, 2) + keep(running, 3)
        assert [received.id for received in server.wait_accepted(3)] == ids
        assert running.counted("hook", "failed") == 0
        running.wait_counted("hook", "done", 3)
        running.wait_up("hook")


def test_a_message_that_will_never_be_taken_stops_no_other(tmp_path: Path) -> None:
    with WebhookServer() as server, acting(hook(server.uri), outbox=tmp_path) as running:
        server.answers = [422]
        ids = keep(running, 1, 2)
        assert [received.id for received in server.wait_accepted(1)] == ids[1:]
        running.wait_counted("hook", "failed", 1)


def test_what_was_not_sent_is_sent_after_the_next_start(tmp_path: Path) -> None:
    port = free_port()
    uri = f"http://127.0.0.1:{port}/"
    with acting(hook(uri), outbox=tmp_path) as running:
        ids = keep(running, 1, 2, 3)
    with WebhookServer(port=port) as server, acting(hook(uri), outbox=tmp_path):
        assert [received.id for received in server.wait_accepted(3)] == ids
    with WebhookServer(port=port) as server, acting(hook(uri), outbox=tmp_path) as running:
        ids = keep(running, 4)
        assert [received.id for received in server.wait_accepted(1)] == ids


def test_a_full_outbox_drops_the_oldest_and_counts_them(tmp_path: Path) -> None:
    with acting(hook(f"http://127.0.0.1:{free_port()}/"), outbox=tmp_path, outbox_messages=3) as running:
        keep(running, 1, 2)
        kept = keep(running, 3, 4, 5)
        assert running.counted("hook", "dropped") == 2
    box = Outbox(tmp_path, "hook", 3)
    assert [stored.message.id for stored in box.oldest(9)] == kept
    box.close()


def test_an_outbox_has_one_user_and_says_what_is_wrong(tmp_path: Path) -> None:
    box = Outbox(tmp_path / "one", "hook", 9)
    assert (tmp_path / "one" / "hook.sqlite").stat().st_mode & 0o077 == 0
    with pytest.raises(UsageError, match="another monitor uses it"):
        Outbox(tmp_path / "one", "hook", 9)
    box.close()
    (tmp_path / "one" / "hook.sqlite").write_bytes(b"no database" * 1000)
    with pytest.raises(UsageError, match="cannot be used"):
        Outbox(tmp_path / "one", "hook", 9)


KILLED = """
    import sys
    from pathlib import Path
    from andon_monitor.actions.links.base import Message
    from andon_monitor.actions.outbox import Outbox
    box = Outbox(Path(sys.argv[1]), "hook", 1000)
    for number in range(1000):
        box.put([Message("", "{}", str(number))])
        print(number, flush=True)
"""


def test_what_was_kept_survives_a_kill(tmp_path: Path) -> None:
    command = [sys.executable, "-c", textwrap.dedent(KILLED), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        kept = next(int(line) for line in process.stdout if int(line) >= 20)
        os.kill(process.pid, signal.SIGKILL)
    box = Outbox(tmp_path, "hook", 1000)
    ids = [int(stored.message.id) for stored in box.oldest(1000)]
    assert ids == list(range(len(ids)))
    assert len(ids) > kept
    box.put([Message("", "{}", "next")])
    assert [stored.message.id for stored in box.oldest(1000)][-1] == "next"
    box.close()


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_keys(tmp_path_factory.mktemp("keys"))


def tls_files(keys: Path) -> dict[str, str]:
    return {
        "ca_file": str(keys / "good.pem"),
        "certificate_file": str(keys / "good.pem"),
        "key_file": str(keys / "good.key"),
    }


def test_a_webhook_over_tls_with_a_client_certificate(keys: Path, tmp_path: Path) -> None:
    with WebhookServer(keys) as server, acting(hook(server.uri, **tls_files(keys)), outbox=tmp_path) as running:
        keep(running, 1)
        server.wait_accepted(1)


def test_a_server_with_an_unknown_certificate_gets_nothing(keys: Path, tmp_path: Path) -> None:
    with WebhookServer(keys) as server, acting(hook(server.uri), outbox=tmp_path) as running:
        keep(running, 1)
        running.wait_up("hook", False)
        assert server.requests == []


def test_a_broker_with_tls_a_user_and_a_restart_has_every_message(
    keys: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broker = Mosquitto(tmp_path, keys)
    broker.start()
    (tmp_path / "password").write_text(PASSWORD)
    target = {
        "name": "mes",
        "uri": f"mqtts://127.0.0.1:{broker.port}",
        "remember": True,
        "timeout": 2,
        "qos": 2,
        "retain": True,
        "rules": [{"address": "mes/$id"}],
        "username": "andon",
        "password_file": str(tmp_path / "password"),
        **tls_files(keys),
    }
    with acting(target, outbox=tmp_path / "outbox") as running:
        ids = keep(running, *range(5))
        running.wait_counted("mes", "done", 5)
        broker.kill()
        ids += keep(running, *range(5, 10))
        running.wait_up("mes", False)
        broker.start()
        running.wait_counted("mes", "done", 10)
    with acting(target | {"name": "other", "ca_file": str(keys / "secret.pem")}, outbox=tmp_path / "outbox") as running:
        running.wait_up("other", False)
    assert "self-signed certificate" in caplog.text or "certificate verify failed" in caplog.text
    (tmp_path / "password").write_text("wrong")
    with acting(target, outbox=tmp_path / "outbox") as running:
        keep(running, 11)
        running.wait_up("mes", False)
    assert "Not authorized" in caplog.text
    assert PASSWORD not in caplog.text
    broker.kill()
    assert len(set(ids)) == 10


def test_a_plain_broker_has_each_message_once(tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path)
    broker.start()
    heard = Subscriber(broker)
    target = {"name": "mes", "uri": broker.uri, "remember": True, "rules": [{"address": "mes", "payload": "$id"}]}
    with acting(target, outbox=tmp_path / "outbox") as running:
        ids = keep(running, *range(50))
        assert heard.wait_until("mes", 50) == ids
    heard.close()
    broker.kill()


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("secret_file", None, "secret_file: no such file"),
        ("token_file", "", "is empty or has more than one line"),
        ("token_file", "a\nb", "is empty or has more than one line"),
    ],
)
def test_a_file_of_a_secret_that_cannot_be_used(file: str, content: str | None, said: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "file").write_text(content)
    with pytest.raises(UsageError, match=said):
        Running([hook("http://127.0.0.1:1/", **{file: str(tmp_path / "file")})], outbox=tmp_path / "outbox")
