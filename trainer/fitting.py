"""Fit the autoencoder: read top to bottom, this is the whole training."""

import copy
import math
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from threading import Event
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from monitor.imaging import Pixels
from trainer.architecture import Architecture
from trainer.corruption import Corrupted, training_frame
from trainer.dataset import Split
from trainer.errors import FittingError
from trainer.linear import CrossFit, Rebuilt, fit_linear
from trainer.loss import loss
from trainer.network import Autoencoder
from trainer.optimiser import Optimiser
from trainer.progress import Progress, quiet
from trainer.tensors import normalise
from trainer.variation import Variation

WARM_UP = 0.05  # share of the training during which the learning rate rises
SLACK = 0.05  # share of the budget by which iterations may be late before time takes over
EVALUATIONS = 16  # looks at the validation images over the whole training
PATIENCE = 8  # looks without progress before training stops early
# Of looks that are this close to the best, the last is kept: its learning rate was lower, which tells more than the
# last per cent of a loss does.
TOLERANCE = 0.02
VALIDATION_FRAMES = 64  # enough to tell two checkpoints apart; all looks together take a few per cent of the time


Ended = Literal["iterations", "early", "budget", "interrupted"]
ENDS: tuple[Ended, ...] = ("iterations", "early", "budget", "interrupted")  # the later, the more of it is worth saying


@dataclass(frozen=True)
class FitOptions:
    """How to train. Training ends after `iterations`, after `budget` seconds, or early, whichever comes first.

    With the same seed, machine and thread count the weights are the same as long as the budget does not end it.
    """

    iterations: int = 9000
    budget: float = 560.0
    batch: int = 16
    learning_rate: float = 3e-3
    weight_decay: float = 1e-2
    seed: int = 0
    device: str = "cpu"


@dataclass(frozen=True)
class Look:
    """One look at the validation images."""

    iteration: int
    seconds: float
    training_loss: float
    validation_loss: float
    reconstruction_loss: float
    learning_rate: float


@dataclass
class Fitted:
    """The network kept, on the CPU, and how it came about."""

    network: nn.Module
    looks: list[Look] = field(default_factory=list)
    kept: tuple[Look, ...] = ()  # the one whose weights the network has; of several networks one for each
    iterations: int = 0
    seconds: float = 0.0
    ended: Ended = "iterations"
    texture: bool = False  # whether good parts look the same upside down and in a mirror


def fit(
    images: Pixels,
    split: Split,
    arch: Architecture,
    options: FitOptions,
    progress: Progress = quiet,
    interrupted: Event | None = None,
) -> Fitted:
    """Train on `images[split.train]`, keep the last weights that did well on `images[split.validation]`.

    Either loss may say so, the whole one or that of rebuilding alone: the head's part of the whole rises again as the
    head grows sure of itself, long before it stops getting better at telling defects; and rebuilding gets worse at
    first where principal components have done it already.

    `images`: uint8 [N, H, W, C]. Raises FittingError where the loss is no longer finite, or where the training was
    interrupted before the first look at the validation images.
    """
    torch.manual_seed(options.seed)
    device = torch.device(options.device)
    start = time.monotonic()
    progress("principal components", 0.0)
    cross_fit: CrossFit | None
    linear, cross_fit = fit_linear(images[split.train], split.groups[split.train], arch, options.seed)
    variation = cross_fit.variation
    texture = cross_fit.texture
    if cross_fit.aligned:
        network = Autoencoder(arch)
        network.linear, cross_fit = linear, cross_fit.to(device)
    else:
        network, cross_fit = Autoencoder(replace(arch, components=0)), None
    network = network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    # Parts are looked at large, so there is time for few steps, of which Muon makes more. Textures it learns by heart.
    optimiser = Optimiser(network, options.weight_decay, muon=not texture)
    validation = validation_batches(images[split.validation], options.batch, variation, device)
    fitted = Fitted(network, texture=texture)
    best = (math.inf, math.inf)  # the lowest losses of all looks, whole and of rebuilding
    weights = network.state_dict()
    stale = 0
    running = torch.zeros((), device=device)
    since_look = 0

    batches = prefetch(batch_stream(images[split.train], options, variation), depth=4)
    for iteration in range(1, options.iterations + 1):
        elapsed = time.monotonic() - start
        done = share_done((iteration - 1) / options.iterations, elapsed / options.budget)
        if done >= 1:
            fitted.ended = "budget"
            break
        if interrupted is not None and interrupted.is_set():
            fitted.ended = "interrupted"
            break
        rate = options.learning_rate * schedule(done)

        network.train()
        batch = next(batches)
        frames, clean, mask = to_tensors(batch, device)
        x = normalise(frames)[0]
        rebuilt = cross_fit(x, [item.index for item in batch]) if cross_fit else None
        total = losses(network, x, rebuilt, normalise(clean)[0], mask)[0]
        total.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step(rate)
        running += total.detach()
        since_look += 1
        fitted.iterations = iteration

        if done * EVALUATIONS >= len(fitted.looks) + 1 or iteration == options.iterations:
            look = Look(iteration, elapsed, float(running) / since_look, *evaluate(network, validation), rate)
            check_finite(look, options)
            fitted.looks.append(look)
            running.zero_()
            since_look = 0
            stale += 1
            values = (look.validation_loss, look.reconstruction_loss)
            if any(value < lowest * (1 + TOLERANCE) for value, lowest in zip(values, best, strict=True)):
                fitted.kept, weights = (look,), copy.deepcopy(network.state_dict())
                stale = 0
            best = (min(values[0], best[0]), min(values[1], best[1]))
            if stale >= PATIENCE:
                fitted.ended = "early"
                break
        if iteration % 5 == 0:
            progress(f"loss {fitted.looks[-1].validation_loss:.3f}" if fitted.looks else "warming up", done)

    check_looked(fitted, options)
    network.load_state_dict(weights)
    fitted.seconds = time.monotonic() - start
    fitted.network = network.to("cpu", memory_format=torch.contiguous_format).eval()
    return fitted


def in_a_row(trainings: Sequence[Fitted]) -> Fitted:
    """Trainings of several networks, one after the other, as one; the network is the first one's."""
    whole = Fitted(trainings[0].network, texture=trainings[0].texture)
    for one in trainings:

        def later(look: Look) -> Look:
            return replace(look, iteration=look.iteration + whole.iterations, seconds=look.seconds + whole.seconds)

        whole.looks += map(later, one.looks)
        whole.kept += tuple(map(later, one.kept))
        whole.iterations += one.iterations
        whole.seconds += one.seconds
    whole.ended = max((one.ended for one in trainings), key=ENDS.index)
    return whole


def check_finite(look: Look, options: FitOptions) -> None:
    """Raises FittingError where the loss is no longer a number."""
    if not math.isfinite(look.training_loss + look.validation_loss):
        raise FittingError(
            f"the loss is {look.training_loss} after {look.iteration} iterations; give a lower --learning-rate "
            f"than {options.learning_rate}"
        )


def check_looked(fitted: Fitted, options: FitOptions) -> None:
    """Raises FittingError where the training ended before the first look: there are no weights to keep."""
    if not fitted.looks:
        if fitted.ended == "interrupted":
            raise FittingError("interrupted before there was a model to keep; nothing was written")
        raise FittingError(f"a budget of {options.budget:.0f} s is too short for this machine; give a longer --budget")


def share_done(steps: float, time: float) -> float:
    """How far the training is, in 0..1, from its shares of iterations and of time.

    Time counts only once it runs out: otherwise the clock would move the learning rate, and no two trainings with one
    seed would be the same.
    """
    return max(steps, (time - SLACK) / (1 - SLACK))


def schedule(done: float) -> float:
    """Linear warm-up, then half a cosine down to nothing; `done` in 0..1, also the share of the learning rate."""
    if done < WARM_UP:
        return 0.05 + 0.95 * done / WARM_UP
    return 0.5 * (1 + math.cos(math.pi * (done - WARM_UP) / (1 - WARM_UP)))


def losses(
    network: Autoencoder, x: Tensor, rebuilt: Rebuilt | None, clean: Tensor, mask: Tensor
) -> tuple[Tensor, Tensor]:
    """The total loss and its reconstruction part.

    `x`, `clean`: normalised frames, corrupted and not, float [N, C, H, W]; `rebuilt`: `x` by the linear half.
    """
    with torch.autocast(x.device.type, torch.bfloat16, enabled=fast_half_precision(x.device)):
        output = network(x, rebuilt)
    parts = loss(output, clean, mask, network.arch.loss)
    return parts.total, parts.reconstruction


def fast_half_precision(device: torch.device) -> bool:
    """Whether bfloat16 is computed in hardware: it is then 2 to 3 times as fast, and slower than float32 elsewhere."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16") or capabilities.get("bf16"))


@torch.no_grad()
def evaluate(network: Autoencoder, batches: list[tuple[Tensor, Tensor, Tensor]]) -> tuple[float, float]:
    """Mean total loss and mean reconstruction loss over the validation batches."""
    network.eval()
    results = []
    for frames, clean, mask in batches:
        x = normalise(frames)[0]
        results.append(
            torch.stack(losses(network, x, network.linear(x) if network.linear else None, normalise(clean)[0], mask))
        )
    total, reconstruction = torch.stack(results).mean(dim=0).tolist()
    return total, reconstruction


def validation_batches(
    held_out: Pixels, batch: int, variation: Variation, device: torch.device
) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Good frames that the weights never see, corrupted in ways that stay the same from look to look."""
    rng = np.random.default_rng(20)  # fixed: a look must not depend on the training's seed
    frames = [training_frame(held_out, i % len(held_out), rng, variation) for i in range(VALIDATION_FRAMES)]
    return [to_tensors(frames[i : i + batch], device) for i in range(0, VALIDATION_FRAMES, batch)]


def batch_stream(images: Pixels, options: FitOptions, variation: Variation) -> Iterator[list[Corrupted]]:
    """Endless batches of training frames, each pass over the images in a new order."""
    rng = np.random.default_rng(options.seed)
    waiting: list[int] = []
    while True:
        while len(waiting) < options.batch:
            waiting += rng.permutation(len(images)).tolist()
        chosen, waiting = waiting[: options.batch], waiting[options.batch :]
        yield [training_frame(images, index, rng, variation) for index in chosen]


def prefetch(batches: Iterator[list[Corrupted]], depth: int) -> Iterator[list[Corrupted]]:
    """Make the next batches in a thread while the network trains: OpenCV and NumPy leave the interpreter free."""
    with ThreadPoolExecutor(1, thread_name_prefix="corruption") as pool:
        pending = deque(pool.submit(next, batches) for _ in range(depth))
        while True:
            pending.append(pool.submit(next, batches))
            yield pending.popleft().result()


def to_tensors(batch: list[Corrupted], device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Frames and clean frames float [N, C, H, W], channels last in memory, and masks float [N, 1, H, W]."""
    frames, clean = (
        torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2).to(device, memory_format=torch.channels_last)
        for arrays in ([item.frame for item in batch], [item.clean for item in batch])
    )
    masks = torch.from_numpy(np.stack([item.mask for item in batch]))[:, None].to(device)
    return frames, clean, masks
