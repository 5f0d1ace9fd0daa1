"""The quick yardstick: `.venv/bin/python -m tests.benchmarks.quality.cross_validation --help`.

Each method is trained once for each fold, and scores the good images of groups that it never saw, and all defects. A
choice is better where it is better on the mean of all sets and clearly worse on none. `--earlier` compares with the
scores of another version.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from andon_monitor.common.console import console
from andon_monitor.common.files import write_whole
from andon_monitor.common.intervals import sign_test
from andon_monitor.common.units import parse_duration
from andon_monitor.model.file import Model
from andon_trainer.data.images import load_images
from andon_trainer.data.input import choose_input
from andon_trainer.data.sample import Sample
from andon_trainer.network.encoder import BUILT_IN, load_encoder
from andon_trainer.network.feature_autoencoder import FeatureAutoencoder
from andon_trainer.network.tensors import evenly, to_unit, top_mean
from andon_trainer.options import check_range
from andon_trainer.scoring.patch_memory import PatchMemory
from numpy.typing import NDArray
from rich.table import Table
from torch import nn

from tests.benchmarks.quality.earlier import fit_of_commit
from tests.benchmarks.quality.folds import CrossValidated, Fold, Folds, divide
from tests.benchmarks.quality.methods import Task, find_method
from tests.benchmarks.quality.sets import SHARED, open_set

# What the features of the built-in encoder say alone: the distance to the nearest of good parts, as others use networks
# that were trained elsewhere, or the error of the autoencoder that a model with an encoder has.
FROM_FEATURES: dict[str, Callable[[torch.Tensor, int], nn.Module]] = {
    "borrowed": PatchMemory.fit,
    "features": FeatureAutoencoder.fit,
}
DEFAULT_METHODS = (*FROM_FEATURES, "andon", f"andon:encoder={BUILT_IN}")
FEATURE_SIDE, FEATURE_TOP_SHARE = 256, 0.02
ENCODED_FRAMES = 400  # good ones that are learned from
BATCH_FRAMES = 8
# The quick form, for daily work.
QUICK_SETS = ("magnetic_tile", "casting", "elpv_poly", "metal_nut")  # textures and parts, grey and colour
QUICK_STEPS, QUICK_FOLDS = 100, 1
COMMIT = "commit:"  # and a revision: the method that is `fit` of that commit
STEPS_BUDGET = 24 * 3600.0  # seconds, which do not end a training of given steps
Score = Callable[[tuple[Sample, ...]], NDArray[np.float64]]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
out, err = console(error=False), console(error=True)


@dataclass(frozen=True)
class Effort:
    """How a network is trained: for so many steps where they are given, else for so many seconds."""

    seed: int
    seconds: float
    steps: int | None = None

    def __str__(self) -> str:
        return f"{self.steps}-steps-{self.seed}" if self.steps else f"{self.seconds:.0f}-s-{self.seed}"


@app.command()
def main(
    data: Annotated[list[str] | None, typer.Argument(help="Folders; default: all of ../shared/data.")] = None,
    method: Annotated[
        list[str] | None, typer.Option(help="borrowed, features, andon, andon:OPTION=VALUE,..., commit:REVISION")
    ] = None,
    folds: Annotated[int, typer.Option(help="Parts that the groups are divided into.")] = 3,
    only: Annotated[int, typer.Option(help="Folds that are measured, the first ones; 0 for all.")] = 0,
    budget: Annotated[str, typer.Option(help="The time of one training, as 20s, 10m or 1h.")] = "2m",
    steps: Annotated[int, typer.Option(help="Steps of one training, of one network, instead of its time.")] = 0,
    quick: Annotated[
        bool, typer.Option("--quick", help=f"{', '.join(QUICK_SETS)}; one fold, {QUICK_STEPS} steps.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Of divisions and trainings.")] = 0,
    threads: Annotated[int, typer.Option(help="Threads to train on.")] = 1,
    earlier: Annotated[Path | None, typer.Option(help="OUTPUT of an earlier version, to compare with.")] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder that keeps scores.")] = Path("bench-folds"),
) -> None:
    """Measure methods on sets, and print their AUROCs with intervals; what is in OUTPUT is not measured again."""
    check_range("--folds", folds, 2, 20)
    check_range("--only", only, 0, folds)
    check_range("--steps", steps, 0, 10_000_000)
    torch.set_num_threads(threads)
    if quick:
        data, only, steps = data or [str(SHARED / name) for name in QUICK_SETS], only or QUICK_FOLDS, QUICK_STEPS
    effort = Effort(seed, STEPS_BUDGET if steps else parse_duration("--budget", budget), steps or None)
    names = data or sorted(str(folder) for folder in SHARED.iterdir() if folder.is_dir())
    output.mkdir(parents=True, exist_ok=True)
    found: dict[str, dict[str, CrossValidated]] = {}
    for name in names:
        title = Path(name).name
        divided = divide(open_set(name, output), title, folds, seed)
        divided = replace(divided, folds=divided.folds[: only or folds])
        for each in method or DEFAULT_METHODS:
            file = f"{title}-{each.replace(':', '-').replace('/', '-')}-{folds}-{only}-{effort}.json"
            if earlier is not None and (earlier / file).exists():
                found.setdefault(f"{each}, earlier", {})[title] = kept_scores(earlier / file, divided)
            if not (output / file).exists():
                write_whole(output / file, json.dumps(measure(each, divided, effort)).encode())
            one = found.setdefault(each, {})[title] = kept_scores(output / file, divided)
            low, high = one.interval
            err.print(f"{title}, {each}: {one.auroc:.3f} ({low:.2f} to {high:.2f})", highlight=False)
    out.print(table_of(found))


def measure(method: str, divided: Folds, effort: Effort) -> dict[str, list[Any]]:
    """The scores of a method on a set: of all held-out good images, and of all defects in each fold."""
    good, defects = [], []
    for fold in divided.folds:
        score = from_features(method, fold, divided) if method in FROM_FEATURES else trained(method, fold, effort)
        good += score(tuple(divided.good[i] for i in fold.good)).tolist()
        defects.append(score(divided.defects).tolist())
    return {"good": good, "defects": defects}


def kept_scores(file: Path, divided: Folds) -> CrossValidated:
    """What `measure` found, from its file."""
    scores = json.loads(file.read_bytes())
    held = np.concatenate([fold.good for fold in divided.folds])
    fold_of = np.concatenate([np.full(len(fold.good), i) for i, fold in enumerate(divided.folds)])
    good, defects = np.array(scores["good"]), np.array(scores["defects"])
    return CrossValidated(good, fold_of, defects, divided.groups[held], divided.defect_groups)


def trained(method: str, fold: Fold, effort: Effort) -> Score:
    """A method of `tests.benchmarks.quality.methods`, trained on a fold, or `fit` of an earlier commit."""
    if method.startswith(COMMIT):
        long = f"{effort.seconds:.0f}s"
        options = ["--budget", long, "--seed", str(effort.seed), "--threads", str(torch.get_num_threads())]
        if effort.steps:
            options += ["--iterations", str(effort.steps), "--networks", "1"]
        return fit_of_commit(method.removeprefix(COMMIT), fold.learned, options)
    if effort.steps and method.startswith("andon"):
        method += f"{',' if ':' in method else ':'}iterations={effort.steps},networks=1"
    content = find_method(method)(Task(fold.learned, effort.seed, effort.seconds))
    model = Model.from_bytes(content, "andon", provider="cpu")
    return lambda samples: model.score(load_images(samples, model.card.input)).astype(np.float64)


@torch.no_grad()
def from_features(method: str, fold: Fold, divided: Folds) -> Score:
    """Scores from the encoder's features alone, without any training."""
    features = encode((*divided.good, *divided.defects))
    learned = evenly(np.array([str(sample.path) for sample in fold.learned.train]), ENCODED_FRAMES)
    distance = FROM_FEATURES[method](torch.stack([features[path].float() for path in learned]), 0)

    @torch.no_grad()
    def score(samples: tuple[Sample, ...]) -> NDArray[np.float64]:
        maps = (distance(features[str(sample.path)].float()[None]) for sample in samples)
        return torch.cat([top_mean(each, FEATURE_TOP_SHARE) for each in maps]).double().numpy()

    return score


@lru_cache(maxsize=1)
@torch.no_grad()
def encode(samples: tuple[Sample, ...]) -> dict[str, torch.Tensor]:
    """The features float16 [F, h, w] of each image, by its path: each is encoded once for all folds and methods."""
    spec = choose_input(samples, FEATURE_SIDE, any_size=True)
    encoder = load_encoder(BUILT_IN, spec.channels)
    assert encoder is not None
    run = encoder.in_runtime()
    found = {}
    for start in range(0, len(samples), BATCH_FRAMES):
        some = samples[start : start + BATCH_FRAMES]
        batch = run(to_unit(torch.from_numpy(load_images(some, spec))))
        found.update({str(sample.path): each.half() for sample, each in zip(some, batch, strict=True)})
    return found


def table_of(found: dict[str, dict[str, CrossValidated]]) -> Table:
    """AUROCs by set, their mean and the worst; the last method's gain on each other one, with the sign test."""
    *others, last = found
    table = Table("set", *found, *(f"{last} less {each}" for each in others))
    for title, final in found[last].items():
        cells = []
        for each in found:
            low, high = found[each][title].interval
            cells.append(f"{found[each][title].auroc:.3f} ({low:.2f} to {high:.2f})")
        for each in others:
            low, high = final.gain_on(found[each][title])
            cells.append(f"{final.auroc - found[each][title].auroc:+.3f} ({low:+.2f} to {high:+.2f})")
        table.add_row(title, *cells)
    aurocs = {each: [one.auroc for one in of.values()] for each, of in found.items()}
    gains = [f"{np.mean(aurocs[last]) - np.mean(aurocs[each]):+.3f}" for each in others]
    table.add_section()
    table.add_row("mean", *(f"{np.mean(values):.3f}" for values in aurocs.values()), *gains)
    table.add_row("worst", *(f"{min(values):.3f}" for values in aurocs.values()))
    table.add_row("sign test", *("" for _ in found), *(p_value(aurocs[last], aurocs[each]) for each in others))
    return table


def p_value(first: Sequence[float], second: Sequence[float]) -> str:
    """The sign test of two methods' AUROCs of the same sets."""
    wins = sum(a > b for a, b in zip(first, second, strict=True))
    losses = sum(a < b for a, b in zip(first, second, strict=True))
    p = sign_test(wins, losses)
    return f"{wins} of {wins + losses} sets" + ("" if p is None else f", p = {p:.2f}")


if __name__ == "__main__":
    app()
