"""What each choice in the score is worth: `.venv/bin/python -m tests.benchmarks.quality.choices --help`.

One network is trained for each fold, as `fit` trains it. Its anomaly maps of held-out good images and of all defects
are scored as they are, and with each choice undone in turn, on a scale of its own: differences are due to
the choice alone.
"""

import copy
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, cast

import numpy as np
import torch
import torch.nn.functional as F
import typer
from andon_monitor.common.console import console
from andon_monitor.common.files import write_whole
from andon_monitor.model.imaging import Pixels
from andon_trainer.data.dataset import good_samples
from andon_trainer.data.images import ImageCache, TrainingImages, load_images
from andon_trainer.data.splits import Split
from andon_trainer.fitting import prepare_training
from andon_trainer.network.encoder import BUILT_IN, load_encoder
from andon_trainer.network.feature_autoencoder import FeatureAutoencoder
from andon_trainer.network.registration import register
from andon_trainer.network.tensors import TOP_SHARE, batched, evenly, to_unit, top_mean, upsample
from andon_trainer.options import FitOptions, check_range
from andon_trainer.progress import quiet
from andon_trainer.scoring.assembly import remember_good_parts
from andon_trainer.scoring.detector import AnomalyMap, Detector, Member, joined, unregister
from andon_trainer.scoring.encoding import MAX_GOOD_FRAMES
from andon_trainer.scoring.patch_memory import PatchMemory
from andon_trainer.scoring.scale import roughness
from andon_trainer.training.ensemble import split_images, train_networks
from andon_trainer.training.resolution import load_training_images
from numpy.typing import NDArray
from rich.table import Table
from torch import Tensor

from tests.benchmarks.quality.cross_validation import STEPS_BUDGET, p_value
from tests.benchmarks.quality.folds import CrossValidated, Fold, Folds, divide
from tests.benchmarks.quality.sets import SAMPLE, SHARED, open_set

HEAD, DIFFERENCE, TEXTURE, ENCODER = "error head", "difference", "texture features", "encoder's features"
DEFAULT = "as fit makes it"
PLAIN, PATCHES = "encoder's features of the images alone", "distance to encoder's features"  # instead of `ENCODER`
ALONE = "encoder's features alone"

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
out, err = console(error=False), console(error=True)


@dataclass(frozen=True)
class Choice:
    """A score that differs from the default in one respect."""

    without: str | None = None  # a map that is left out
    instead: str = ENCODER  # the map that stands for the encoder's features
    rough: bool = True  # whether maps of textures are divided by what so rough a surface has
    equal_votes: bool = False
    top_share: float = TOP_SHARE  # of the map's cells, whose mean is the score


CHOICES = {
    DEFAULT: Choice(),
    f"without {HEAD}": Choice(without=HEAD),
    f"without {DIFFERENCE}": Choice(without=DIFFERENCE),
    f"without {TEXTURE}": Choice(without=TEXTURE),
    f"without {ENCODER}": Choice(without=ENCODER),
    f"{PLAIN}, no copies": Choice(instead=PLAIN),
    f"{PATCHES} instead": Choice(instead=PATCHES),
    "without roughness": Choice(rough=False),
    "equal votes": Choice(equal_votes=True),
    "score: largest 1 % of cells": Choice(top_share=0.01),
}


@dataclass(frozen=True, eq=False)
class Looked:
    """What a network made of frames: its anomaly maps and, of textures, how rough the frames are [N, SCALES]."""

    maps: dict[str, AnomalyMap]  # by their names, all of one size
    rough: Tensor | None


@app.command()
def main(
    data: Annotated[
        list[str] | None, typer.Argument(help="Folders, or sample; default: ../shared/data, sample.")
    ] = None,
    folds: Annotated[int, typer.Option(help="Parts that the groups are divided into.")] = 3,
    fold: Annotated[list[int] | None, typer.Option(help="Folds that are measured, from 0; default: all.")] = None,
    steps: Annotated[int, typer.Option(help="Steps of each training.")] = 100,
    threads: Annotated[int, typer.Option(help="Threads to train on.")] = 1,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder that keeps scores.")] = Path("bench-choices"),
) -> None:
    """Measure each choice on each set, and print AUROCs and what undoing each choice adds; a fold's number is its seed.

    An asterisk: the 95 % interval of the difference, by bootstrap over groups, leaves out zero.
    """
    check_range("--steps", steps, 1, 1_000_000)
    torch.set_num_threads(threads)
    names = data or [SAMPLE, *sorted(str(folder) for folder in SHARED.iterdir() if folder.is_dir())]
    numbers = fold or list(range(folds))
    output.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        for name in names:
            file = output / f"{Path(name).name}-{folds}-{number}-{steps}.json"
            if not file.exists():
                divided = divide(open_set(name, output), Path(name).name, folds)
                write_whole(file, json.dumps(measure(divided, number, steps, threads)).encode())
            err.print(f"{file.stem}: measured", highlight=False)
    found: dict[str, dict[str, CrossValidated]] = {}
    for name in names:
        divided = divide(open_set(name, output), Path(name).name, folds)
        divided = replace(divided, folds=tuple(divided.folds[number] for number in numbers))
        files = [output / f"{Path(name).name}-{folds}-{number}-{steps}.json" for number in numbers]
        for choice, scores in together([json.loads(file.read_bytes()) for file in files], divided).items():
            found.setdefault(choice, {})[Path(name).name] = scores
    out.print(table_of(found))


def measure(divided: Folds, number: int, steps: int, threads: int) -> dict[str, dict[str, list[float]]]:
    """The scores of held-out good images and of all defects, by each choice that the set's model has."""
    fold = divided.folds[number]
    options = FitOptions(
        iterations=steps, budget=STEPS_BUDGET, networks=1, seed=number, any_size=True, device="cpu", threads=threads
    )
    detector, images, parts = trained(fold, options)
    held_out = look(detector, images.pixels[parts.validation], images.pixels[parts.train])
    samples = (*(divided.good[i] for i in fold.good), *divided.defects)
    judged = look(detector, load_images(samples, images.spec), images.pixels[parts.train])
    scores = {}
    for name, choice in CHOICES.items():
        left = [each for each in names_of(cast(Member, detector.members[0])) if each != choice.without]
        if choice.without in {None, *judged.maps} and left != [ENCODER]:  # that alone is a row of its own
            scores[name] = score(detector, choice, held_out, judged)
    scores[ALONE] = judged.maps[ENCODER].top().double().numpy()
    count = len(fold.good)
    return {name: {"good": all_[:count].tolist(), "defects": all_[count:].tolist()} for name, all_ in scores.items()}


def trained(fold: Fold, options: FitOptions) -> tuple[Detector, TrainingImages, Split]:
    """A detector of one network that is trained on a fold, not scaled yet; the images, and which it was trained on."""
    training = prepare_training(options, quiet)
    files = ImageCache(limits=options.limits)
    images = load_training_images(good_samples(fold.learned), files, options, training, quiet)
    networks = train_networks(images, split_images(images, options, training, quiet), options, training, quiet, None)
    encoder = load_encoder(BUILT_IN, images.spec.channels)
    (detector,) = remember_good_parts(networks, images, options.seed, quiet, encoder)
    return cast(Detector, detector).eval(), images, networks.splits[0]


@torch.no_grad()
def look(detector: Detector, frames: Pixels, learned: Pixels) -> Looked:
    """The anomaly maps of frames uint8 [N, H, W, C], and those that other autoencoders and memories would make."""
    member = cast(Member, detector.members[0])
    known = torch.cat(list(encoded(detector, evenly(learned, MAX_GOOD_FRAMES))))
    others = {PLAIN: FeatureAutoencoder.fit(known, 0), PATCHES: PatchMemory.fit(known, 0)}
    batches, rough = [], []
    for batch in batched(frames):
        prepared = detector.prepare(batch)
        maps = dict(zip(names_of(member), member.anomaly_maps(prepared, member.network(prepared.x)), strict=True))
        assert prepared.features is not None
        for name, distance in others.items():
            cells = F.interpolate(distance(prepared.features), size=maps[HEAD].cells.shape[2:], mode="bilinear")
            maps[name] = maps[ENCODER]._replace(cells=unregister(cells, prepared.inverse_pose))
        batches.append(maps)
        rough.append(roughness(prepared.x))
    whole = {name: joined([maps[name] for maps in batches]) for name in batches[0]}
    size = whole[HEAD].cells.shape[2:]
    for name, each in whole.items():
        if each.cells.shape[2:] != size:
            whole[name] = each._replace(cells=upsample(each.cells))
    return Looked(whole, torch.cat(rough) if member.is_texture else None)


@torch.no_grad()
def encoded(detector: Detector, frames: Pixels) -> Iterator[Tensor]:
    """The encoder's features of registered frames, a batch at a time."""
    assert detector.encoder is not None
    run = detector.encoder.in_runtime()
    if detector.registration is not None:
        frames = register(frames, detector.registration.poses(frames))
    yield from (run(to_unit(batch)) for batch in batched(frames))


def names_of(member: Member) -> list[str]:
    """The names of a member's maps, in their order."""
    names = [HEAD]
    names += [DIFFERENCE] * (member.network.linear is not None)
    names += [TEXTURE] * (member.grain_memory is not None)
    return [*names, ENCODER]


@torch.no_grad()
def score(detector: Detector, choice: Choice, held_out: Looked, judged: Looked) -> NDArray[np.float64]:
    """Scores of the frames that were judged, on the scale of those held out."""
    member = copy.deepcopy(cast(Member, detector.members[0]))
    names = [choice.instead if name == ENCODER else name for name in names_of(member) if name != choice.without]
    if choice.without == ENCODER:
        member.rebuild = None

    def chosen(looked: Looked) -> list[AnomalyMap]:
        maps = [looked.maps[name] for name in names]
        return [each._replace(weight=1.0) for each in maps] if choice.equal_votes else maps

    member.scale_to(chosen(held_out), held_out.rough if choice.rough else None)
    deviations = member.deviations(chosen(judged), judged.rough if choice.rough else None)
    return top_mean(deviations, choice.top_share).double().numpy()


def together(scores: list[dict[str, Any]], divided: Folds) -> dict[str, CrossValidated]:
    """The choices that all folds of a set have, with what was scored in all of them."""
    held = np.concatenate([fold.good for fold in divided.folds])
    fold_of = np.concatenate([np.full(len(fold.good), i) for i, fold in enumerate(divided.folds)])
    found = {}
    for name in scores[0]:
        if all(name in each for each in scores):
            good = np.concatenate([each[name]["good"] for each in scores])
            defects = np.array([each[name]["defects"] for each in scores])
            found[name] = CrossValidated(good, fold_of, defects, divided.groups[held], divided.defect_groups)
    return found


def table_of(found: dict[str, dict[str, CrossValidated]]) -> Table:
    """A row for each choice: AUROCs by set, or how they differ from the default's; their mean and the worst.

    A choice that a set's model does not have changes nothing there.
    """
    default = found[DEFAULT]
    table = Table("choice", *default, "mean", "worst", "better on")
    before = [each.auroc for each in default.values()]
    for name, by_set in found.items():
        after = [by_set.get(title, default[title]).auroc for title in default]
        cells = {title: cell(each, None if name == DEFAULT else default[title]) for title, each in by_set.items()}
        mean = f"{np.mean(after):.3f}" if name == DEFAULT else f"{np.mean(after) - np.mean(before):+.4f}"
        wins = "" if name == DEFAULT else p_value(after, before)
        table.add_row(name, *(cells.get(title, "") for title in default), mean, f"{min(after):.3f}", wins)
    return table


def cell(own: CrossValidated, default: CrossValidated | None) -> str:
    """An AUROC with its interval, or the difference to the default."""
    if default is None:
        low, high = own.interval
        return f"{own.auroc:.3f} ({low:.2f} to {high:.2f})"
    low, high = own.gain_on(default)
    return f"{own.auroc - default.auroc:+.3f}" + (" *" if low > 0 or high < 0 else "")


if __name__ == "__main__":
    app()
