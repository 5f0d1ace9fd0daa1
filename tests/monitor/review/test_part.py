"""A frame is found by its part and product; the page shows the part and where the defect is."""

import json
from pathlib import Path
from urllib.parse import urlencode

import cv2
import numpy as np
from andon_monitor.formats.evidence_package import unpack
from andon_monitor.inspection.inspector import Rules
from andon_monitor.inspection.part import Part
from andon_monitor.model.file import Model
from andon_monitor.review.export import export
from andon_monitor.review.labels import add_label
from andon_monitor.review.pictures import draw as draw_picture
from andon_monitor.review.store import Store
from andon_monitor.review.store.rows import FrameQuery

from tests.fixtures.review_line import fill, inspect, known
from tests.fixtures.review_page import Client, serving
from tests.fixtures.small_model import draw, encode, make_frame

HOSTILE = "<b>'%\"&"


def line(model: Model, folder: Path) -> Store:
    """Defects of parts 0 to 5, of two products; the last one's names mean harm."""
    frames = [
        make_frame(encode(draw(i, defect=True)), i, part=Part(str(4710 + i), ("cover", "base")[i % 2]))
        for i in range(5)
    ]
    frames.append(make_frame(encode(draw(9, defect=True)), 9, part=Part(HOSTILE, HOSTILE, other=(("note", HOSTILE),))))
    return fill(folder, inspect(model, frames, Rules(scales={"station-1": 0.5})))


def test_a_part_is_searched_shown_and_exported(model: Model, tmp_path: Path) -> None:
    store = line(model, tmp_path / "store")
    (frame,) = store.frames.find(FrameQuery(part="4711"))
    assert frame.identity == {"id": "4711", "product": "base"}
    assert len(store.frames.find(FrameQuery(product="cover"))) == 3
    assert store.frames.products() == [HOSTILE, "base", "cover"]
    with serving(store) as url:
        client = Client(url)
        status, page = client.get("/defects?part=4711")
        assert (status, page.count('class="tile"')) == (200, 1)
        assert "station-1, part 4711" in page
        status, page = client.get(f"/frames/{frame.id}")
        assert "part=4711" in page
        assert "product=base" in page
        assert " mm²" in page
        (hostile,) = store.frames.find(FrameQuery(part=HOSTILE))
        for path in (f"/frames/{hostile.id}", "/defects?" + urlencode({"part": HOSTILE, "product": HOSTILE})):
            status, page = client.get(path)
            assert status == 200
            assert HOSTILE not in page
            assert "&lt;b&gt;" in page
        status, _, headers = client.ask(f"/frames/{frame.id}/regions")
        assert (status, headers["content-type"]) == (200, "image/png")
    add_label(store, frame.id, "confirmed", "dent", "ann")
    export(store.folder, tmp_path / "out")
    (row,) = map(json.loads, (tmp_path / "out" / "labels.jsonl").read_text().splitlines())
    assert row["part"] == {"id": "4711", "product": "base"}


def test_the_outline_is_drawn_around_the_defect(model: Model, tmp_path: Path) -> None:
    store = line(model, tmp_path / "store")
    (frame,) = store.frames.find(FrameQuery(part="4711"))
    package = store.package(frame.id)
    assert package is not None
    content, _ = draw_picture(unpack(package), "regions")
    drawn = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    picture, _ = draw_picture(unpack(package), "frame")
    assert drawn.shape[:2] == cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_UNCHANGED).shape[:2]
    rows, columns = np.nonzero(drawn[:, :, 3])
    first = known(store, frame.id).where[0]["box"]
    assert abs(first[0] - 16) <= 4
    assert columns.min() <= first[0] + 2
    assert rows.max() >= first[1] + first[3] - 2
