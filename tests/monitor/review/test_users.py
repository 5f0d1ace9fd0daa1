"""Passwords are kept as hashes, and a file that holds them otherwise is refused without showing them."""

import subprocess
import sys
from base64 import b64encode
from pathlib import Path

import pytest
from andon_monitor.errors import UsageError
from andon_monitor.review import users
from andon_monitor.review.users import Users, line


def basic(text: str) -> str:
    return "Basic " + b64encode(text.encode()).decode()


@pytest.fixture
def known(tmp_path: Path) -> Users:
    path = tmp_path / "users"
    path.write_text(f"# the line\n{line('ann', 'naïve: secret')}\n{line('bob', 'other')}\n")
    assert "secret" not in path.read_text()
    return Users(path)


@pytest.mark.parametrize(
    ("header", "name"),
    [
        (basic("ann:naïve: secret"), "ann"),
        (basic("bob:other"), "bob"),
        (basic("bob:naïve: secret"), None),
        (basic("eve:other"), None),
        (basic("eve:"), None),
        (basic("bob"), None),
        (basic(":"), None),
        ("Basic \xff", None),
        ("Basic", None),
        ("", None),
        (basic("bob:other").replace("Basic", "Bearer"), None),
    ],
)
def test_a_password_is_its_users_alone(known: Users, header: str, name: str | None) -> None:
    assert [known.name(header), known.name(header)] == [name, name]


def test_what_was_right_once_is_not_derived_again(known: Users, monkeypatch: pytest.MonkeyPatch) -> None:
    derived = []
    derive = users._derive

    def counted(password: str, salt: bytes) -> bytes:
        derived.append(password)
        return derive(password, salt)

    monkeypatch.setattr(users, "_derive", counted)
    for _ in range(3):
        assert known.name(basic("bob:other")) == "bob"
        assert known.name(basic("bob:wrong")) is None
        assert known.name(basic("eve:other")) is None  # as long as for one that is there
    assert derived == ["other", "wrong", "other", "wrong", "other", "wrong", "other"]


@pytest.mark.parametrize(
    "text",
    ["", "# nobody\n", "ann\n", "ann:\n", ":secret\n", "ann:secret\n", "ann:scrypt:c2VjcmV0:c2VjcmV0\n",
     "ann:scrypt:secret\n", "ann:scrypt:secret:secret!\n", ":" + line("x", "y").partition(":")[2]],
)  # fmt: skip
def test_a_file_of_users_that_is_none_is_one_line_without_its_secrets(text: str, tmp_path: Path) -> None:
    path = tmp_path / "users"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"review\.users_file.*andon-monitor user") as raised:
        Users(path)
    assert "secret" not in str(raised.value)
    assert "c2Vj" not in str(raised.value)


def make(name: str, password: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "andon_monitor", "user", name]
    return subprocess.run(command, input=password, capture_output=True, text=True, timeout=60, check=False)


def test_the_command_makes_a_line(tmp_path: Path) -> None:
    done = make("ann", "secret\n")
    assert done.returncode == 0, done.stderr
    (tmp_path / "users").write_text(done.stdout)
    assert Users(tmp_path / "users").name(basic("ann:secret")) == "ann"
    assert make("ann", "secret\n").stdout != done.stdout  # another salt


@pytest.mark.parametrize(("name", "password"), [("a:b", "x\n"), ("", "x\n"), ("#a", "x\n"), ("ann", "")])
def test_a_name_or_password_that_cannot_be_one_is_one_line(name: str, password: str) -> None:
    done = make(name, password)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
