"""Texts of others as people may see them: addresses without what is secret, one line as one line."""

import re

HIDDEN = "***"
_HOST = r"(?:\[[0-9A-Fa-f:.%]+\]|[\w.-]+)(?::(?:\d*|port))?"  # port: in messages that say what would be right
_AUTHORITY = re.compile(rf"(?:{_HOST}(?:,{_HOST})*)?")
# A user and a password without a scheme that is one, as in rtsp:/user:password@host.
_CREDENTIALS = re.compile(r"[^\s]*:[^\s]*@")
_ADDRESS_IN_TEXT = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s'\"<>`]+")

# Characters that end a line, move a terminal's cursor or turn the direction of text round.
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def one_line(text: str) -> str:
    """A text with control characters written out, such as \\n, so that it can neither forge a line nor colour one."""
    return CONTROL.sub(lambda found: repr(found.group())[1:-1], text)


def show_address(address: str) -> str:
    """An address, or a path, as it may be shown; what might be part of a password is not.

    A password with unescaped /, ?, # or @ cannot be told from a path: then no more than the scheme is shown.
    """
    scheme, separator, rest = address.partition("://")
    if not separator:
        credentials = _CREDENTIALS.match(address)
        return address if credentials is None else f"{HIDDEN}@{address[credentials.end() :]}"
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    behind = rest[len(authority) :]
    host = authority.rpartition("@")[2]
    if "@" in behind or not _AUTHORITY.fullmatch(host):
        return f"{scheme}://{HIDDEN}"
    return f"{scheme}://{host}{re.split(r'[?#]', behind, maxsplit=1)[0]}"


def hide_addresses_in_argument(argument: str) -> str:
    """An argument of a command with the addresses that have a user, password or query as `show_address` shows them."""
    secret = "://" in argument and ("@" in argument or "?" in argument)
    return hide_addresses(argument) if secret else argument


def hide_addresses(text: str) -> str:
    """A message with every address in it as `show_address` shows it; for what libraries say."""
    if "://" not in text:
        return text
    return _ADDRESS_IN_TEXT.sub(_show_within_text, text)


def _show_within_text(found: re.Match[str]) -> str:
    """An address in a sentence, whose punctuation is not part of it."""
    address = found.group().rstrip(":,;)")
    return show_address(address) + found.group()[len(address) :]
