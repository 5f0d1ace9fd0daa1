"""The bench: what a training is given, what a table is read from, and that nothing is measured twice."""

import json
import subprocess
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from andon_monitor.errors import UsageError
from andon_trainer.data.dataset import open_dataset
from andon_trainer.data.images import load_image
from andon_trainer.data.input import choose_input

from tests.benchmarks.quality.cells import Bench, Cell
from tests.benchmarks.quality.disturbances import DISTURBANCES, disturb
from tests.benchmarks.quality.methods import find_method
from tests.benchmarks.quality.sets import draw
from tests.benchmarks.quality.tables import Spread, pooled, shared_tests
from tests.fixtures import preloaded
from tests.fixtures.commands import PATIENCE


def bench(*arguments: str | Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = preloaded.run("andon_trainer", *arguments, module="tests.benchmarks.quality", timeout=PATIENCE)
    assert done.returncode == code, done.stderr
    return done


def test_a_stopped_bench_goes_on_and_measures_nothing_twice(sample_folder: Path, tmp_path: Path) -> None:
    some = (sample_folder, "-o", tmp_path, "--table", "methods", "--seeds", "1", "--budget", "2s", "--threads", "1")
    bench(*some, "--method", "pca")
    first = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*_pca_*")}
    assert len(first) == 2  # a model and its figures
    done = bench(*some, "--method", "pca", "--method", "conv-mse")
    assert {path: path.stat().st_mtime_ns for path in first} == first
    assert "conv-mse" in done.stdout
    table = json.loads((tmp_path / "quality.json").read_text())["methods"]
    rows = {row["method"]: row for row in table[sample_folder.name]}
    assert list(rows) == ["pca", "conv-mse"]
    for row in rows.values():
        assert len(row["image AUROC"]["values"]) == 1
        assert all(0 <= value <= 1 for figure in ("AP", "AU-PRO", "found") for value in row[figure]["values"])
        assert row["false alarms"]["count"] == 6
        assert row["ms/image"]["values"][0] > 0


def test_figures_of_another_folder_of_the_same_name_are_not_taken(tmp_path: Path) -> None:
    cell = Cell("a/part", "pca", 0, 2.0)
    (tmp_path / f"{cell.name}.json").write_text(json.dumps({"cell": asdict(cell)}))
    assert Bench(tmp_path).measure(cell)["cell"]["data"] == "a/part"
    with pytest.raises(UsageError, match="figures of a/part, not of b/part"):
        Bench(tmp_path).measure(Cell("b/part", "pca", 0, 2.0))


def test_what_it_does_not_know_is_one_line(tmp_path: Path) -> None:
    done = bench("-o", tmp_path / "out", "--method", "andon:sides=3", code=2)
    assert done.stderr.startswith("error: --method andon:sides=3: choose pca")
    assert not (tmp_path / "out").exists()


def test_a_draw_of_fewer_images_is_part_of_a_larger_one(sample_folder: Path) -> None:
    dataset = open_dataset(sample_folder)
    few, more = (draw(dataset, 5, images, 0.0).train for images in (10, 20))
    assert len(few) == 10
    assert set(few) < set(more)
    assert set(few) != set(draw(dataset, 6, 10, 0.0).train)


def test_defects_that_slip_in_are_learned_from_as_good_and_not_tested(sample_folder: Path) -> None:
    dataset = open_dataset(sample_folder)
    mixed = draw(dataset, 0, None, 0.1)
    slipped = {sample.path for sample in mixed.train} - {sample.path for sample in dataset.train}
    assert len(slipped) == 3
    assert {sample.label for sample in mixed.train} == {"good"}
    assert slipped.isdisjoint(sample.path for sample in mixed.test)
    assert len(mixed.test) == len(dataset.test) - 3


def test_other_photographs_of_parts_that_slipped_in_are_not_tested(sample_folder: Path, tmp_path: Path) -> None:
    dataset = open_dataset(sample_folder)
    tests = []
    for i, sample in enumerate(dataset.test):
        image = cv2.imread(str(sample.path))
        for exposure in (1.0, 0.8):
            path = tmp_path / f"{i}_{exposure}.png"
            cv2.imwrite(str(path), cv2.convertScaleAbs(image, alpha=exposure))
            tests.append(replace(sample, path=path))
    twice = replace(dataset, test=tuple(tests))
    mixed = draw(twice, 0, None, 0.1)
    parts = {sample.path.name.split("_")[0] for sample in set(mixed.train) - set(dataset.train)}
    assert 1 < len(parts) <= 3
    assert set(twice.test) - set(mixed.test) == {s for s in tests if s.path.name.split("_")[0] in parts}


@pytest.mark.parametrize("name", DISTURBANCES)
def test_a_disturbance_changes_what_the_model_sees_and_no_size(name: str, sample_folder: Path, tmp_path: Path) -> None:
    samples = open_dataset(sample_folder).test[:1]
    spec = choose_input(samples, 256)
    (copy,) = disturb(samples, spec, name, tmp_path)
    before, after = (load_image(path, spec).astype(float) for path in (samples[0].path, copy.path))
    assert 0.2 < np.abs(after - before).mean() < 40
    assert cv2.imread(str(copy.path)).shape == cv2.imread(str(samples[0].path)).shape
    assert (copy.label, copy.mask) == (samples[0].label, None)


def test_cells_have_names_of_their_own() -> None:
    cells = [
        Cell("a/part", "andon", 0, 600.0),
        Cell("a/part", "andon:side=128", 0, 600.0),
        Cell("a/part", "andon", 1, 600.0),
        Cell("a/part", "andon", 0, 20.0),
        Cell("a/part", "andon", 0, 600.0, images=10),
        Cell("a/part", "andon", 0, 600.0, mixed=0.02),
        *(Cell("a/part", "andon", 0, 600.0, disturbance=name) for name in DISTURBANCES),
    ]
    assert len({cell.name for cell in cells}) == len(cells)
    assert all(set(cell.name).isdisjoint("/ :%") for cell in cells)


def test_figures_over_seeds_are_mean_and_deviation_and_dashes_where_undefined() -> None:
    assert str(Spread.of([0.9, 0.8, 0.7])) == "0.800 ± 0.100"
    assert str(Spread.of([0.9, None])) == "0.900"
    assert Spread.of([None]) is None
    rates = [{"flagged": flagged, "count": 60} for flagged in (0, 2, 1)]
    assert pooled(rates).flagged == 1


def test_two_trainings_are_compared_on_the_test_images_that_both_have() -> None:
    def result(*images: tuple[str, str, float]) -> dict[str, Any]:
        fields = ("path", "label", "score")
        return {"evaluation": {"threshold": 2.0, "images": [dict(zip(fields, one, strict=True)) for one in images]}}

    clean = result(("a", "good", 1.0), ("b", "dent", 0.5), ("c", "dent", 2.0))
    mixed = result(("a", "good", 1.0), ("c", "dent", 0.9))
    is_defect, scores = shared_tests(clean, mixed)
    assert is_defect.tolist() == [False, True]
    assert scores.tolist() == [0.5, 1.0]


def test_andon_is_asked_for_with_any_option_of_its_own() -> None:
    method = find_method("andon:side=192")
    assert method.keywords == {"side": 192}  # type: ignore[attr-defined]
