"""Training images from a topic: collected into a folder, and read by the trainer up to the topic's present end."""

import json
from pathlib import Path

import pytest
from andon_monitor.errors import UsageError
from andon_trainer.data.dataset import open_dataset
from andon_trainer.data.images import read_bytes

from tests.fixtures.commands import andon
from tests.fixtures.kafka_line import Line
from tests.fixtures.small_model import START
from tests.fixtures.station import encoded, station

PARTS = 8


def send_parts(line: Line) -> list[bytes]:
    """Two photographs of each part, one after the other, with its serial number; and a record that is no image."""
    images = [encoded(station(i // 2), noise=0.5) for i in range(2 * PARTS)]
    for i, image in enumerate(images):
        headers = [("ce_part", b"%d" % (i // 2))]
        line.send([image], ["left"], headers=headers, timestamp_ms=int(START * 1000) + i * 1000)
    line.send([b"no image"], ["left"])
    return images


def test_a_topic_is_collected_and_learned_from(line: Line, tmp_path: Path) -> None:
    images = send_parts(line)
    uri = line.uri(line.frames)
    out = tmp_path / "images"
    done = andon("collect", "--source", uri, "-o", out, "--start", "earliest", "--until-end")
    assert done.returncode == 0, done.stderr
    assert f"{PARTS} images of {PARTS} parts" in done.stderr
    assert f"(1 damaged, {PARTS} near-duplicate)" in done.stderr
    lines = [json.loads(text) for text in (out / "manifest.jsonl").read_text().splitlines()]
    assert [(out / fields["file"]).read_bytes() for fields in lines] == images[::2]
    assert [fields["part"] for fields in lines] == [{"id": str(i)} for i in range(PARTS)]
    assert {fields["source"] for fields in lines} == {uri}

    with pytest.raises(UsageError, match="give --assume-good"):
        open_dataset(uri)
    dataset = open_dataset(uri, assume_good=True)
    assert [read_bytes(sample.path) for sample in dataset.train] == images
    assert [sample.part for sample in dataset.train] == [f"/{i // 2}" for i in range(2 * PARTS)]
    assert (
        f"{uri}: {2 * PARTS} frames of good parts ({2 * PARTS} by --assume-good); 1 passed over: 1 damaged"
        in (dataset.notes[0])
    )
    assert len(open_dataset(Path(uri), assume_good=True, cameras=["left"]).train) == 2 * PARTS
