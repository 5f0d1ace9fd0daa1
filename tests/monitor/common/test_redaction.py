"""Passwords in addresses are not shown."""

import pytest
from andon_monitor.common.redaction import hide_password


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("rtsp://u:p@h/x", "rtsp://u:***@h/x"),
        ("rtsp://h/x", "rtsp://h/x"),
        ("a/folder", "a/folder"),
        ("kafka://u:p@a:1,b:2/t", "kafka://u:***@a:1,b:2/t"),
    ],
)
def test_passwords_are_not_shown(uri: str, shown: str) -> None:
    assert hide_password(uri) == shown
