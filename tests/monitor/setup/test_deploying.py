"""A deployment that is cut off between the model and the settings: it is seen, and completed or taken back."""

from pathlib import Path

import pytest
import yaml
from andon_monitor.errors import OutputError
from andon_monitor.model.file import Model
from andon_monitor.model.recalibration import with_rate
from andon_monitor.review.store import Store
from andon_monitor.setup.lines import Lines

from tests.fixtures.review_page import Client
from tests.fixtures.setup_page import setting_up, settings_of
from tests.monitor.review.models.test_pages import send

USERS = {"user_header": "x-user", "changers": ("ann", "bob")}
PATH = "/setup/bottle/deploy"


def fail(*_: object) -> None:
    raise OutputError("no space left")  # a crash leaves the same


def deploy(folder: Path, monkeypatch: pytest.MonkeyPatch, **fields: str) -> None:
    """Deploy the set-up, and fail before the settings are written."""
    with monkeypatch.context() as patch, setting_up(settings_of(folder, **USERS)) as url:
        patch.setattr(Lines, "write", fail)
        form = {"line": "press", "why": "a new part", **fields}
        assert "no space left" in send(Client(url, x_user="ann"), PATH, PATH, **form)[1]


def test_a_deployment_that_is_cut_off_is_completed_or_taken_back(
    prepared: Path, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    line, file = prepared / "lines" / "press.yaml", prepared / "lines" / "bottle.onnx"
    deploy(prepared, monkeypatch)
    assert (line.exists(), file.read_bytes()) == (False, model.content)
    with setting_up(settings_of(prepared, **USERS)) as url:
        bob = Client(url, x_user="bob")
        assert "The deployment of bottle to press was cut off." in bob.get("/setup")[1]
        assert "nothing uses the model yet" in bob.get("/lines/press")[1]
        status, page = send(bob, PATH, PATH, line="press", why="again")
        assert (status, "complete it or take it back first" in page) == (400, True)
        assert send(bob, "/setup", "/lines/press/take-back")[0] == 200
        assert (line.exists(), file.exists(), "cut off" in bob.get("/setup")[1]) == (False, False, False)
    deploy(prepared, monkeypatch)
    with setting_up(settings_of(prepared, **USERS)) as url:
        bob = Client(url, x_user="bob")
        assert send(bob, "/setup", "/lines/press/complete")[0] == 200
        assert "cut off" not in bob.get("/setup")[1]
    recipes = [{"name": "bottle", "model": str(file)}]
    assert (yaml.safe_load(line.read_text())["recipes"], file.read_bytes()) == (recipes, model.content)
    # A second deployment: the model that was there before comes back.
    other, _ = with_rate(model.content, "bottle", 0.2)
    (prepared / "store" / "setup" / "bottle" / "model.onnx").write_bytes(other)
    text = line.read_text()
    deploy(prepared, monkeypatch, camera="left")
    assert (line.read_text(), file.read_bytes()) == (text, other)
    with setting_up(settings_of(prepared, **USERS)) as url:
        bob = Client(url, x_user="bob")
        assert "by its old recipes" in bob.get("/lines/press")[1]
        assert send(bob, "/lines/press", "/lines/press/take-back")[0] == 200
    assert (line.read_text(), file.read_bytes()) == (text, model.content)
    changes = Store(prepared / "store").changes.newest(1)
    assert (changes[0].who, changes[0].why) == ("bob", "cut off, taken back: a new part")
