"""Changes to files that keep their structure: what remains is still taken for a file of that kind."""

import base64
import json
import random
import struct
import zlib
from collections.abc import Callable
from typing import Any

import onnx

NUMBERS = (0, 1, 2, 7, 8, 15, 16, 127, 128, 255, 256, 2**15 - 1, 2**15, 2**16 - 1, 2**16, 2**24, 2**31 - 1, 2**31,
           2**32 - 17, 2**32 - 1)  # fmt: skip
PNG_START = b"\x89PNG\r\n\x1a\n"

IN_SCAN = {b"\0", b"", *(bytes([marker]) for marker in range(0xD0, 0xD8))}  # what 0xff is followed by inside a scan

Mutation = Callable[[random.Random, bytes], bytes]


def flip(rng: random.Random, data: bytes) -> bytes:
    """One to eight bits changed."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, 8)):
        if changed:
            changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def cut(rng: random.Random, data: bytes) -> bytes:
    """The end is missing, or a stretch somewhere."""
    start = rng.randrange(len(data) + 1)
    return data[:start] if rng.random() < 0.5 else data[:start] + data[start + rng.randint(1, 600) :]


def repeat(rng: random.Random, data: bytes) -> bytes:
    """A stretch comes several times."""
    start = rng.randrange(len(data) + 1)
    piece = data[start : start + rng.randint(1, 200)]
    return data[:start] + piece * rng.choice((2, 3, 20)) + data[start:]


def zeros(rng: random.Random, data: bytes) -> bytes:
    """A stretch of zeros instead of what was there."""
    start, size = rng.randrange(len(data) + 1), rng.randint(1, 600)
    return data[:start] + bytes(min(size, len(data) - start)) + data[start + size :]


def number(rng: random.Random, data: bytes) -> bytes:
    """A number that readers are known to believe, of 1, 2, 4 or 8 bytes in either order; rather near the beginning."""
    size = rng.choice((1, 2, 4, 8))
    if len(data) <= size:
        return data
    limit = min(len(data), 512) if rng.random() < 0.7 else len(data)
    start = rng.randrange(max(1, limit - size))
    value = rng.choice(NUMBERS) % 2 ** (8 * size)
    return data[:start] + value.to_bytes(size, rng.choice(("little", "big"))) + data[start + size :]


PLAIN: tuple[Mutation, ...] = (flip, cut, repeat, zeros, number)


def _edit(rng: random.Random, pieces: list[bytes], body: Callable[[bytes], bytes]) -> list[bytes]:
    """Pieces of a container: one is removed, doubled, moved, or gets another body."""
    if len(pieces) < 2:
        return pieces
    i, pieces = rng.randrange(len(pieces)), list(pieces)
    match rng.randrange(5):
        case 0:
            del pieces[i]
        case 1:
            pieces[i:i] = [pieces[i]] * rng.choice((1, 3, 100))
        case 2:
            pieces.insert(rng.randrange(len(pieces)), pieces.pop(i))
        case _:
            pieces[i] = body(pieces[i])
    return pieces


def png_chunks(rng: random.Random, data: bytes) -> bytes:
    """Chunks of a PNG file edited, with checksums that are right."""
    pieces, place = [], len(PNG_START)
    while place + 12 <= len(data):
        length = int.from_bytes(data[place : place + 4])
        pieces.append(data[place + 4 : place + 8 + length])
        place += 12 + length

    def body(piece: bytes) -> bytes:
        name, content = piece[:4], piece[4:]
        if name == b"IDAT" and rng.random() < 0.5:
            size = rng.choice((0, 10, 10_000, 50_000_000 if rng.random() < 0.02 else 100_000))
            return name + zlib.compress(bytes(size) if rng.random() < 0.5 else rng.randbytes(min(size, 100_000)))
        return name + rng.choice((flip, number, cut))(rng, content)

    out = [PNG_START]
    for piece in _edit(rng, pieces, body):
        length = len(piece) - 4 if rng.random() > 0.02 else rng.choice(NUMBERS)
        out.append(struct.pack(">I", length % 2**32) + piece + struct.pack(">I", zlib.crc32(piece)))
    return b"".join(out)


def jpeg_segments(rng: random.Random, data: bytes) -> bytes:
    """Segments of a JPEG file edited, scans among them, with lengths that are right."""
    pieces, place = [], 2
    while place + 4 <= len(data) and data[place] == 0xFF and data[place + 1] != 0xD9:
        end = place + 2 + int.from_bytes(data[place + 2 : place + 4])
        if data[place + 1] == 0xDA:
            following = data.find(b"\xff", end)
            while following != -1 and data[following + 1 : following + 2] in (
                b"\0",
                *(bytes([m]) for m in range(0xD0, 0xD8)),
            ):
                following = data.find(b"\xff", following + 2)
            end = len(data) if following == -1 else following
        pieces.append(data[place:end])
        place = end

    def body(piece: bytes) -> bytes:
        changed = piece[:4] + rng.choice((flip, number))(rng, piece[4:])
        return changed if piece[1:2] == b"\xda" else changed[:2] + struct.pack(">H", len(changed) - 2) + changed[4:]

    return data[:2] + b"".join(_edit(rng, pieces, body)) + b"\xff\xd9"


def riff_chunks(rng: random.Random, data: bytes) -> bytes:
    """Chunks of a WebP file edited, with lengths that are right."""
    pieces, place = [], 12
    while place + 8 <= len(data):
        length = int.from_bytes(data[place + 4 : place + 8], "little")
        pieces.append(data[place : place + 4] + data[place + 8 : place + 8 + length])
        place += 8 + length + length % 2
    if rng.random() < 0.3:
        pieces.insert(0, b"VP8X" + bytes([rng.randrange(256)]) + bytes(3) + rng.randbytes(6))
    edited = _edit(rng, pieces, lambda piece: piece[:4] + rng.choice((flip, number, cut))(rng, piece[4:]))
    body = b"".join(p[:4] + struct.pack("<I", len(p) - 4) + p[4:] + bytes(len(p) % 2) for p in edited)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def tiff_fields(rng: random.Random, data: bytes) -> bytes:
    """A field of a TIFF directory with another type, count or value."""
    order = "little" if data[:2] == b"II" else "big"
    place = int.from_bytes(data[4:8], order)
    count = int.from_bytes(data[place : place + 2], order)
    changed = bytearray(data)
    for _ in range(rng.randint(1, 3)):
        entry = place + 2 + 12 * rng.randrange(max(1, count))
        offset, size = rng.choice(((0, 2), (2, 2), (4, 4), (8, 4), (8, 2)))
        value = rng.choice(NUMBERS) % 2 ** (8 * size)
        changed[entry + offset : entry + offset + size] = value.to_bytes(size, order)
    return bytes(changed)


ODD_VALUES: tuple[Any, ...] = (
    None, True, 0, -1, 1e308, -1e308, float("nan"), float("inf"), 10**400, "", "x" * 1_000_000, "a\nb\x1b[31m",
    "\ud800", "9999-12-31T23:59:59Z", "0000-00-00", "../../etc/passwd", "\0", [], {}, [[]] * 3, {"a": {"b": {}}},
    list(range(5000)),
)  # fmt: skip


def json_value(rng: random.Random, data: bytes) -> bytes:
    """One value of a JSON document becomes an odd one, goes, or comes under another name."""
    document = json.loads(data)
    places: list[tuple[Any, Any]] = []

    def walk(value: Any) -> None:
        for key, inner in list(value.items() if isinstance(value, dict) else enumerate(value)):
            places.append((value, key))
            if isinstance(inner, dict | list) and len(places) < 10_000:
                walk(inner)

    if isinstance(document, dict | list):
        walk(document)
    for _ in range(rng.randint(1, 2)):
        if not places:
            break
        holder, key = rng.choice(places)
        try:
            match rng.randrange(6):
                case 0:
                    del holder[key]
                case 1 if isinstance(holder, dict):
                    holder[rng.choice(("", "é", "x" * 5000, "\ud800"))] = holder[key]
                case _:
                    holder[key] = rng.choice(ODD_VALUES)
        except (KeyError, IndexError):
            continue  # gone with the value before
    return json.dumps(document, ensure_ascii=rng.random() < 0.5).encode(errors="surrogatepass")


def onnx_golden(rng: random.Random, data: bytes) -> bytes:
    """The golden frames of a model file changed, in a file that is sound."""
    model = _onnx_model(data)
    for entry in model.metadata_props:
        if entry.key == "andon.golden":
            try:
                packed = base64.b64decode(entry.value)
            except ValueError:
                packed = b""
            entry.value = base64.b64encode(rng.choice(PLAIN)(rng, packed)).decode()
    changed: bytes = model.SerializeToString()
    return changed


def onnx_node(rng: random.Random, data: bytes) -> bytes:
    """Another operator, domain, or size of a tensor in a model file."""
    model = _onnx_model(data)
    node, tensor = rng.choice(model.graph.node), rng.choice(model.graph.initializer)
    match rng.randrange(4):
        case 0:
            node.op_type = rng.choice(("If", "Loop", "Scan", "Add", "", "x" * 5000, "a\nb"))
        case 1:
            node.domain = rng.choice(("com.microsoft", "ai.onnx", "x" * 5000))
        case 2:
            tensor.dims.append(rng.choice(NUMBERS))
        case _:
            tensor.external_data.add(key="location", value="/etc/passwd")
    changed: bytes = model.SerializeToString()
    return changed


def _onnx_model(data: bytes) -> onnx.ModelProto:
    try:
        return onnx.load_from_string(data)
    except Exception as error:  # protobuf's are no ValueError
        raise ValueError from error
