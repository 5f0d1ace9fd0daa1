"""The set-up as scripts and strangers meet it: rights, forms, two people, and recipes that were changed by hand."""

import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
import yaml
from andon_monitor.inspection.inspector import Rules
from andon_monitor.model.file import Model
from andon_monitor.review.store import Store
from andon_monitor.setup.draft import Drafts

from tests.fixtures.review_line import fill, frames, inspect
from tests.fixtures.review_page import Client
from tests.fixtures.setup_page import setting_up, settings_of
from tests.monitor.review.models.test_pages import send
from tests.monitor.setup.conftest import URI

USERS = {"user_header": "x-user", "changers": ("ann", "bob")}
PASSWORD = "hunter2"
STEPS = ("source", "images", "mask", "fit", "report", "rate", "deploy")


@pytest.fixture
def url(prepared: Path) -> Iterator[str]:
    with setting_up(settings_of(prepared, **USERS)) as found:
        yield found


def test_only_those_who_may_change_see_and_use_it(url: str, prepared: Path) -> None:
    cat, ann = Client(url, x_user="cat"), Client(url, x_user="ann")
    assert "Set up" not in cat.get("/")[1]
    assert "Set up" in ann.get("/")[1]
    pages = ["/setup", "/lines/x", *(f"/setup/bottle/{step}" for step in STEPS)]
    for path in [*pages, "/setup/bottle/live.jpg", "/setup/bottle/images/000001.png", "/setup/bottle/report.html"]:
        assert cat.get(path)[0] == 403, path
    token = {"token": "x"}
    for action in ("", "/bottle/source", "/bottle/collect", "/bottle/fit", "/bottle/mask", "/bottle/deploy"):
        assert cat.ask(f"/setup{action}", urlencode(token).encode())[0] == 403
        assert ann.ask(f"/setup{action}", urlencode(token).encode())[0] == 403  # not from a form of this page
    for path in [*pages[:1], *pages[2:]]:
        status, text = ann.get(path)
        assert status == 200, path
        assert PASSWORD not in text
    for path in ("/setup/nothing/fit", "/setup/../fit", "/setup/bottle/images/..%2Fdraft.json", "/lines/x"):
        assert ann.get(path)[0] == 404, path
    assert Store(prepared / "store").changes.newest(9) == []


def test_wrong_names_and_sources_are_refused(url: str, prepared: Path) -> None:
    ann = Client(url, x_user="ann")
    for name in ("", "../x", "a b", "x" * 41, "bottle"):
        assert send(ann, "/setup", "/setup", name=name)[0] == 400, name
    status, page = send(ann, "/setup/bottle/source", "/setup/bottle/source", uri="/etc/passwd")
    assert (status, "review.sources" in page) == (400, True)
    assert Drafts(prepared / "store" / "setup").find("bottle").source()["source"]["uri"] == URI
    assert send(ann, "/setup/bottle/images", "/setup/bottle/remove", file="../draft.json")[0] == 400
    assert send(ann, "/setup/bottle/images", "/setup/bottle/remove", file="000001.png")[0] == 200
    assert [path.name for path in Drafts(prepared / "store" / "setup").find("bottle").images()] == ["000002.png"]


def test_two_people_deploy_and_change_recipes(prepared: Path, model: Model) -> None:
    line = prepared / "lines" / "press.yaml"
    with setting_up(settings_of(prepared, **USERS, four_eyes=True)) as url:
        ann, bob = Client(url, x_user="ann"), Client(url, x_user="bob")
        status, page = send(ann, "/setup/bottle/deploy", "/setup/bottle/deploy", line="press", why="first")
        assert (status, line.exists()) == (200, False)
        assert PASSWORD not in page
        number = Store(prepared / "store").changes.pending()[0].number
        form = {"number": str(number), "answer": "apply"}
        assert "Agree" not in ann.get("/lines/press")[1]
        assert answer(ann, "/lines/press", "/lines/press/answer", form)[0] == 400
        assert answer(bob, "/models", "/models/answer", form)[0] == 400  # it is answered at its line
        assert line.exists() is False
        assert answer(bob, "/lines/press", "/lines/press/answer", form)[0] == 200
        assert (prepared / "lines" / "bottle.onnx").read_bytes() == model.content
        # By hand, then on the page: what was written by hand stays.
        line.write_text(line.read_text() + "inspection: {too_dark: 0.1}  # dusk\n")
        status, page = send(ann, "/lines/press", "/lines/press/recipe", camera="left*", why="right is another part")
        assert "left*" not in line.read_text()
        number = Store(prepared / "store").changes.pending()[0].number
        assert answer(bob, "/lines/press", "/lines/press/answer", {"number": str(number), "answer": "apply"})[0] == 200
    content = yaml.safe_load(line.read_text())
    assert content["inspection"] == {"too_dark": 0.1}
    assert "# dusk" in line.read_text()
    assert content["recipes"] == [{"name": "bottle", "model": str(line.parent / "bottle.onnx"), "camera": "left*"}]
    changes = Store(prepared / "store").changes.newest(9)
    assert [(change.who, change.step, change.action) for change in reversed(changes)] == [
        ("ann", "proposed", "deploy"),
        ("bob", "applied", "deploy"),
        ("bob", "applied", "recipes"),
        ("ann", "proposed", "recipes"),
        ("bob", "applied", "recipes"),
    ]
    assert PASSWORD not in str(changes)


def answer(client: Client, page: str, action: str, fields: dict[str, str]) -> tuple[int, str]:
    """Send a form that the page itself may not offer, with the token of the visitor."""
    _, text = client.get(page)
    token = text.split('name="token" value="')[1].split('"')[0] if 'name="token"' in text else ""
    if not token:
        _, text = client.get("/setup")
        token = text.split('name="token" value="')[1].split('"')[0]
    status, body, _ = client.ask(action, urlencode(fields | {"token": token}).encode())
    return status, body.decode()


def test_monitors_elsewhere_that_use_other_recipes_are_named(prepared: Path, model: Model) -> None:
    source = Drafts(prepared / "store" / "setup").find("bottle")
    source.write_settings("source.yaml", {"source": {"uri": URI, "cameras": ["left", "right"]}})
    line, path = prepared / "lines" / "press.yaml", "/lines/press"
    with setting_up(settings_of(prepared)) as url:
        client = Client(url)
        assert send(client, "/setup/bottle/deploy", "/setup/bottle/deploy", line="press", why="first")[0] == 200
        fill(prepared / "store", inspect(model, frames(2, camera="left"), Rules(alias="old", recipe="old")))
        fill(prepared / "store", inspect(model, frames(2, camera="right"), Rules(alias="bottle", recipe="bottle")))
        assert "still uses other recipes" not in client.get(path)[1]  # it may be restarted right now
        os.utime(line, (1e9, 1e9))
        page = client.get(path)[1]
    assert "left is inspected by old" in page
    assert "right is inspected" not in page
