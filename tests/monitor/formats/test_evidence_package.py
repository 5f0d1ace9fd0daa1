"""A package of evidence is read as it was packed; anything else is refused in one line."""

import io
import zipfile
from typing import Any

import numpy as np
import pytest
from andon_monitor.errors import EvidenceError
from andon_monitor.formats.evidence_package import ABOUT, FRAME, MAP, RECONSTRUCTION, read_verdict, unpack
from andon_monitor.inspection.inspector import Inspector
from andon_monitor.model.file import Model

from tests.fixtures.evidence_packages import about, changed, packed
from tests.fixtures.small_model import SIDE, draw, encode, make_frame


def test_it_comes_back_as_it_was_packed(model: Model) -> None:
    evidence = unpack(packed(model))
    prepared = Inspector(model).prepare(make_frame(encode(draw(1, defect=True))))
    assert prepared.pixels is not None
    said = model.explain(prepared.pixels[np.newaxis])
    assert evidence.about.kind == "defect"
    assert evidence.verdict.verdict == "defect"
    assert evidence.verdict.score == pytest.approx(float(said.score[0]))
    assert evidence.verdict.frame.offset == 0
    assert evidence.frame == prepared.frame.data
    np.testing.assert_array_equal(evidence.anomaly_map, said.anomaly_map[0])
    np.testing.assert_array_equal(evidence.reconstruction, said.reconstruction[0])
    assert packed(model) == packed(model)


def test_any_zip_reader_can_use_it(model: Model) -> None:
    with zipfile.ZipFile(io.BytesIO(packed(model))) as archive:
        assert archive.namelist() == [ABOUT, FRAME, MAP, RECONSTRUCTION]
        assert archive.testzip() is None
        assert len(archive.read(MAP)) == 4 * SIDE * SIDE


def recompressed(data: bytes, method: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(buffer, "w", method) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    return buffer.getvalue()


def damaged_deflate(data: bytes) -> bytes:
    content = bytearray(recompressed(data, zipfile.ZIP_DEFLATED))
    start = 30 + len(ABOUT)
    content[start : start + 40] = b"\xff" * 40
    return bytes(content)


@pytest.mark.parametrize("name", ["../../../etc/passwd", "3F" * 16, "3f" * 15, "3f" * 16 + "\n", "/" * 32, ""])
def test_an_id_that_is_not_ours_is_refused(model: Model, name: str) -> None:
    with pytest.raises(EvidenceError, match=r"verdict\.id"):
        unpack(about(packed(model), verdict__id=name))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda data: b"", "not a package"),
        (lambda data: data[:-40], "not a package"),
        (lambda data: b"PK\x03\x04" + bytes(200), "not a package"),
        (lambda data: changed(data, frame=None), "not a package"),
        (lambda data: changed(data, evidence__json=b"{}"), "kind"),
        (lambda data: changed(data, evidence__json=b"[" * 30_000), "JSON"),
        (lambda data: changed(data, evidence__json=b" " * 1_000_000), "more than 65536 bytes"),
        (lambda data: changed(data, anomaly_map__f32=bytes(4)), "anomaly map of 4 bytes"),
        (lambda data: changed(data, anomaly_map__f32=bytes(50_000_000)), "more than 4096 bytes"),
        (lambda data: changed(data, anomaly_map__f32=b"\xff" * 4 * SIDE * SIDE), "NaN or infinite"),
        (lambda data: changed(data, reconstruction__png=b"<svg onload=alert(1)>"), "reconstruction.png"),
        (lambda data: changed(data, reconstruction__png=encode(np.zeros((4000, 4000), np.uint8))), "pixels"),
        (lambda data: about(data, anomaly_map=[10**9, 10**9]), "anomaly_map"),
        (lambda data: about(data, kind="worse"), "kind"),
        (lambda data: about(data, verdict__score=None), "without a score"),
        (lambda data: about(data, verdict__score="NaN"), "verdict.score"),
        (lambda data: about(data, verdict__camera="x" * 5000), "verdict.camera"),
        (lambda data: about(data, verdict__captured_at="never"), "verdict.captured_at"),
        (lambda data: about(data, verdict__captured_at=1e300), "verdict.captured_at"),
        (lambda data: about(data, verdict__captured_at="10000-01-01"), "verdict.captured_at"),
        (lambda data: about(data, input__height=60_000, input__width=60_000), "input: .*60000 x 60000 pixels"),
        (lambda data: about(data, input__height=SIDE * 2), "not the model's input"),
        (lambda data: about(data, input__region=[0, 0, 0, 0]), "input"),
        (lambda data: about(data, input__region=[-5, 0, 10, 10]), "input"),
        (lambda data: about(data, input__frame_size=[0, 10**9]), "input"),
        (lambda data: about(data, input__black_level=300, input__white_level=200), "input"),
        (lambda data: changed(data, **{f"m{i}": b"" for i in range(100)}), "more than 64 members"),
        (lambda data: recompressed(data, zipfile.ZIP_BZIP2), "compressed in another way"),
        (lambda data: recompressed(data, zipfile.ZIP_LZMA), "compressed in another way"),
        (lambda data: damaged_deflate(data), "not a package"),
    ],
)
def test_what_is_no_evidence_is_refused_in_one_line(model: Model, change: Any, said: str) -> None:
    with pytest.raises(EvidenceError, match=said) as raised:
        unpack(change(packed(model)))
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 300


def test_a_verdict_that_is_none_is_refused() -> None:
    for value in (b"", b"[]", b"null", b"\xff\xfe", b'{"id": "x"}', b"[" * 100_000):
        with pytest.raises(EvidenceError, match="a verdict"):
            read_verdict(value)
