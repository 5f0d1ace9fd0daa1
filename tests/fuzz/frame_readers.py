"""The readers of what comes with frames: manifests, recordings, evidence packages, archives, verdicts."""

import base64
import hashlib
import io
import json
import os
import random
import struct
import tempfile
import zipfile
import zlib
from pathlib import Path

import numpy as np
import zstandard
from andon_monitor.common.times import rfc3339
from andon_monitor.errors import AndonError
from andon_monitor.formats.evidence_package import ABOUT, read_verdict, unpack
from andon_monitor.formats.latent_archive import MAGIC, Archive
from andon_monitor.formats.mcap_layout import FRAMES, IMAGE
from andon_monitor.formats.part_record import read_part_record
from andon_monitor.inspection.frames import Frame
from andon_monitor.inspection.inspector import Inspector, Rules
from andon_monitor.model.file import Model
from andon_monitor.parts.joiner import Joiner
from andon_monitor.parts.views import View, read_view
from andon_monitor.review.pictures import thumbnail
from andon_monitor.sources.base import Source
from andon_monitor.sources.uri import open_source
from foxglove_schemas_protobuf.CompressedImage_pb2 import CompressedImage
from mcap.writer import CompressionType, Writer

from tests.fixtures.evidence_packages import about, changed, packed
from tests.fixtures.mcap_recordings import IMAGES
from tests.fixtures.part_views import RULES, make_view
from tests.fixtures.small_model import build_model
from tests.fuzz.mutation import PLAIN, json_value
from tests.fuzz.reader import Reader

FACTS = {"camera": "c", "captured_at": 1.5, "cluster": "k", "topic": "t", "partition": 0, "offset": 7, "headers": [],
         "key": "AA==", "label": "good", "file": "a.png"}  # fmt: skip
LINE = {"file": "a.png", "camera": "c", "captured_at": "2026-01-05T06:00:00.000Z", "label": "good"}
HEADER = {"model": "m", "weights_sha256": "0", "grain": 1.0, "steps": base64.b64encode(b"\0\0\x80?" * 2).decode()}


def _model() -> Model:
    return Model.from_bytes(build_model(), "fuzz.onnx", "cpu")


def _read_all(source: Source, inspector: Inspector) -> None:
    """As a run does: each frame gets a verdict that can be written."""
    frames: list[Frame] = []
    while (some := source.poll(64, 0)) is not None:
        frames += some
    for frame in frames:
        rfc3339(frame.captured_at)
    for verdict in inspector.inspect([inspector.prepare(frame) for frame in frames[:8]]):
        verdict.to_json().encode()
    source.close()


def _folder() -> Path:
    return Path(tempfile.mkdtemp(prefix=f"fuzz-{os.getpid()}-"))


def manifests() -> Reader:
    """Manifests of folders."""
    folder, inspector = _folder(), Inspector(_model(), Rules(alias="m"))
    (folder / "a.png").write_bytes(IMAGES[0])

    def read(data: bytes) -> None:
        (folder / "manifest.jsonl").write_bytes(data)
        _read_all(open_source(str(folder)), inspector)

    return Reader("manifests", read, (AndonError,), ((json.dumps(LINE).encode(), (*PLAIN, *(json_value,) * 10)),))


def recordings() -> Reader:
    """MCAP files: raw bytes changed, and sound files of odd facts and images."""
    folder, inspector = _folder(), Inspector(_model(), Rules(alias="m"))
    path = folder / "a.mcap"

    def written(facts: bytes, foreign: bytes, compression: CompressionType = CompressionType.ZSTD) -> bytes:
        with path.open("wb") as file:
            writer = Writer(file, compression=compression)
            writer.start()
            text = writer.register_channel(FRAMES, "json", 0)
            ours = writer.register_channel("/cameras/c", "protobuf", writer.register_schema(IMAGE, "protobuf", b""))
            other = writer.register_channel("/cam", "json", writer.register_schema(IMAGE, "jsonschema", b""))
            writer.add_message(text, 1, facts, 1, 1)
            writer.add_message(ours, 1, CompressedImage(data=IMAGES[0]).SerializeToString(), 1, 1)
            writer.add_message(other, 2, foreign, 2, 2)
            writer.finish()
        return path.read_bytes()

    facts = json.dumps(FACTS).encode()
    foreign = json.dumps({"timestamp": {"sec": 1, "nsec": 2}, "data": base64.b64encode(IMAGES[1]).decode()}).encode()

    def odd(rng: random.Random, data: bytes) -> bytes:
        return written(json_value(rng, facts), json_value(rng, foreign))

    def read(data: bytes) -> None:
        path.write_bytes(data)
        _read_all(open_source(str(path)), inspector)

    kinds = (CompressionType.NONE, CompressionType.ZSTD, CompressionType.LZ4)
    seeds = tuple((written(facts, foreign, kind), (*PLAIN, *(odd,) * 3)) for kind in kinds)
    return Reader("recordings", read, (AndonError,), seeds)


def packages() -> Reader:
    """Evidence packages, up to the thumbnail that a page shows."""
    whole = packed(_model())

    def odd(rng: random.Random, data: bytes) -> bytes:
        with zipfile.ZipFile(io.BytesIO(whole)) as archive:
            return changed(whole, evidence__json=json_value(rng, archive.read(ABOUT)))

    def read(data: bytes) -> None:
        thumbnail(unpack(data))

    attacks = (about(whole, input__height=60_000, input__width=60_000), about(whole, input__region=[0, 0, 0, 0]))
    return Reader("packages", read, (AndonError,), ((whole, (*PLAIN, *(odd,) * 5)),), attacks)


def archives() -> Reader:
    """Archives of latent vectors whose checksums are right."""
    path = _folder() / "a.andon"

    def made(header: bytes, content: bytes) -> bytes:
        chunk = zstandard.ZstdCompressor(level=1).compress(content)
        body = MAGIC + struct.pack("<I", len(header)) + header
        body += struct.pack("<II", len(chunk), zlib.crc32(chunk)) + chunk + bytes(4)
        return body + hashlib.sha256(body).digest()

    header, names = json.dumps(HEADER).encode(), b'["x", "y"]'
    content = struct.pack("<I", len(names)) + names + bytes(16)

    def odd(rng: random.Random, data: bytes) -> bytes:
        mutation = rng.choice(PLAIN)
        odd_header = json_value(rng, header) if rng.random() < 0.5 else header
        return made(odd_header, mutation(rng, content) if rng.random() < 0.7 else content)

    def read(data: bytes) -> None:
        path.write_bytes(data)
        for _, latents in Archive(path):
            assert latents.dtype == np.float32

    bomb = made(header, struct.pack("<I", len(names)) + names + bytes(500_000_000))
    return Reader("archives", read, (AndonError,), ((made(header, content), (*PLAIN, *(odd,) * 8)),), (bomb,))


def views() -> Reader:
    """Verdicts of a topic, as the views of parts are read."""
    verdict = make_view(product="cover").to_dict() | {"part": {"id": "4711", "view": "top", "product": "cover"}}

    def read(data: bytes) -> None:
        view = read_view(data, 0)
        if view is not None:
            assert view.part.isprintable()
            View.from_state(view.part, json.loads(json.dumps(view.to_state()).encode()))
            f"{view.name}{view.camera}{view.product}".encode()

    return Reader("views", read, (ValueError,), ((json.dumps(verdict).encode(), (*PLAIN, *(json_value,) * 10)),))


def parts() -> Reader:
    """Verdicts of parts in a topic, as the review page reads them."""
    joiner = Joiner(RULES)
    seeds = [v.to_json().encode() for name in ("top", "left") for v in joiner.add(make_view(name=name))[1]]

    def read(data: bytes) -> None:
        rfc3339(read_part_record(data).ended_at)

    return Reader("parts", read, (AndonError,), tuple((seed, (*PLAIN, *(json_value,) * 10)) for seed in seeds))


def verdicts() -> Reader:
    """Verdicts of a topic, as the review page reads them."""
    verdict = {
        "id": "0" * 32, "camera": "c", "captured_at": "2026-01-05T06:00:00.000Z", "verdict": "good", "score": 1.0,
        "threshold": 2.0, "p_value": 0.5, "model": {"alias": "m", "sha256": "0" * 64},
        "frame": {"topic": "t", "partition": 0, "offset": 7, "file": "a.png"},
    }  # fmt: skip
    return Reader(
        "verdicts", read_verdict, (AndonError,), ((json.dumps(verdict).encode(), (*PLAIN, *(json_value,) * 10)),)
    )
