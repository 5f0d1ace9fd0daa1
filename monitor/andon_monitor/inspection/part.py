"""The identity of a part: what a frame's producer knows about it, such as serial number, product and order."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256

# Identities are kept in memory, verdicts and databases, and anybody may have sent them.
MAX_VALUE = 200  # characters of one value
MAX_OTHER = 20  # values that this program does not know by name
MAX_ENCODER = 2**63 - 1
HASH_DIGITS = 12  # that keep apart values which are the same once they are cut

# Names are those of CloudEvents attributes; a name of the event itself cannot be one of a part.
NAME = re.compile(r"[a-z0-9]{1,20}")
EVENT_NAMES = frozenset(
    (
        *("id", "source", "specversion", "type", "subject", "time", "datacontenttype", "dataschema", "data"),
        *("partitionkey", "traceparent", "tracestate"),  # how the event travels
        *("file", "capturetimesource"),  # of the frame
    )
)
ENCODER = "encoder"
TEXTS = ("id", "product", "order", "station", "view")
ATTRIBUTES = {"part": "id"}  # where an attribute of an event has another name than the field of `Part`

# Why something of an identity was cut: values of a metric's label.
CUTS = ("length", "characters", "value", "name", "count")
REPLACEMENT = "\ufffd"  # stands for a character that is not printable
_INTEGER = re.compile(r"[+-]?[0-9]{1,19}")


@dataclass(frozen=True, slots=True)
class Part:
    """Which part a frame shows. Texts are printable and have at most MAX_VALUE characters; None for what is not known.

    `id` is the part's serial number, `view` tells several frames of one part apart, `encoder` is the position of the
    line's encoder in counts. `other` are pairs of name and text, sorted. Sources make it with `read_part`.
    """

    id: str | None = None
    product: str | None = None
    order: str | None = None
    station: str | None = None
    view: str | None = None
    encoder: int | None = None
    other: tuple[tuple[str, str], ...] = ()

    def to_dict(self) -> dict[str, str | int]:
        """For JSON, without what is None; `read_part` restores it exactly."""
        known = {name: getattr(self, name) for name in (*TEXTS, ENCODER)}
        return {name: value for name, value in known.items() if value is not None} | dict(self.other)

    def attributes(self) -> dict[str, str]:
        """As extension attributes of a CloudEvent."""
        fields = self.to_dict()
        named = {"part" if name == "id" else name: value for name, value in fields.items()}
        return {name: str(value) for name, value in named.items()}


def read_part(facts: object) -> tuple[Part | None, tuple[str, ...]]:
    """The identity in what anybody may have sent, and why something of it was cut: `CUTS`. Never raises.

    `facts`: a mapping or pairs of names and values, or the id alone. Values are texts, numbers, or bytes of UTF-8.
    """
    if facts is None or isinstance(facts, Part):
        return facts, ()
    if isinstance(facts, Mapping):
        pairs: Iterable[object] = facts.items()
    elif isinstance(facts, str | int):
        pairs = (("id", facts),)
    elif isinstance(facts, list | tuple):
        pairs = facts
    else:
        return None, ("value",)
    found: dict[str, str | int] = {}
    other: dict[str, str] = {}
    cuts: list[str] = []
    for pair in pairs:
        if not isinstance(pair, tuple) or len(pair) != 2:
            cuts.append("value")
            continue
        name, value = pair
        if value is None:
            continue
        name = ATTRIBUTES.get(name, name) if isinstance(name, str) else ""
        text, cut = _text(value)
        if name == ENCODER:
            count = _encoder(text)
            if count is None:
                cut = "value"
            else:
                found[name] = count
        elif name in TEXTS:
            if text:
                found[name] = text
        elif not NAME.fullmatch(name) or name in EVENT_NAMES:
            cut = "name"
        elif len(other) >= MAX_OTHER and name not in other:
            cut = "count"
        elif text:
            other[name] = text
        if cut is not None:
            cuts.append(cut)
    if not found and not other:
        return None, tuple(cuts)
    return Part(**found, other=tuple(sorted(other.items()))), tuple(cuts)  # type: ignore[arg-type]  # by name


def _text(value: object) -> tuple[str, str | None]:
    """A value as a printable text of at most MAX_VALUE characters, and why it was cut, None where it was not."""
    if isinstance(value, bytes):
        try:
            text = value.decode()
        except UnicodeDecodeError:
            return _shortened(value.decode(errors="replace"), value), "characters"
    elif isinstance(value, str):
        text = value
    elif isinstance(value, bool):
        text = "true" if value else "false"
    elif isinstance(value, int | float):
        try:
            text = str(value)
        except ValueError:  # Python writes no integer of more than some thousand digits
            return "", "value"
    else:
        return "", "value"
    printable = text.isprintable()
    if printable and len(text) <= MAX_VALUE:
        return text, None
    return _shortened(text, text.encode(errors="surrogatepass")), "length" if printable else "characters"


def _shortened(text: str, original: bytes) -> str:
    """The beginning of a text, with a hash of the original, so that two texts stay two."""
    start = text[: MAX_VALUE - HASH_DIGITS - 1]
    clean = "".join(character if character.isprintable() else REPLACEMENT for character in start)
    return f"{clean}~{sha256(original).hexdigest()[:HASH_DIGITS]}"


def _encoder(text: str) -> int | None:
    if not _INTEGER.fullmatch(text):
        return None
    count = int(text)
    return count if -MAX_ENCODER <= count <= MAX_ENCODER else None
