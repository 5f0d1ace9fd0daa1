"""`andon-monitor tune`: candidates for this machine, tried; the best written where `run` takes them from."""

import json
from pathlib import Path

import pytest
import yaml
from andon_monitor.run import tune as tuning
from andon_monitor.settings.groups import Settings
from andon_monitor.settings.loading import load_settings

from tests.fixtures.commands import andon


def test_the_best_settings_are_written_into_the_file_and_run_takes_them(
    model_path: Path, recording: Path, tmp_path: Path
) -> None:
    config, tuned = tmp_path / "andon.yaml", tmp_path / "tuned.yaml"
    config.write_text(f"model: {{path: {model_path}, alias: press}}\nsource: {{uri: {recording}}}\n")
    done = andon("tune", "--config", config, "-o", tuned, "--seconds", "0.1", "--rounds", "1")
    assert done.returncode == 0, done.stderr
    head, best = done.stdout.splitlines()[:2]
    assert head.split() == ["model.provider", "model.threads", "inspection.in_flight", "frames/s", "range"]
    written = yaml.safe_load(tuned.read_text())
    assert written["model"]["alias"] == "press"
    values = (written["model"]["provider"], written["model"]["threads"], written["inspection"]["in_flight"])
    assert best.split()[:3] == [str(value) for value in values]
    run = andon("run", "--config", tuned, "--no-server")
    assert run.returncode == 0, run.stderr
    assert {json.loads(line)["model"]["alias"] for line in run.stdout.splitlines()} == {"press"}


def settings(model_path: Path, recording: Path) -> Settings:
    return load_settings({"model.path": model_path, "source.uri": str(recording)}, None)


def test_every_candidate_is_valid_and_has_frames_for_all_threads(model_path: Path, recording: Path) -> None:
    candidates = list(tuning.propose(settings(model_path, recording)))
    assert len({tuple(values.items()) for values in candidates}) == len(candidates) > 0
    for values in candidates:
        load_settings(values, None)
        assert values["inspection.in_flight"] >= 2 * values["model.threads"]
    taken = [values["model.threads"] for values in candidates if values["model.provider"] == "cpu"]
    assert taken == sorted(taken)


def test_of_equal_candidates_the_smallest_is_best(
    model_path: Path, recording: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = [{"model.threads": threads} for threads in (1, 2, 4)]
    rates = {1: 50.0, 2: 99.0, 4: 100.0}
    monkeypatch.setattr(tuning, "propose", lambda settings: iter(values))
    monkeypatch.setattr(tuning, "measure", lambda settings, inspector, frames, count: rates[settings.model.threads])
    trials = tuning.tune(settings(model_path, recording), 0.1, 2, lambda share: None)
    assert [trial.values["model.threads"] for trial in trials] == [2, 4, 1]
    assert trials[0].rates == (99.0, 99.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "source.uri: not given"),
        (["--source", "nowhere"], "nowhere: no such folder or file"),
        (["--source", "kafka://host:1/frames"], "a topic is not a source of this command"),
    ],
)
def test_a_mistake_is_one_line(model_path: Path, options: list[str], message: str) -> None:
    done = andon("tune", "--model", model_path, *options)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert message in done.stderr
