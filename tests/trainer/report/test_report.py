"""The report: whole, self-contained, safe with hostile names, plain about its limits, and seen by a browser."""

import os
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from andon_monitor.errors import AndonError, UsageError
from andon_monitor.model.calibration import calibrate
from andon_monitor.model.file import Model
from andon_monitor.model.heatmap import heatmap
from andon_monitor.model.imaging import Pixels, load
from andon_trainer.architecture import Architecture
from andon_trainer.data.audit import Audit, audit
from andon_trainer.data.batches import Batch, Batches
from andon_trainer.data.dataset import open_dataset
from andon_trainer.data.images import load_images
from andon_trainer.data.near_duplicates import group_near_duplicates
from andon_trainer.data.splits import split
from andon_trainer.evaluation import Evaluation, Judged, evaluate, measure
from andon_trainer.network.conv_dense import Autoencoder
from andon_trainer.report.advice import explain_threshold, remarks, warnings
from andon_trainer.report.page import write_report
from andon_trainer.report.words import duration, percent
from andon_trainer.training.schedule import EvaluationStep, TrainedNetwork

from tests.fixtures.browser import find_browser
from tests.fixtures.components import skip_or_fail
from tests.fixtures.small_model import FRAME, SPEC, build_model, draw, encode

HOSTILE_KIND = "<img src=x onerror=alert(1)>"
HOSTILE_FILE = '"><svg onload=alert(2)>&lt;.png'
VOID = {"meta", "link", "img", "br", "hr", "input"}
SECTIONS = ["headline", "kinds", "scores", "gallery", "learned", "data", "card"]


class Page(HTMLParser):
    """What a parser sees of a page: elements with their attributes, text, and whether elements nest."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.open: list[str] = []
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> at {self.getpos()}"

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text += data

    @property
    def ids(self) -> list[str]:
        return [attrs["id"] for tag, attrs in self.elements if tag in ("section", "div") and attrs.get("id")]  # type: ignore[misc]

    def pictures(self) -> list[str]:
        return [attrs["src"] or "" for tag, attrs in self.elements if tag == "img"]


@pytest.fixture(scope="module")
def model() -> Model:
    return Model.from_bytes(build_model(), "test.onnx", provider="cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Good parts, one of them too dark; holes that are found; specks that are missed; names that want to be HTML."""
    root = tmp_path_factory.mktemp("part")
    for kind, count, side in (("good", 6, 0), (HOSTILE_KIND, 5, 40), ("speck", 4, 3)):
        (root / "test" / kind).mkdir(parents=True)
        (root / "ground_truth" / kind).mkdir(parents=True)
        for i in range(count):
            image, mask = draw(i), np.zeros((FRAME, FRAME), np.uint8)
            mask[10 : 10 + side, 10 : 10 + side] = 255
            image[mask > 0] = 0
            (root / "test" / kind / f"{i}.png").write_bytes(encode(image))
            if side:
                (root / "ground_truth" / kind / f"{i}_mask.png").write_bytes(encode(mask))
    (root / "test" / "good" / "dark.png").write_bytes(encode(draw(50) // 2))
    (root / "test" / HOSTILE_KIND / HOSTILE_FILE).write_bytes(encode(draw(9) // 3))
    return root


@pytest.fixture(scope="module")
def evaluation(model: Model, folder: Path) -> Evaluation:
    return evaluate(model, open_dataset(folder).test)


@pytest.fixture(scope="module")
def fitted() -> TrainedNetwork:
    steps = [EvaluationStep(10 * i, 2.0 * i, 2 / i, 2.2 / i + 0.01 * i, 1 / i, 3e-3 / i) for i in range(1, 25)]
    return TrainedNetwork(
        Autoencoder(Architecture(64, 64, 1)), steps, (steps[20],), iterations=240, seconds=48.0, ended="early"
    )


@pytest.fixture(scope="module")
def good_frames() -> Pixels:
    return np.stack([load(encode(draw(100 + i)), SPEC) for i in range(20)])


@pytest.fixture(scope="module")
def audited(model: Model, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Audit:
    """Of twenty good parts, two photographed twice, and a dark one whose name wants to be HTML."""
    root = tmp_path_factory.mktemp("learned")
    images = [draw(200 + i) for i in range(20)]
    for i, image in enumerate([*images, images[3], images[7]]):
        (root / f"{i}.png").write_bytes(encode(image))
    (root / HOSTILE_FILE).write_bytes(encode(draw(222) // 3))
    samples = open_dataset(root).train
    tested = [sample for sample in open_dataset(folder).test if sample.label == "good"]
    frames = load_images(samples, SPEC)
    parts = split(group_near_duplicates(frames), seed=0)
    poses = np.tile(np.float32([1, 0, 0, 0]), (len(frames), 1))
    poses[:, 1:] += np.random.default_rng(0).normal(0, 0.01, (len(frames), 3)).astype(np.float32)
    poses[4, 2] = 0.2  # far from the others
    found = audit(samples, frames, parts, model.score(frames), tested, load_images(tested, SPEC), poses)
    nights = tuple(Batch(f"good/{HOSTILE_KIND}{i}", 20, 1.0, i) for i in range(5))
    return replace(found, batches=Batches(nights, whole=True, total=5))


@pytest.fixture(scope="module")
def report(
    model: Model,
    fitted: TrainedNetwork,
    evaluation: Evaluation,
    audited: Audit,
    good_frames: Pixels,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    path = tmp_path_factory.mktemp("report") / "part.html"
    write_report(
        path,
        model=model,
        fitted=fitted,
        evaluation=evaluation,
        audit=audited,
        good_frames=good_frames,
        notes=["<b>lens</b> changed in May"],
    )
    return path


def test_it_has_every_section_and_its_elements_nest(report: Path) -> None:
    page = Page(report)
    assert page.open == []
    assert [name for name in page.ids if name in SECTIONS] == SECTIONS
    assert "learning" in page.ids
    assert "Kept: the network at iteration 210." in page.text
    plots = [attrs["aria-label"] for tag, attrs in page.elements if attrs.get("class") == "plot"]
    assert plots == [
        "Histogram of scores",
        "ROC curve",
        "Precision-recall curve",
        "Loss over iterations",
        "Histogram of brightness",
        "Histogram of sharpness",
        "Histogram of shift",
        "Histogram of turn",
    ]
    for text in (
        "Threshold",
        "Image AUROC",
        "Photographs of the same part",
        "Brightness",
        "Weights (sha256)",
        "Clopper-Pearson",
        "AU-PRO",
    ):
        assert text in page.text


def test_it_loads_nothing_from_elsewhere(report: Path) -> None:
    page = Page(report)
    assert "http://" not in page.source
    assert "https://" not in page.source
    assert "@import" not in page.source
    assert "url(" not in page.source.replace("url(#", "")
    for tag, attrs in page.elements:
        assert tag not in ("script", "iframe", "object", "embed")
        for name in ("src", "href", "xlink:href", "srcset", "action"):
            value = attrs.get(name)
            assert value is None or value.startswith(("data:", "#")), (tag, name, value)


def test_names_of_files_and_folders_are_shown_not_obeyed(report: Path) -> None:
    page = Page(report)
    assert HOSTILE_KIND in page.text
    assert HOSTILE_FILE in page.text
    assert "<b>lens</b> changed in May" in page.text
    assert not [name for _, attrs in page.elements for name in attrs if name.startswith("on")]


def test_the_gallery_shows_caught_missed_and_false_alarms_with_ratio_and_name(
    report: Path, model: Model, evaluation: Evaluation
) -> None:
    page = Page(report)
    tags = [attrs["class"] for tag, attrs in page.elements if tag == "span" and "tag" in (attrs.get("class") or "")]
    assert tags.count("tag passed") == 6
    assert tags.count("tag false alarm") == 1
    assert tags.count("tag caught") == 3
    assert tags.count("tag missed") == 3
    assert len(page.pictures()) == 3 * len(tags) + 4
    false_alarm = next(image for image in evaluation.images if image.path.name == "dark.png")
    assert "dark.png" in page.text
    assert f"{false_alarm.score / model.card.threshold:.2f} ×" in page.text


def test_it_shows_the_training_images(report: Path) -> None:
    page = Page(report)
    tags = [attrs["class"] for tag, attrs in page.elements if tag == "span" and "tag" in (attrs.get("class") or "")]
    assert [tag for tag in tags if tag in ("tag learned from", "tag held out")] in (
        ["tag learned from"],
        ["tag held out"],
    )
    assert "4 images in 2 groups show the same part or nearly so; 2 images are copies of others" in page.text
    assert "None of the 7 good test images shows the same part as a training image" in page.text
    assert "1 far from the others: " + HOSTILE_FILE in page.text
    assert (
        f"set flags most of good/{HOSTILE_KIND}4: 4 of 20 images. Of 10 new batches, 8 flag 20 % at most." in page.text
    )
    assert "4 (20 %)" in page.text


def test_the_same_model_gives_the_same_report(
    report: Path,
    model: Model,
    fitted: TrainedNetwork,
    evaluation: Evaluation,
    audited: Audit,
    good_frames: Pixels,
    tmp_path: Path,
) -> None:
    again = tmp_path / "again.html"
    write_report(
        again,
        model=model,
        fitted=fitted,
        evaluation=evaluation,
        audit=audited,
        good_frames=good_frames,
        notes=["<b>lens</b> changed in May"],
    )
    assert again.read_bytes() == report.read_bytes()


@pytest.mark.parametrize("kept", ["good", "speck", None])
def test_it_is_written_with_whatever_there_is(
    kept: str | None, model: Model, evaluation: Evaluation, tmp_path: Path
) -> None:
    images = [image for image in evaluation.images if image.label == kept]
    partly = measure(images, evaluation.threshold) if kept else None
    write_report(tmp_path / "part.html", model=model, evaluation=partly)
    page = Page(tmp_path / "part.html")
    assert "learning" not in page.ids
    assert ("kinds" in page.ids) == (kept is not None)
    assert "ROC" not in page.text.replace("AUROC", "")
    assert "nan" not in page.text.lower().split()
    if kept:
        assert "–" in page.text
        assert "undefined" in page.text


def test_without_a_fit_good_test_images_are_shown_by_name(
    model: Model, evaluation: Evaluation, good_frames: Pixels, tmp_path: Path
) -> None:
    write_report(tmp_path / "part.html", model=model, evaluation=evaluation, good_frames=good_frames)
    page = Page(tmp_path / "part.html")
    assert "Good test images that passed" in page.text
    assert "held-out image" not in page.text


def test_a_file_name_that_is_not_utf8_does_not_break_it(model: Model, tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"part-\xff.png")
    try:
        path.write_bytes(encode(draw(1)))
    except OSError:
        skip_or_fail("this file system takes UTF-8 names only")
    evaluation = measure([Judged(path, "good", 0.1, False)], threshold=1.0)
    write_report(tmp_path / "part.html", model=model, evaluation=evaluation)
    assert "part-?.png" in Page(tmp_path / "part.html").text


def test_where_it_cannot_be_written_there_is_one_line_and_nothing_else(model: Model, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(AndonError, match=r"part\.html: cannot be written") as raised:
        write_report(tmp_path / "file" / "part.html", model=model)
    assert "\n" not in str(raised.value)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_an_image_that_is_gone_leaves_the_report_before_it_as_it_was(model: Model, tmp_path: Path) -> None:
    path = tmp_path / "part.html"
    path.write_text("before")
    evaluation = measure([Judged(tmp_path / "gone.png", "speck", 0.1, False)], threshold=1.0)
    with pytest.raises(UsageError, match=r"gone\.png"):
        write_report(path, model=model, evaluation=evaluation)
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def card_with(model: Model, count: int = 2400, **training: Any) -> Any:
    scores = np.random.default_rng(0).normal(1, 0.2, count)
    plain = {"validation_is_calibration": False, "twin_groups": 0, "suspects": 0, "left_out": 0, "ended": "iterations"}
    return model.card.model_copy(
        update={
            "calibration": calibrate(scores, 0.001),
            "training": model.card.training.model_copy(update=plain | training),
        }
    )


@pytest.mark.parametrize(
    ("count", "training", "said"),
    [
        (2400, {}, None),
        (120, {}, "takes 1,999 held-out good images, and there are 120"),
        (2400, {"ended": "budget", "iterations": 1500}, "cut short by the time budget after 1,500 iterations"),
        (2400, {"ended": "interrupted", "iterations": 70}, "interrupted after 70 iterations"),
        (2400, {"validation_is_calibration": True}, "too few to hold some out twice"),
        (2400, {"suspects": 3}, "3 of the good images score far above all others. They may show defects"),
        (2400, {"left_out": 1}, "1 image of the good ones score so high"),
        (2400, {"tested_twins": 4}, "4 good test images show the same parts as images in the training folder."),
    ],
)
def test_it_warns_of_what_weakens_the_threshold(
    model: Model, count: int, training: dict[str, Any], said: str | None
) -> None:
    found = warnings(card_with(model, count, **training), None)
    assert len(found) == (said is not None)
    assert said is None or said in found[0]


@pytest.mark.parametrize(
    ("scores", "said"),
    [
        ({"good": [0.5] * 300}, None),
        ({"good": [0.5] * 300 + [9.0]}, None),  # one in 301 may be chance at a rate of 1 in 1,000
        ({"good": [0.5] * 300 + [9.0] * 5}, "5 of 305 good test images were called defects (1.64 %)"),
        ({"good": [0.5], "scratch": [9.0, 9.0], "stain": [9.0, 0.5, 0.5]}, "stain (1 of 3 found)"),
    ],
)
def test_it_warns_of_what_the_test_images_say(model: Model, scores: dict[str, list[float]], said: str | None) -> None:
    images = [Judged(Path(kind), kind, s, s > 2) for kind, values in scores.items() for s in values]
    found = warnings(card_with(model), measure(images, 2.0))
    assert len(found) == (said is not None)
    assert said is None or said in found[0]
    assert "scratch" not in "".join(found)


@pytest.mark.parametrize(
    ("networks", "common", "said"),
    [
        (1, 0, "8 flag 0.27 to 1.9 % of good parts."),
        (3, 0, "mean usually calls fewer good parts defects."),
        (3, 60, "by 60 images that none was trained on."),
    ],
)
def test_it_says_what_the_threshold_of_several_networks_promises(
    model: Model, networks: int, common: int, said: str
) -> None:
    training = model.card.training.model_copy(update={"networks": networks, "common_images": common})
    calibration = calibrate(np.linspace(0.5, 1.5, 200), 0.01)
    card = model.card.model_copy(update={"training": training, "calibration": calibration})
    assert explain_threshold(card).endswith(said)
    held_out = training.calibration_images if networks == 1 else common
    assert any(text.startswith(f"{training.images + held_out} images are too few") for text in warnings(card, None))


def test_images_of_the_same_part_and_an_early_end_are_remarks_not_warnings(model: Model) -> None:
    card = card_with(model, twin_groups=12, ended="early", iterations=150)
    assert warnings(card, None) == []
    assert [remark.split(".")[0] for remark in remarks(card)] == [
        "12 groups of images show the same part or nearly so",
        "Training stopped early after 150 iterations: it no longer improved",
    ]


@pytest.mark.parametrize(
    ("share", "text"),
    [(0, "0 %"), (0.001, "0.1 %"), (0.0005, "0.05 %"), (1 / 12, "8.33 %"), (0.99996, "> 99.9 %"), (1, "100 %")],
)
def test_shares_are_written_as_people_write_them(share: float, text: str) -> None:
    assert percent(share) == text


@pytest.mark.parametrize(("seconds", "text"), [(45.2, "45 s"), (560, "9 min 20 s"), (7500, "2 h 5 min")])
def test_durations_are_written_as_people_write_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize("channels", [1, 3])
def test_below_half_the_threshold_a_heatmap_is_the_frame_in_grey(channels: int) -> None:
    frame = np.random.default_rng(1).integers(0, 256, (8, 12, channels), dtype=np.uint8)
    shown = heatmap(frame, np.full((2, 3), 0.9, np.float32), threshold=2.0)
    grey = frame[:, :, 0] if channels == 1 else cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
    np.testing.assert_array_equal(shown, np.repeat(grey[:, :, None], 3, axis=2))


def test_from_the_threshold_on_a_heatmap_has_its_strongest_colour() -> None:
    frame = np.full((8, 8, 1), 100, np.uint8)
    at, above, half_way = (
        heatmap(frame, np.full((2, 2), value, np.float32), threshold=2.0)[4, 4] for value in (2.0, 50.0, 1.5)
    )
    np.testing.assert_array_equal(at, above)
    assert at[0] > 190
    assert at[1] < 30
    assert half_way.tolist() not in (at.tolist(), [100, 100, 100])


def test_a_heatmap_is_strong_where_its_map_is() -> None:
    anomaly_map = np.zeros((4, 4), np.float32)
    anomaly_map[0, 3] = 5
    redness = heatmap(np.full((32, 32, 1), 100, np.uint8), anomaly_map, 1.0)[:, :, 0].astype(int) - 100
    assert np.unravel_index(redness.argmax(), redness.shape)[0] < 8
    assert redness[:6, 26:].min() > 80
    assert redness[12:].max() == 0


def test_a_browser_shows_it_without_a_complaint(report: Path, tmp_path: Path) -> None:
    picture = tmp_path / "report.png"
    command = f"{find_browser()} --headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking"
    command += f" --disable-component-update --disable-sync --user-data-dir={tmp_path / 'profile'}"
    command += f" --enable-logging=stderr --hide-scrollbars --window-size=1280,5000 --screenshot={picture}"
    done = subprocess.run([*command.split(), report.as_uri()], capture_output=True, text=True, timeout=120, check=False)
    assert picture.exists(), done.stderr
    assert "CONSOLE" not in done.stderr, done.stderr  # a refused style or picture is reported there
    seen = cv2.cvtColor(cv2.imread(str(picture)), cv2.COLOR_BGR2RGB).reshape(-1, 3).astype(int)

    def area(colour: tuple[int, int, int]) -> int:
        return int((np.abs(seen - colour).max(axis=1) <= 12).sum())

    assert area((242, 162, 12)) > 5000  # the lamp's stripe: the style sheet is in force
    assert area((174, 0, 55)) > 2000  # the heatmaps of black holes: pictures are shown
    assert area((212, 72, 11)) > 500  # the defects' colour: so are the plots
