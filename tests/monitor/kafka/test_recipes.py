"""A line of many products: twelve cameras, nine models, two monitors; changeovers, a monitor killed, a bad file.

Three cameras see each part, and the verdicts of its views are joined.
"""

import hashlib
import json
from collections import Counter
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest
import yaml

from tests.fixtures.kafka_line import Line, positions
from tests.fixtures.kafka_records import producer
from tests.fixtures.small_model import build_model, draw, encode, with_threshold

IMAGES = [encode(draw(i, defect=i % 4 == 3)) for i in range(8)]
PRODUCTS = ("bottle", "box", "cap")
VIEWS = ("top", "side", "back")
LANES = 4  # of the line; each has a camera for each view
JOINED = ("parts.views={'*': [top, side, back]}",)
EXACTLY_ONCE = ("kafka.delivery=exactly-once", "kafka.transaction_timeout=4", "model.watch=0.1")


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A model for each view of each product, which differ in their thresholds."""
    folder = tmp_path / "models"
    folder.mkdir()
    for i, name in enumerate(f"{view}-{product}" for view in VIEWS for product in PRODUCTS):
        content = build_model(card_json=partial(with_threshold, threshold=0.80 + 0.01 * i))
        (folder / f"{name}.onnx").write_bytes(content)
    return folder


@pytest.fixture
def config(models: Path, tmp_path: Path) -> Path:
    rules = [
        {"camera": f"{view}-*", "product": product, "model": str(models / f"{view}-{product}.onnx")}
        for view in VIEWS
        for product in PRODUCTS
    ]
    path = tmp_path / "andon.yaml"
    path.write_text(yaml.safe_dump({"recipes": rules}))
    return path


def put(path: Path, content: bytes) -> None:
    """Replace a file as a careful program does."""
    beside = path.with_suffix(".new")
    beside.write_bytes(content)
    beside.replace(path)


def test_every_frame_has_one_verdict_by_the_right_model_and_every_part_one(
    line: Line, config: Path, models: Path
) -> None:
    sent: Counter[tuple[str, str]] = Counter()
    frames = serial = 0

    def send(product: str, rounds: int) -> None:
        nonlocal frames, serial
        with producer(line, linger_ms=5) as give:
            for _ in range(rounds):
                for lane in range(LANES):
                    serial += 1
                    for view in VIEWS:
                        frames += 1
                        known = {"product": product, "part": str(serial), "view": view}
                        headers = [(f"ce_{name}", value.encode()) for name, value in known.items()]
                        give(IMAGES[frames % 8], key=f"{view}-{lane}".encode(), headers=headers)
                        sent[f"{view}-{lane}", product] += 1

    changed = models / "top-cap.onnx"
    before = hashlib.sha256(changed.read_bytes()).hexdigest()
    better = build_model(card_json=partial(with_threshold, threshold=0.95))
    after = hashlib.sha256(better).hexdigest()
    with ExitStack() as stack:
        stack.enter_context(line.joiner(line.create_parts(line.parts), f"{line.name}-parts", *JOINED))
        first = stack.enter_context(line.monitor(*EXACTLY_ONCE, config=config))
        send("bottle", 3)
        line.read_answers(frames)
        second = stack.enter_context(line.monitor(*EXACTLY_ONCE, config=config))
        second.wait_for("kafka: partitions of")
        send("box", 6)
        line.read_verdicts(frames - 60)
        first.kill()
        line.read_answers(frames)
        put(changed, better[:4000])  # cut short
        second.wait_for("model refused: ")
        send("cap", 3)
        send("lid", 1)  # no recipe takes it
        line.read_answers(frames)
        put(changed, better)
        second.wait_for(f"model swapped: top-cap {after[:12]}")
        swapped_after = serial
        send("cap", 3)
        send("bottle", 2)
        verdicts = line.read_answers(frames)
        parts = [json.loads(record.value) for record in line.read(line.parts, serial, extra=0.5)]

    assert len(verdicts) == len(set(positions(verdicts))) == len({verdict["id"] for verdict in verdicts}) == frames
    views = Counter(verdict["part"]["id"] for verdict in verdicts)
    assert views == {str(number): len(VIEWS) for number in range(1, serial + 1)}
    files = {path.stem: hashlib.sha256(path.read_bytes()).hexdigest() for path in models.glob("*.onnx")}
    met: Counter[tuple[str, str]] = Counter()
    for verdict in verdicts:
        camera, product = verdict["camera"], verdict["part"]["product"]
        met[camera, product] += 1
        if product == "lid":
            assert (verdict["verdict"], verdict["reason"]) == ("uninspectable", "no_recipe")
            continue
        recipe = f"{camera.partition('-')[0]}-{product}"
        new = int(verdict["part"]["id"]) > swapped_after
        right = files[recipe] if recipe != "top-cap" or new else before
        assert (verdict["recipe"], verdict["model"]["alias"], verdict["model"]["sha256"]) == (recipe, recipe, right)
        assert verdict["verdict"] != "uninspectable"
    assert met == sent
    assert files["top-cap"] == after
    assert len(line.read(line.letters, LANES * len(VIEWS), extra=0.5)) == LANES * len(VIEWS)

    assert len(parts) == len({part["part"]["id"] for part in parts}) == serial
    outcomes: dict[str, set[str]] = {}
    for verdict in verdicts:
        outcomes.setdefault(verdict["part"]["id"], set()).add(verdict["verdict"])
    for part in parts:
        seen = outcomes[part["part"]["id"]]
        assert part["verdict"] == ("defect" if "defect" in seen else "good" if seen == {"good"} else "incomplete")
    assert {part["verdict"] for part in parts} == {"good", "defect", "incomplete"}
