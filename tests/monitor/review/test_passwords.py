"""Passwords are hashed with Argon2id where it is installed, and files with scrypt go on working."""

from pathlib import Path

import pytest
from andon_monitor.errors import InstallationError, UsageError
from andon_monitor.review import passwords
from andon_monitor.review.passwords import Hash, hash_password
from andon_monitor.review.users import Users, line

from tests.fixtures.components import skip_or_fail

WEAK = "$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$n8YxOHQ3UqIBxMDt+gXFOkcG1sBUBYzSvT0pQRj5hjI"


@pytest.fixture
def argon2() -> None:
    if not passwords.HAS_ARGON2:
        skip_or_fail("argon2-cffi is not installed: set up again (make)")


@pytest.mark.usefixtures("argon2")
def test_a_new_line_has_argon2id_at_the_cost_of_rfc_9106() -> None:
    text = line("ann", "naïve: secret")
    assert text.startswith("ann:argon2:$argon2id$v=19$m=65536,t=3,p=4$")
    known = Hash(text.removeprefix("ann:"))
    assert known.matches("naïve: secret")
    assert not known.matches("naive: secret")
    assert hash_password("x") != hash_password("x")


@pytest.mark.usefixtures("argon2")
@pytest.mark.parametrize(
    "wrong",
    ["", "x", WEAK.replace("argon2id", "argon2i"), WEAK.replace("m=8", "m=4000000"), WEAK.replace("t=1", "t=9999")],
)
def test_a_hash_at_a_cost_that_is_a_slip_is_refused(wrong: str) -> None:
    assert not Hash(f"argon2:{WEAK}").matches("x")
    with pytest.raises(ValueError, match=r"Argon2"):
        Hash(f"argon2:{wrong}")


def test_scrypt_goes_on_working_and_argon2_says_what_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "HAS_ARGON2", False)
    monkeypatch.setattr(passwords, "SCRYPT_N", 2**4)
    text = line("ann", "secret")
    assert text.startswith("ann:scrypt:")
    assert Hash(text.removeprefix("ann:")).matches("secret")
    path = tmp_path / "users"
    path.write_text(f"ann:argon2:{WEAK}\n")
    with pytest.raises(InstallationError, match=r"andon\[review\]"):
        Users(path)
    path.write_text("ann:md5:secret\n")
    with pytest.raises(UsageError, match="andon-monitor user") as raised:
        Users(path)
    assert "secret" not in str(raised.value)
