"""Sign-in with a form: a cookie that other sites do not get, guesses that are slowed down, and the way out."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from andon_monitor.review import sessions as sessions_module
from andon_monitor.review.sessions import SESSION_COOKIE, Sessions
from andon_monitor.review.store import Store
from andon_monitor.review.users import line

from tests.fixtures.review_page import Client, defect, serving

BROWSER = {"accept": "text/html,*/*"}
PASSWORD = "s3cret: and long"


@pytest.fixture(scope="module")
def users(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("users") / "users"
    path.write_text(line("ann", PASSWORD) + "\n")
    return path


@pytest.fixture
def page(store: Store, users: Path) -> Iterator[str]:
    with serving(store, users_file=users) as url:
        yield url


def sign_in(client: Client, password: str = PASSWORD, then: str = "/", **headers: str) -> tuple[int, str, str]:
    """Status, page and cookies after the form was sent; redirects are followed."""
    _, form = client.get(f"/login?{urlencode({'next': then})}")
    token = re.findall(r'name="token" value="([^"]+)"', form)[0]
    action = re.findall(r'action="([^"]+)"', form)[0]
    data = urlencode({"token": token, "name": "ann", "password": password}).encode()
    status, body, answer = client.ask(action, data, **headers)
    return status, body.decode(), answer.get("set-cookie", "")


def test_a_browser_is_led_to_the_form_and_back(store: Store, page: str) -> None:
    client = Client(page, **BROWSER)
    frame = f"/frames/{defect(store)}?camera=left"
    status, form = client.get(frame)
    assert status == 200
    assert 'type="password"' in form
    assert f"next={frame.replace('/', '%2F').replace('?', '%3F').replace('=', '%3D')}" in form
    status, shown, _ = sign_in(client, then=frame)
    assert (status, "Confirm defect" in shown, "Sign out" in shown) == (200, True, True)
    assert client.label(defect(store)) == 200
    assert client.ask(frame + "x")[0] == 200
    token = re.findall(r'name="token" value="([^"]+)"', shown)[0]
    assert client.ask("/logout", b"token=wrong")[0] == 403
    assert 'type="password"' in client.ask("/logout", urlencode({"token": token}).encode())[1].decode()
    assert 'type="password"' in client.get("/")[1]
    assert [step.who for step in store.labels.history(defect(store))] == ["ann"]


def test_the_cookie_is_for_this_site_alone_and_over_tls_for_tls_alone(store: Store, page: str) -> None:
    cookies: list[Any] = []

    class Keeping(Client):
        def ask(self, path, data=None, **headers):
            request = super().ask(path, data, **headers)
            for jar in [h.cookiejar for h in vars(self.opener)["handlers"] if hasattr(h, "cookiejar")]:
                cookies.extend(c for c in jar if c.name == SESSION_COOKIE)
            return request

    sign_in(Keeping(page, **BROWSER))
    (cookie,) = cookies[:1]
    assert cookie.has_nonstandard_attr("HttpOnly")
    assert cookie.get_nonstandard_attr("SameSite").lower() == "lax"
    assert (cookie.secure, cookie.path, len(cookie.value)) == (False, "/", 43)
    cookies.clear()
    sign_in(Keeping(page, **BROWSER, **{"X-Forwarded-Proto": "https"}))
    assert cookies == []  # a secure cookie is not sent back over plain HTTP: nobody is signed in


def test_wrong_passwords_are_slowed_down_and_say_nothing_of_names(page: str) -> None:
    client = Client(page, **BROWSER)
    statuses = [403]
    while statuses[-1] == 403:  # waits double with each wrong one, so that one comes too early on any machine
        status, form, _ = sign_in(client, "wrong")
        statuses.append(status)
        assert "ann" not in form
    assert statuses[1:6] == [403] * 5
    assert statuses[-1] == 429


def test_another_site_signs_nobody_in_and_leads_nobody_away(page: str) -> None:
    client = Client(page, **BROWSER)
    data = urlencode({"token": "x" * 43, "name": "ann", "password": PASSWORD}).encode()
    assert client.ask("/login", data)[0] == 403
    assert sign_in(client, **{"Sec-Fetch-Site": "cross-site"})[0] == 403
    for elsewhere in (
        "//evil.example",
        "https://evil.example",
        "/\\evil.example",
        "/a\r\nset-cookie: x=y",
        "javascript:x",
    ):
        _, form = client.get(f"/login?{urlencode({'next': elsewhere})}")
        assert 'next=%2F"' in form


def test_scripts_go_on_with_basic_auth_and_no_browser_asks_by_itself(page: str) -> None:
    status, _, headers = Client(page).ask("/defects")
    assert (status, headers["www-authenticate"][:5]) == (401, "Basic")
    browser = Client(page, **BROWSER)
    browser.get("/login")  # its session has ended: news and pictures must not make the browser ask for a password
    status, _, headers = browser.ask("/events", accept="text/event-stream")
    assert (status, headers.get("www-authenticate")) == (401, None)


def test_a_page_without_users_has_no_form(store: Store, url: str) -> None:
    assert Client(url).get("/login")[0] == 404
    assert "Sign out" not in Client(url).get("/")[1]


def test_sessions_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions_module, "MAX_SESSIONS", 2)
    sessions = Sessions(60.0)
    first, second, third = (sessions.start(name) for name in ("ann", "bob", "eve"))
    assert (sessions.name(first), sessions.name(second), sessions.name(third)) == (None, "bob", "eve")
    sessions.end(second)
    assert sessions.name(second) is None
    assert sessions.name("") is None
    over = Sessions(0.0)
    assert over.name(over.start("ann")) is None
