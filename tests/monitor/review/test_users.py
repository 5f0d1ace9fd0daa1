"""Passwords are kept as hashes, and a file that holds them otherwise is refused without showing them."""

import asyncio
import subprocess
import sys
from base64 import b64encode
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import pytest
from andon_monitor.errors import UsageError
from andon_monitor.review import passwords, users
from andon_monitor.review.users import TooManyGuesses, Users, line
from andon_monitor.telemetry.backoff import FREE_FAILURES

T = TypeVar("T")


def basic(text: str) -> str:
    return "Basic " + b64encode(text.encode()).decode()


def finished(work: Coroutine[Any, Any, T]) -> T:
    """In a thread of its own: the browser of other tests keeps an event loop in this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


def ask(known: Users, header: str, address: str = "10.0.0.1") -> str | None:
    return finished(known.name(header, address))


@pytest.fixture
def known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Users:
    """Two users whose passwords are hashed at a small cost; the command's and the page's tests have the real one."""
    monkeypatch.setattr(passwords, "SCRYPT_N", 2**4)
    monkeypatch.setattr(passwords, "HAS_ARGON2", False)
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
    assert [ask(known, header), ask(known, header)] == [name, name]


@pytest.fixture
def derived(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The passwords that were hashed."""
    hashed: list[str] = []
    derive = passwords._derive

    def counted(password: bytes, salt: bytes) -> bytes:
        hashed.append(password.decode())
        return derive(password, salt)

    monkeypatch.setattr(passwords, "_derive", counted)
    return hashed


def test_what_was_right_once_is_not_derived_again(known: Users, derived: list[str]) -> None:
    for _ in range(2):
        assert ask(known, basic("bob:other")) == "bob"
        assert ask(known, basic("bob:wrong")) is None
        assert ask(known, basic("eve:other")) is None  # as long as for one that is there
    assert derived == ["other", "wrong", "other", "wrong", "other"]


def test_the_pictures_of_a_page_need_one_hash(known: Users, derived: list[str]) -> None:
    async def many() -> list[str | None]:
        return await asyncio.gather(*(known.name(basic("bob:other"), "a") for _ in range(30)))

    assert finished(many()) == ["bob"] * 30
    assert derived == ["other"]


def test_only_a_few_passwords_wait(known: Users, derived: list[str]) -> None:
    async def many() -> list[object]:
        tries = (known.name(basic(f"x{i}:guess"), f"10.0.0.{i}") for i in range(60))
        return await asyncio.gather(*tries, return_exceptions=True)

    results = finished(many())
    assert len(derived) == results.count(None) == users.MAX_WAITING
    assert {error.status for error in results if isinstance(error, TooManyGuesses)} == {503}


@pytest.mark.parametrize("name", ["ann", "nobody"])
def test_wrong_passwords_make_their_address_and_their_name_wait(known: Users, derived: list[str], name: str) -> None:
    """A name that is not in the file is treated as one that is."""
    ask(known, basic("ann:naïve: secret"), "home")
    for i in range(FREE_FAILURES + 1):
        assert ask(known, basic(f"{name}:{i}"), "elsewhere") is None
    tried = len(derived)
    for given, address in ((f"{name}:x", "elsewhere"), ("bob:other", "elsewhere"), (f"{name}:x", "third")):
        with pytest.raises(TooManyGuesses) as caught:
            ask(known, basic(given), address)
        assert caught.value.status == 429
        assert 0 < caught.value.wait_seconds <= 1
    assert len(derived) == tried
    assert ask(known, basic("ann:naïve: secret"), "elsewhere") == "ann"  # signed in before
    assert ask(known, basic("bob:other"), "third") == "bob"


def test_who_guesses_from_elsewhere_does_not_keep_a_user_out(known: Users) -> None:
    assert ask(known, basic("bob:other"), "home") == "bob"
    for i in range(FREE_FAILURES + 1):
        ask(known, basic(f"bob:{i}"), "elsewhere")
    known._names.clear()  # another browser of the same machine, or more users than are cached
    assert ask(known, basic("bob:other"), "home") == "bob"


@pytest.mark.parametrize(
    "text",
    ["", "# nobody\n", "ann\n", "ann:\n", ":secret\n", "ann:secret\n", "ann:scrypt:c2VjcmV0:c2VjcmV0\n",
     "ann:scrypt:secret\n", "ann:scrypt:secret:secret!\n", ":" + line("x", "y").partition(":")[2]],
    ids=range(10),  # the same in every worker: the last one has a random salt
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
    assert ask(Users(tmp_path / "users"), basic("ann:secret")) == "ann"
    assert make("ann", "secret\n").stdout != done.stdout  # another salt


@pytest.mark.parametrize(("name", "password"), [("a:b", "x\n"), ("", "x\n"), ("#a", "x\n"), ("ann", "")])
def test_a_name_or_password_that_cannot_be_one_is_one_line(name: str, password: str) -> None:
    done = make(name, password)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
