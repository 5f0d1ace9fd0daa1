"""Who may look, who may label, and what other visitors and sites get."""

import re
import socket
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from andon_monitor.errors import UsageError
from andon_monitor.review.access import CONTENT_SECURITY_POLICY, Access
from andon_monitor.review.passwords import Hash
from andon_monitor.review.serving import serve
from andon_monitor.review.store import Store
from andon_monitor.review.users import MAX_WAITING, line
from andon_monitor.settings.groups import ReviewSettings
from andon_monitor.settings.loading import load_settings

from tests.fixtures.commands import andon
from tests.fixtures.review_page import Client, defect, serving


def test_every_answer_tells_the_browser_what_to_refuse(store: Store, url: str) -> None:
    frame = defect(store)
    for path in (
        "/",
        "/defects",
        "/model",
        f"/frames/{frame}",
        f"/frames/{frame}/heat",
        "/static/review.js",
        "/nothing",
    ):
        _, body, headers = Client(url).ask(path)
        assert headers["content-security-policy"] == CONTENT_SECURITY_POLICY
        assert headers["x-content-type-options"] == "nosniff"
        text = body.decode(errors="replace")
        if headers["content-type"].startswith("text/html"):
            assert "<script>" not in text
            assert " style=" not in text
            assert not re.search(r"\son[a-z]+=", text)


def test_a_label_needs_a_form_of_our_own_page(store: Store, url: str) -> None:
    frame = defect(store)
    assert Client(url).label(frame, token="") == 403
    assert Client(url).label(frame, token="x" * 43) == 403
    assert Client(url).label(frame, **{"Sec-Fetch-Site": "cross-site"}) == 403
    assert Client(url).label(frame, **{"content-type": "text/plain"}) == 403
    visitor = Client(url)  # whose browser has no cookie of ours
    assert visitor.ask(f"/frames/{frame}/label", b"label=unsure&token=")[0] == 403
    assert visitor.ask(f"/frames/{frame}/label", b"token=" + b"x" * 100_000)[0] == 413
    assert visitor.ask(f"/frames/{frame}/undo", b"")[0] == 403
    assert store.labels.history(frame) == []
    assert Client(url).label(frame) == 200
    assert [step.label for step in store.labels.history(frame)] == ["unsure"]


def test_nothing_is_uploaded(store: Store, url: str) -> None:
    """Forms are a few words, sent as such; nothing else is taken, whatever the address."""
    frame, client = defect(store), Client(url)
    before = sorted(path for path in store.folder.rglob("*") if path.suffix in (".zip", ".jpg"))
    pages = ("/", "/defects", "/borderline", "/good", "/model", f"/frames/{frame}", f"/frames/{frame}/frame", "/events")
    for path in pages:
        assert client.ask(path, b"x=1")[0] == 405
    for path in pages[:6]:
        assert 'type="file"' not in client.get(path)[1]
        assert "multipart" not in client.get(path)[1]
    body = b'--x\r\ncontent-disposition: form-data; name="label"; filename="a.jpg"\r\n\r\nunsure\r\n--x--\r\n'
    kind = {"content-type": "multipart/form-data; boundary=x"}
    assert client.ask(f"/frames/{frame}/label", body, **kind)[0] == 403
    token = re.findall(r'name="token" value="([^"]+)"', client.get(f"/frames/{frame}")[1])[0]
    large = urlencode({"token": token, "label": "confirmed", "kind": "x" * 5000}).encode()
    assert client.ask(f"/frames/{frame}/label", large)[0] == 403
    assert store.labels.history(frame) == []
    assert sorted(path for path in store.folder.rglob("*") if path.suffix in (".zip", ".jpg")) == before


def test_a_bad_label_is_said_in_one_line(store: Store, url: str) -> None:
    assert Client(url).label(defect(store), label="<script>") == 400
    assert Client(url).label("0" * 32) == 403  # no such page, so no form either


def test_a_page_asked_for_under_another_name_is_not_given(url: str) -> None:
    assert Client(url, host="evil.example").get("/")[0] == 400


@pytest.fixture
def users(tmp_path: Path) -> Path:
    path = tmp_path / "users"
    path.write_text(f"# the line\n{line('ann', 'secret:with:colons')}\n\n{line('bob', 'other')}\n")
    return path


def basic(name: str, password: str) -> str:
    from base64 import b64encode

    return "Basic " + b64encode(f"{name}:{password}".encode()).decode()


def test_basic_auth_and_roles(store: Store, users: Path) -> None:
    frame = defect(store)
    with serving(store, users_file=users, labellers=("ann",)) as url:
        for path in ("/", "/defects", f"/frames/{frame}", f"/frames/{frame}/frame", "/events", "/model"):
            status, _, headers = Client(url).ask(path)
            assert status == 401
            assert headers["www-authenticate"].startswith("Basic")
        assert Client(url).get("/healthz")[0] == 200
        assert Client(url, authorization=basic("ann", "wrong")).get("/")[0] == 401
        assert Client(url, authorization=basic("ann", "other")).get("/")[0] == 401
        bob, ann = (Client(url, authorization=basic(*who)) for who in (("bob", "other"), ("ann", "secret:with:colons")))
        status, page = bob.get(f"/frames/{frame}")
        assert status == 200
        assert "Confirm defect" not in page
        assert bob.label(frame) == 403
        assert ann.label(frame) == 200
    assert [step.who for step in store.labels.history(frame)] == ["ann"]


def test_a_users_header_is_believed_from_a_proxy_alone(store: Store) -> None:
    frame = defect(store)
    with serving(store, user_header="X-User") as url:
        assert Client(url).get("/")[0] == 401
        assert Client(url, X_User="").get("/")[0] == 401
        assert Client(url, X_User="x" * 500).get("/")[0] == 401
        assert Client(url, X_User="eve").label(frame) == 200
    assert [step.who for step in store.labels.history(frame)] == ["eve"]
    with serving(store, user_header="X-User", proxies=("10.0.0.1",)) as url:
        assert Client(url, X_User="eve").get("/")[0] == 401


def test_the_tcp_peer_alone_says_who_is_a_proxy(store: Store) -> None:
    """A header that names a proxy's address opens nothing, and one that a proxy adds keeps nobody out."""
    frame = defect(store)
    forged = {"X-Forwarded-For": "10.0.0.5", "X-Real-IP": "10.0.0.5", "Forwarded": "for=10.0.0.5"}
    for proxies in (("10.0.0.5",), ("10.0.0.0/8", "::ffff:10.0.0.5")):
        with serving(store, user_header="X-User", proxies=proxies) as url:
            assert Client(url, X_User="chief", **forged).get("/")[0] == 401
            assert Client(url, X_User="chief", **forged).label(frame) == 401
    added = {"X-Forwarded-For": "192.0.2.7, 192.0.2.8", "Forwarded": "for=192.0.2.7"}
    for proxies in (("127.0.0.1",), ("127.0.0.0/8",)):
        with serving(store, user_header="X-User", proxies=proxies) as url:
            assert Client(url, X_User="ann", **added).get("/")[0] == 200


def test_a_users_header_that_comes_twice_is_not_believed(store: Store) -> None:
    """A visitor's own, and behind it that of a proxy that adds instead of replacing."""
    with serving(store, user_header="X-User") as url:
        host, port = url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=20) as client:
            client.sendall(b"GET / HTTP/1.0\r\nhost: 127.0.0.1\r\nX-User: chief\r\nX-User: ann\r\n\r\n")
            assert b" 401 " in client.recv(100)


def test_the_cookie_is_for_tls_alone_where_the_proxy_says_that_the_browser_speaks_it(store: Store) -> None:
    for proxies, secure in ((("127.0.0.1",), True), (("10.0.0.5",), False)):
        with serving(store, proxies=proxies) as url:
            _, _, headers = Client(url).ask("/", **{"X-Forwarded-Proto": "https"})
            assert ("secure" in headers["set-cookie"].lower()) == secure


def test_many_guesses_at_once_leave_page_and_probe_alone(
    store: Store, users: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    matches, over = Hash.matches, threading.Event()

    def match_slowly(known: Hash, password: str) -> bool:
        if password == "guess":
            over.wait()
        return matches(known, password)

    monkeypatch.setattr(Hash, "matches", match_slowly)
    with serving(store, users_file=users) as url, ThreadPoolExecutor(60) as pool:
        ann = Client(url, authorization=basic("ann", "secret:with:colons"))
        assert ann.get("/")[0] == 200
        guesses = [pool.submit(Client(url, authorization=basic(f"x{i}", "guess")).ask, "/") for i in range(60)]
        while sum(guess.done() for guess in guesses) < 60 - MAX_WAITING:
            threading.Event().wait(0.01)
        assert Client(url).get("/healthz")[0] == 200
        assert ann.get("/")[0] == 200
        over.set()
        answers = [guess.result() for guess in guesses]
        statuses = Counter(status for status, _, _ in answers)
        assert statuses == {401: MAX_WAITING, 503: 60 - MAX_WAITING}
        assert all(int(headers["retry-after"]) >= 1 for status, _, headers in answers if status != 401)
        assert ann.get("/")[0] == 200


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"proxies": ["proxy.local"], "store": "s"}, "review.proxies"),
        ({"labellers": ["ann"], "store": "s"}, "labellers"),
        ({"users_file": "u", "user_header": "X", "store": "s"}, "which one"),
        ({"prefix": "andon/", "store": "s"}, "review.prefix"),
        ({"port": 99999, "store": "s"}, "review.port"),
        ({"defects": "file.jsonl", "store": "s"}, "review.defects"),
        ({}, "--store"),
    ],
)
def test_wrong_settings_are_one_line(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said) as raised:
        serve(load_settings({f"review.{name}": value for name, value in settings.items()}))
    assert "\n" not in str(raised.value)


def test_a_wrong_port_is_exit_code_2(store: Store, url: str) -> None:
    done = andon("review", "--store", store.folder, "--port", url.rpartition(":")[2])
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "in use" in done.stderr


def test_a_page_without_store_and_topics_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    done = andon("review", "--store", tmp_path / "none", "--port", "0")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "no store of a review page" in done.stderr
    assert not (tmp_path / "none").exists()


def test_open_to_all_is_known() -> None:
    assert Access(ReviewSettings(address="0.0.0.0")).open_to_all
    assert not Access(ReviewSettings(address="0.0.0.0", user_header="X")).open_to_all
    assert not Access(ReviewSettings()).open_to_all
    assert not Access(ReviewSettings(address="localhost")).open_to_all


def test_everything_works_under_a_prefix(store: Store) -> None:
    with serving(store, prefix="/line/andon") as url:
        seen, queue = set[str](), ["/", "/defects", "/borderline", "/model", "/?x=1"]
        client = Client(url)
        while queue:
            path = queue.pop()
            if path in seen:
                continue
            seen.add(path)
            status, body, headers = client.ask(path)
            assert status == 200, path
            if headers["content-type"].startswith("text/html"):
                for link in re.findall(r'(?:href|src|action)="([^"#?][^"]*)"', body.decode()):
                    assert link.startswith("/line/andon/"), link
                    if not link.endswith(("/label", "/undo")) and len(seen) < 150:
                        queue.append(link.removeprefix("/line/andon").replace("&amp;", "&"))
        assert client.label(defect(store)) == 200
    with serving(store, prefix="/line/andon") as url:
        assert Client(url.removesuffix("/line/andon")).get("/")[0] == 200  # sent on to the prefix
