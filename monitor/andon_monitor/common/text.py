"""Text of strangers in messages and labels: one line, of bounded length, nothing that moves a terminal's cursor."""

MAX_SHOWN = 80  # characters
MAX_NAME_CHARS = 100  # of a model's or kind's name, which is in every verdict and metric


def shown(text: str, limit: int = MAX_SHOWN) -> str:
    """Text as a message may show it: control characters and lone surrogates as question marks, cut to `limit`."""
    cut = text[: limit + 1]
    plain = "".join(letter if letter.isprintable() else "?" for letter in cut)
    return plain if len(plain) <= limit else plain[: limit - 3] + "..."


def is_plain(text: str) -> bool:
    """Whether a text has no control characters, newlines or lone surrogates."""
    return text.isprintable()
