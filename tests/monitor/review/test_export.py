"""Labels leave the page as folders and files that the trainer and `compare` read."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from andon_monitor.errors import UsageError
from andon_monitor.formats.evidence_package import unpack
from andon_monitor.recording.frame_labels import read_labels
from andon_monitor.review import labels
from andon_monitor.review.export import export
from andon_monitor.review.store import Store

from tests.fixtures.commands import andon
from tests.fixtures.review_line import ids


def test_the_export_is_read_by_the_trainer_and_by_compare(store: Store, tmp_path: Path) -> None:
    from andon_trainer.data.dataset import open_dataset

    found = ids(store)
    for i, frame in enumerate(found[:10]):
        labels.add_label(store, frame, "confirmed" if i < 4 else "false alarm", "dent" if i < 2 else "", "ann")
    labels.add_label(store, found[10], "unsure", "", "ann")
    done = andon("export", "--store", store.folder, "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "2 defect, 2 dent, 6 good" in done.stdout
    dataset = open_dataset(tmp_path / "out")
    assert len(dataset.train) == 6
    assert sorted(sample.label for sample in dataset.test) == ["defect"] * 2 + ["dent"] * 2 + ["good"] * 6
    package = store.package(found[0])
    assert package is not None
    assert (tmp_path / "out" / "dent" / f"{found[0]}.png").read_bytes() == unpack(package).frame
    assert (
        sorted(read_labels(tmp_path / "out" / "labels.jsonl").values()) == ["defect"] * 2 + ["dent"] * 2 + ["good"] * 6
    )
    (line,) = json.loads((tmp_path / "out" / "line.json").read_text())
    assert len(line["good"]) == 48 + 6
    assert (len(line["false_alarms"]), len(line["defects"]), line["unlabelled"]) == (6, 4, 2)


def test_an_export_is_whole_or_not_there(store: Store, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nothing to export"):
        export(store.folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "out.part").exists()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").touch()
    for folder, target in ((store.folder, tmp_path / "out"), (tmp_path, tmp_path / "new")):
        done = andon("export", "--store", folder, "-o", target)
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1


def test_the_page_and_its_commands_need_no_torch() -> None:
    code = "import andon_monitor.review.serving, andon_monitor.review.export, sys; assert 'torch' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0
