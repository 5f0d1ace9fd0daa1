"""Markup in names, tricks with paths, giant and broken images, ids that come again: none does harm."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import cv2
import numpy as np
import pytest
from andon_monitor.formats.evidence_package import unpack
from andon_monitor.model.file import Model
from andon_monitor.review.store import Store
from andon_monitor.review.store.rows import FrameQuery

from tests.fixtures.evidence_packages import about, changed, packed
from tests.fixtures.review_line import fill, frames, inspect
from tests.fixtures.review_page import Client, defect, serving
from tests.fixtures.small_model import encode

HOSTILE = "<img src=x onerror=alert(1)>\"'{{7*7}}"


@pytest.fixture
def hostile(model: Model, tmp_path: Path) -> Iterator[tuple[Store, str]]:
    """A store of frames whose sender means harm, and its page."""
    found = inspect(model, frames(5, camera=HOSTILE))
    verdicts = [replace(i, verdict=replace(i.verdict, model=HOSTILE, file="../../etc/passwd")) for i in found]
    store = fill(tmp_path / "store", verdicts)
    with serving(store) as url:
        yield store, url


def test_markup_in_names_is_shown_not_obeyed(hostile: tuple[Store, str]) -> None:
    store, url = hostile
    client = Client(url)
    for path in ("/", "/defects", "/model", f"/frames/{defect(store)}", f"/defects?{urlencode({'camera': HOSTILE})}"):
        status, page = client.get(path)
        assert status == 200
        assert "<img src=x" not in page
        assert "&lt;img src=x onerror=alert(1)&gt;" in page
        assert "{{7*7}}" in page


@pytest.mark.parametrize(
    "path",
    [
        "/frames/..%2f..%2freview.sqlite",
        "/frames/%2e%2e/frame",
        "/frames/../../../etc/passwd",
        "/static/../app.py",
        "/static/%2e%2e/app.py",
        "/static/..%2f..%2fstore.py",
        "/frames/" + "0" * 32 + "/thumbnail",
        "/frames/' OR 1=1 --/thumbnail".replace(" ", "%20"),
    ],
)
def test_tricks_with_paths_find_nothing(url: str, path: str) -> None:
    status, body, _ = Client(url).ask(path)
    assert status == 404
    assert b"SQLite" not in body
    assert b"root:" not in body
    assert b"import" not in body


@pytest.mark.parametrize(
    "query",
    [
        {"before": "x_y"},
        {"before": "1e999_1"},
        {"least": "nan"},
        {"since": "9" * 500},
        {"label": HOSTILE},
        {"defect": "'"},
    ],
)
def test_queries_without_sense_do_no_harm(url: str, query: dict[str, str]) -> None:
    assert Client(url).get(f"/defects?{urlencode(query)}")[0] == 200
    assert Client(url).get(f"/model?threshold=1e999&sha256={HOSTILE.replace(' ', '+').split('<')[0]}")[0] == 200


def giant() -> bytes:
    """A picture of 40,000 x 40,000 pixels that claims so in a few bytes."""
    data = bytearray(encode(np.zeros((8, 8), np.uint8)))
    data[16:24] = (40_000).to_bytes(4, "big") * 2
    return bytes(data)


@pytest.mark.parametrize("image", [giant(), b"<svg onload=alert(1)>", b"", b"\xff\xd8\xff" + bytes(50)])
def test_giant_and_broken_images_are_refused_and_the_rest_goes_on(model: Model, tmp_path: Path, image: bytes) -> None:
    good = packed(model)
    bad: list[Any] = [changed(about(good, verdict__id="b" * 32), frame=image)]
    store = Store(tmp_path / "store")
    refused = store.add([*bad, b"not a package", good])
    assert len(refused) == 2
    assert all("\n" not in line for line in refused)
    assert [frame.id for frame in store.frames.find(FrameQuery(kind="defect"))] == [unpack(good).verdict.id]


def test_pictures_are_drawn_anew(store: Store, url: str) -> None:
    """No byte that a camera sent reaches a browser: what is sent is a JPEG or PNG of our own."""
    frame = defect(store)
    package = store.package(frame)
    assert package is not None
    original = unpack(package).frame
    for name, kind in (("frame", "image/jpeg"), ("heat", "image/png"), ("reconstruction", "image/jpeg"),
                       ("difference", "image/jpeg"), ("thumbnail", "image/jpeg")):  # fmt: skip
        status, body, headers = Client(url).ask(f"/frames/{frame}/{name}")
        assert (status, headers["content-type"]) == (200, kind)
        assert body != original
        assert cv2.imdecode(np.frombuffer(body, np.uint8), cv2.IMREAD_UNCHANGED) is not None
    assert Client(url).get(f"/frames/{frame}/original")[0] == 404


def test_replayed_and_future_ids_do_no_harm(model: Model, store: Store) -> None:
    before = store.frames.count(FrameQuery(kind="defect"))
    shown = defect(store)
    kept = store.package(shown)
    forged = about(packed(model), verdict__id=shown, verdict__captured_at="9999-01-01T00:00:00Z")
    assert store.add([forged, forged]) == []
    assert store.frames.count(FrameQuery(kind="defect")) == before
    assert store.package(shown) == kept
