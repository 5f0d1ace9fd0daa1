"""Addresses are shown without what is nobody else's business."""

import pytest
from andon_monitor.common.redaction import hide_addresses, show_address


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("rtsp://u:p@h/x", "rtsp://h/x"),
        ("rtsp://u@h:554/x", "rtsp://h:554/x"),
        ("rtsp://h/x?user=u&password=p", "rtsp://h/x"),
        ("http://h?token=p", "http://h"),
        ("http://h/x#p", "http://h/x"),
        ("rtsp://h/x", "rtsp://h/x"),
        ("rtsp://u:p@[fe80::1]:554/x", "rtsp://[fe80::1]:554/x"),
        ("kafka://u:p@a:1,b:2/t", "kafka://a:1,b:2/t"),
        ("kafka://a:1/t?sasl.password=p", "kafka://a:1/t"),
        ("rtsp://u:p%40p@h/x", "rtsp://h/x"),
        # Characters that should have been escaped.
        ("rtsp://u:p@p@h/x", "rtsp://h/x"),
        ("rtsp://u:p/p@h/x", "rtsp://***"),
        ("rtsp://u:p#p@h/x", "rtsp://***"),
        ("rtsp://u:p?p@h/x", "rtsp://***"),
        ("rtsp://u:p#p", "rtsp://***"),
        ("rtsp://u:p p@h/x", "rtsp://h/x"),
        ("rtsp://[u:p", "rtsp://***"),
        # Schemes with a slip.
        ("rtsp:/u:p@h/x", "***@h/x"),
        ("rtsp//u:p@h/x", "***@h/x"),
        ("u:p@h:9092", "***@h:9092"),
        # No addresses.
        ("a/folder", "a/folder"),
        ("line@4/part?.png", "line@4/part?.png"),
        ("camera:0", "camera:0"),
        ("-", "-"),
    ],
)
def test_an_address_is_shown_without_user_password_query_and_fragment(address: str, shown: str) -> None:
    assert show_address(address) == shown


def test_addresses_in_what_a_library_says_are_hidden() -> None:
    said = "cannot open 'rtsp://u:p@h/x?k=p' (rtsp://h/y), see https://docs.example/page#part"
    assert hide_addresses(said) == "cannot open 'rtsp://h/x' (rtsp://h/y), see https://docs.example/page"


def test_punctuation_behind_an_address_hides_no_host() -> None:
    assert hide_addresses("mqtt://broker:1883: does not answer") == "mqtt://broker:1883: does not answer"
    assert hide_addresses("(mqtt://u:p@broker, rtsp://u:p#p)") == "(mqtt://broker, rtsp://***)"
    assert hide_addresses("rtsp://u:secret: no answer") == "rtsp://***: no answer"
