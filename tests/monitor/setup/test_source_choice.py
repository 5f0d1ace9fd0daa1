"""Which sources may be chosen on the page: files below one folder alone, hosts of a list where there is one."""

import sys
from pathlib import Path

import pytest
from andon_monitor.errors import UsageError
from andon_monitor.settings.groups import ReviewSettings
from andon_monitor.setup.source_choice import check_source

from tests.fixtures.network_camera import ReusableServer
from tests.fixtures.review_page import Client
from tests.fixtures.setup_page import setting_up, settings_of
from tests.monitor.review.models.test_pages import send
from tests.monitor.sources.test_redirects import Sender, running


@pytest.fixture
def settings(tmp_path: Path) -> ReviewSettings:
    (tmp_path / "sources" / "night").mkdir(parents=True)
    (tmp_path / "secret").mkdir()
    (tmp_path / "sources" / "link").symlink_to(tmp_path / "secret")
    return ReviewSettings(sources=tmp_path / "sources", source_hosts=("camera-1", "::1"))


@pytest.mark.parametrize(
    "uri",
    ["rtsp://a:b@camera-1/stream", "http://camera-1:8/x", "kafka://camera-1:92/t", "http://[::1]/", "camera:0"],
)
def test_these_are_opened(uri: str, settings: ReviewSettings) -> None:
    assert check_source(uri, settings) == uri


def test_files_are_read_below_one_folder_alone(settings: ReviewSettings, tmp_path: Path) -> None:
    night = str(tmp_path / "sources" / "night")
    assert check_source("night", settings) == night
    assert check_source(night, settings) == night
    assert check_source("watch:night", settings) == f"watch:{night}"
    answers = set[str]()
    for name in ("../secret", "link", "/etc/passwd", "gone", "watch:../secret"):
        with pytest.raises(UsageError, match="no such folder or file") as refused:
            check_source(name, settings)
        answers.add(str(refused.value).partition(":")[2].rpartition(":")[2])
    assert len(answers) == 1  # what is elsewhere is not told from what is not there
    with pytest.raises(UsageError, match=r"review\.sources"):
        check_source("night", ReviewSettings())


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("", "no source"),
        ("http://169.254.169.254/latest", "not among"),
        ("kafka://broker:9092/t", "not among"),
        ("rtsp://viewer:hunter2@camera-1@evil/", "not among"),
        ("http:///x", "has no host"),
        ("file:///etc/passwd", "unknown kind"),
        ("concat:a|b", "no such folder"),
        ("night\nday", "no address"),
        ("x" * 2000, "no address"),
    ],
)
def test_these_are_refused_in_one_line_without_a_password(uri: str, expected: str, settings: ReviewSettings) -> None:
    with pytest.raises(UsageError, match=expected) as refused:
        check_source(uri, settings)
    assert "hunter2" not in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.skipif(sys.platform == "win32", reason="sources are opened on Linux and macOS alone")
def test_a_camera_that_sends_on_to_another_host_is_refused(prepared: Path) -> None:
    class Elsewhere(Sender):
        target = "http://[::1]:9/secret"

    page, given = "/setup/bottle/source", settings_of(prepared, source_hosts=("127.0.0.1",))
    with running(ReusableServer(("127.0.0.1", 0), Elsewhere)) as port, setting_up(given) as url:
        status, text = send(Client(url), page, page, uri=f"http://127.0.0.1:{port}/stream")
    assert (status, "sends on to another address" in text) == (400, True)
