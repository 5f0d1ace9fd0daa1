"""An address that is wrong is refused in one line, without its password."""

import pytest
from andon_monitor.errors import UsageError
from andon_monitor.kafka.address import parse_address


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("kafka://broker:9092", "names no topic"),
        ("kafka://broker/t", "'broker' is not host:port"),
        ("kafka://broker:99999/t", "is not host:port"),
        ("kafka://broker:9092/a b", "is not the name of a topic"),
        ("kafka://me:secret@broker:9092/t", r"kafka://broker:9092/t: no user or password in the address"),
    ],
)
def test_an_address_that_is_wrong_is_one_line(uri: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        parse_address(uri)
    assert "secret" not in str(caught.value)
