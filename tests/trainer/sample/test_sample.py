"""The sample part: its files, its repeatability, and that every mask tells the truth."""

import json
from collections import Counter
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from andon_monitor.errors import UsageError
from andon_trainer.sample.defects import KINDS
from andon_trainer.sample.photo import Photo, photograph
from andon_trainer.sample.products import FACES, Face
from andon_trainer.sample.render import (
    ALL_KINDS_MIN_PARTS,
    STREAM_START,
    SampleSummary,
    plan_line,
    plan_stream,
    write_line,
    write_sample,
)

SMALL = {"train": 2, "test_good": 1, "test_defects": 1, "stream": 3}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SampleSummary]:
    out = tmp_path_factory.mktemp("sample") / "part"
    return out, write_sample(out, seed=5, **SMALL)


def test_the_layout_is_that_of_mvtec_ad_with_a_stream(sample: tuple[Path, SampleSummary]) -> None:
    out, summary = sample
    expected = {"train/good/000.jpg", "train/good/001.jpg", "test/good/000.jpg", "stream/manifest.jsonl"}
    expected |= {f"test/{kind}/000.jpg" for kind in KINDS}
    expected |= {f"ground_truth/{kind}/000_mask.png" for kind in KINDS}
    expected |= {f"stream/frames/{index:06d}.jpg" for index in range(3)}
    assert set(contents(out)) == expected
    assert summary == SampleSummary(2, 1, 1, tuple(KINDS), 3, 0)
    assert len(KINDS) >= 7


def test_pictures_are_grey_jpegs_and_no_two_are_of_the_same_part(sample: tuple[Path, SampleSummary]) -> None:
    files = sorted(sample[0].rglob("*.jpg"))
    pictures = [cv2.imread(str(file), cv2.IMREAD_UNCHANGED) for file in files]
    assert {picture.shape for picture in pictures} == {(384, 384)}
    for index, one in enumerate(pictures):
        for other in pictures[index + 1 :]:
            assert cv2.absdiff(one, other).mean() > 1


def test_masks_on_disk_are_those_of_their_pictures(sample: tuple[Path, SampleSummary]) -> None:
    for number, kind in enumerate(KINDS):
        mask = cv2.imread(str(sample[0] / "ground_truth" / kind / "000_mask.png"), cv2.IMREAD_UNCHANGED)
        assert mask.dtype == np.uint8
        np.testing.assert_array_equal(mask, photograph((5, 2, number, 0), kind).mask)


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(
    sample: tuple[Path, SampleSummary], tmp_path: Path
) -> None:
    write_sample(tmp_path / "again", seed=5, **SMALL)
    write_sample(tmp_path / "other", seed=6, **SMALL)
    first, again, other = (contents(folder) for folder in (sample[0], tmp_path / "again", tmp_path / "other"))
    assert again == first
    assert other.keys() == first.keys()
    assert not [name for name in first if name.endswith(".jpg") and other[name] == first[name]]


def spoiled_and_good(kind: str, index: int, face: Face) -> tuple[Photo, Photo]:
    return photograph((11, index), kind, face), photograph((11, index), None, face)


@pytest.mark.parametrize("kind", KINDS)
def test_a_defect_shows_inside_its_mask_and_nowhere_else(kind: str) -> None:
    for index in range(4):
        spoiled, good = spoiled_and_good(kind, index, FACES[index % len(FACES)])
        assert spoiled.mask.shape == spoiled.image.shape == (384, 384)
        assert set(np.unique(spoiled.mask)) == {0, 255}
        inside = spoiled.mask == 255
        assert 10 <= inside.sum() < 0.1 * inside.size
        change = cv2.absdiff(spoiled.image, good.image)
        assert np.percentile(change[inside], 75) >= 8
        # The lens blurs the defect's rim over a neighbouring pixel or two.
        around = cv2.dilate(spoiled.mask, np.ones((5, 5), np.uint8)) == 255
        assert change[~around].max() == 0
        assert change[~inside].mean() < 0.05 * change[inside].mean()


@pytest.mark.parametrize("kind", KINDS)
def test_defects_of_a_kind_range_from_faint_to_plain(kind: str) -> None:
    total = []
    for index in range(8):
        spoiled, good = spoiled_and_good(kind, index, FACES[0])
        total.append(int(cv2.absdiff(spoiled.image, good.image)[spoiled.mask == 255].sum(dtype=np.int64)))
    assert max(total) > 2 * min(total)


def test_a_good_part_has_an_empty_mask_and_a_metal_look() -> None:
    photo = photograph((1, 2))
    assert not photo.mask.any()
    belt, metal = photo.image[:30], photo.image[110:130, 80:110]
    assert 20 < belt.mean() < 80
    assert 100 < metal.mean() < 230


def test_the_manifest_names_every_frame_in_the_order_of_capture(sample: tuple[Path, SampleSummary]) -> None:
    stream = sample[0] / "stream"
    lines = [json.loads(line) for line in (stream / "manifest.jsonl").read_text().splitlines()]
    assert [line["file"] for line in lines] == [f"frames/{index:06d}.jpg" for index in range(3)]
    assert all((stream / line["file"]).is_file() for line in lines)
    assert {line["camera"] for line in lines} == {"station-1"}
    assert {line["label"] for line in lines} <= {"good", *KINDS}
    assert all(line["captured_at"].endswith("Z") and len(line["captured_at"]) == 24 for line in lines)
    times = [datetime.fromisoformat(line["captured_at"]) for line in lines]
    assert times == sorted(set(times))
    assert abs(times[0] - STREAM_START) < timedelta(seconds=0.2)


@pytest.mark.parametrize(
    ("count", "defects"), [(0, 0), (10, 0), (100, 2), (ALL_KINDS_MIN_PARTS, len(KINDS)), (600, 12), (5000, 100)]
)
def test_about_two_per_cent_of_the_stream_are_defects(count: int, defects: int) -> None:
    parts = plan_stream(3, count)
    labels = [part.label for part in parts if part.label != "good"]
    assert len(parts) == count
    assert len(labels) == defects
    assert set(labels) <= set(KINDS)
    if count >= ALL_KINDS_MIN_PARTS:
        assert set(labels) == set(KINDS)


def test_the_takt_is_half_a_second_with_some_jitter() -> None:
    times = [part.captured_at for part in plan_stream(3, 600)]
    gaps = np.array([(after - before).total_seconds() for before, after in pairwise(times)])
    assert gaps.min() > 0
    assert gaps.mean() == pytest.approx(0.5, abs=0.01)
    assert 0.005 < gaps.std() < 0.1


def test_the_stream_shows_the_defects_it_was_dealt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("andon_trainer.sample.render.DEFECT_SHARE", 0.5)
    summary = write_sample(tmp_path / "out", seed=2, train=0, test_good=0, test_defects=0, stream=4)
    lines = [json.loads(line) for line in (tmp_path / "out/stream/manifest.jsonl").read_text().splitlines()]
    assert summary.stream_defects == sum(line["label"] != "good" for line in lines) == 2
    for index, line in enumerate(lines):
        frame = cv2.imread(str(tmp_path / "out/stream" / line["file"]), cv2.IMREAD_UNCHANGED)
        kind = None if line["label"] == "good" else line["label"]
        expected = photograph((2, 3, index), kind)
        # JPEG moves single pixels, never the mean of a defect.
        assert cv2.absdiff(frame, expected.image).mean() < 3
        if kind is not None:
            inside = expected.mask == 255
            clean = photograph((2, 3, index)).image
            off = np.abs(frame[inside].astype(float) - expected.image[inside]).mean()
            assert off < np.abs(frame[inside].astype(float) - clean[inside]).mean()


def test_a_folder_with_something_in_it_is_refused_and_left_alone(tmp_path: Path) -> None:
    out = tmp_path / "mine"
    out.mkdir()
    (out / "notes.txt").write_text("keep")
    with pytest.raises(UsageError, match="mine: exists already; give a new folder"):
        write_sample(out, **SMALL)
    assert contents(tmp_path) == {"mine/notes.txt": b"keep"}


def test_a_file_in_the_way_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("keep")
    with pytest.raises(UsageError, match="exists already"):
        write_sample(tmp_path / "mine", **SMALL)
    assert contents(tmp_path) == {"mine": b"keep"}


def test_an_empty_folder_and_missing_parents_are_welcome(tmp_path: Path) -> None:
    few = {"train": 1, "test_good": 0, "test_defects": 0, "stream": 0}
    (tmp_path / "empty").mkdir()
    for out in (tmp_path / "empty", tmp_path / "a" / "b"):
        write_sample(out, **few)
        assert (out / "train/good/000.jpg").is_file()
    # A temporary folder is its owner's alone; the sample is as open as any other new folder.
    assert (tmp_path / "a" / "b").stat().st_mode == (tmp_path / "a").stat().st_mode


@pytest.mark.parametrize("name", ["seed", "train", "test_good", "test_defects", "stream"])
def test_a_negative_number_is_refused_by_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=f"{name}: -1"):
        write_sample(tmp_path / "out", **{**SMALL, name: -1})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("stage", ["train/good", "test/dent", "stream"])
def test_a_failure_half_way_leaves_nothing_behind(tmp_path: Path, stage: str) -> None:
    def progress(what: str, share: float) -> None:
        if what == stage:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_sample(tmp_path / "out", progress=progress, **SMALL)
    assert not list(tmp_path.iterdir())


def test_progress_counts_every_picture_once(tmp_path: Path) -> None:
    calls: list[tuple[str, float]] = []
    write_sample(tmp_path / "out", progress=lambda *call: calls.append(call), **SMALL)
    expected = [("train/good", 1 / 2), ("train/good", 1.0), ("test/good", 1.0)]
    expected += [(f"test/{kind}", 1.0) for kind in KINDS]
    assert calls == expected + [("stream", index / 3) for index in (1, 2, 3)]


def test_a_line_changes_from_plates_seen_twice_to_covers_seen_once(tmp_path: Path) -> None:
    summary = write_line(tmp_path / "line", seed=5, train=1, stream=12)
    assert (summary.stream, summary.parts) == (12, 8)
    assert summary.faces == ("plate-top", "plate-bottom", "cover-top")
    for face in summary.faces:
        assert [file.name for file in (tmp_path / "line" / face / "train/good").iterdir()] == ["000.jpg"]
    lines = [json.loads(line) for line in (tmp_path / "line/stream/manifest.jsonl").read_text().splitlines()]
    shown = [(line["part"]["product"], line["camera"]) for line in lines]
    assert shown == 4 * [("plate", "top"), ("plate", "bottom")] + 4 * [("cover", "top")]
    serials = [line["part"]["id"] for line in lines]
    assert serials[:4] == ["plate-00001", "plate-00001", "plate-00002", "plate-00002"]
    assert serials[-1] == "cover-00004"
    times = [datetime.fromisoformat(line["captured_at"]) for line in lines]
    assert times == sorted(set(times))
    assert max(after - before for before, after in pairwise(times)) == times[8] - times[7] > timedelta(seconds=15)


def test_a_defective_part_of_a_line_is_defective_in_one_view() -> None:
    frames = plan_line(3, 3000)
    assert len(frames) == 3000
    views = Counter(frame.part["id"] for frame in frames if frame.part and frame.label != "good")
    assert set(views.values()) == {1}
    assert {frame.label for frame in frames} == {"good", *KINDS}
    assert {frame.camera for frame in frames if frame.label != "good"} == {"top", "bottom"}
