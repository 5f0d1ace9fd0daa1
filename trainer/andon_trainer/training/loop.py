"""Train one convolutional autoencoder: read from top to bottom, this is the whole training."""

import copy
import math
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Event

import numpy as np
import torch
from andon_monitor.model.imaging import Pixels
from andon_monitor.model.mask import Masked
from torch import Tensor

from andon_trainer.architecture import Architecture
from andon_trainer.augmentation.corruption import Corrupted, training_frame
from andon_trainer.augmentation.variation import Variation
from andon_trainer.data.splits import Split
from andon_trainer.network.conv_dense import Autoencoder
from andon_trainer.network.linear import CrossFit, LinearOutput, fit_linear
from andon_trainer.network.mask import FrameMask
from andon_trainer.network.tensors import normalise
from andon_trainer.options import TrainingOptions
from andon_trainer.progress import Progress, quiet
from andon_trainer.training.loss import loss
from andon_trainer.training.optimiser import Optimiser
from andon_trainer.training.schedule import Schedule, TrainedNetwork

PATIENCE = 8  # evaluations without progress before the training ends early
# Among evaluations this close to the best one, as a share of its loss, the last is kept: it had the lowest learning
# rate, which matters more than the last per cent of a loss.
LOSS_TOLERANCE = 0.02
VALIDATION_FRAMES = 64  # enough to tell two sets of weights apart; all evaluations take a few per cent of the time
VALIDATION_SEED = 20  # fixed: evaluations must not depend on the seed of the training
PREFETCHED_BATCHES = 4
PROGRESS_STEPS = 5  # between two reports of progress
MAX_GRADIENT_NORM = 1.0


def train_network(
    images: Pixels,
    split: Split,
    arch: Architecture,
    options: TrainingOptions,
    progress: Progress = quiet,
    interrupted: Event | None = None,
    frame_mask: FrameMask | None = None,
) -> TrainedNetwork:
    """Train on `images[split.train]`, keep the last weights that did well on `images[split.validation]`.

    Weights do well where the whole loss or the reconstruction's part of it is low. The error head's part rises again
    once the head is overconfident, long before it stops getting better at finding defects; and the reconstruction gets
    worse at first where principal components have done most of it.

    `images`: uint8 [N, H, W, C]; `frame_mask`: where in them the network looks. Raises FittingError where the loss
    is not finite, or where the training was interrupted before the first evaluation.
    """
    schedule = Schedule(options, interrupted)
    torch.manual_seed(options.seed)
    device = torch.device(options.device)
    progress("principal components", 0.0)
    cross_fit: CrossFit | None
    linear, cross_fit = fit_linear(images[split.train], split.groups[split.train], arch, options.seed, frame_mask)
    variation = cross_fit.variation
    texture = cross_fit.texture
    if cross_fit.aligned:
        network = Autoencoder(arch)
        network.linear, cross_fit = linear, cross_fit.to(device)
    else:
        network, cross_fit = Autoencoder(replace(arch, components=0)), None
    network = network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    # Frames of parts are large, so there is time for few steps, and Muon gets more from each. It overfits textures.
    optimiser = Optimiser(network, options.weight_decay, muon=not texture)
    frame_mask = None if frame_mask is None else copy.deepcopy(frame_mask).to(device)
    validation = validation_batches(images[split.validation], options.batch, variation, device, frame_mask)
    best = (math.inf, math.inf)  # the lowest losses of all evaluations, whole and of the reconstruction
    stale = 0
    running: list[Tensor] = []  # losses since the last evaluation

    stream = batch_stream(images[split.train], options, variation, masked_pixels(frame_mask))
    batches = prefetch(stream, PREFETCHED_BATCHES)
    for step in schedule:
        network.train()
        batch = next(batches)
        frames, clean, mask = to_tensors(batch, device, frame_mask)
        x = normalise(frames)[0]
        rebuilt = cross_fit(x, [item.index for item in batch]) if cross_fit else None
        total = losses(network, x, rebuilt, normalise(clean)[0], mask)[0]
        total.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), MAX_GRADIENT_NORM)
        optimiser.step(step.learning_rate)
        running.append(total.detach())

        if schedule.evaluation_is_due(step):
            training_loss = float(torch.stack(running).mean())
            evaluation = schedule.add_evaluation(step, training_loss, *validation_losses(network, validation))
            running.clear()
            stale += 1
            values = (evaluation.validation_loss, evaluation.reconstruction_loss)
            if any(value < lowest * (1 + LOSS_TOLERANCE) for value, lowest in zip(values, best, strict=True)):
                schedule.keep(evaluation, network)
                stale = 0
            best = (min(values[0], best[0]), min(values[1], best[1]))
            if stale >= PATIENCE:
                schedule.end_early()
                break
        if step.iteration % PROGRESS_STEPS == 0:
            known = schedule.evaluations
            progress(f"loss {known[-1].validation_loss:.3f}" if known else "warming up", step.done)

    return schedule.finish(network.to(memory_format=torch.contiguous_format), texture)


def losses(
    network: Autoencoder, x: Tensor, rebuilt: LinearOutput | None, clean: Tensor, mask: Tensor
) -> tuple[Tensor, Tensor]:
    """The total loss and its reconstruction part.

    `x`, `clean`: normalised frames, corrupted and not, float [N, C, H, W]; `rebuilt`: what the linear
    branch makes of `x`.
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
def validation_losses(network: Autoencoder, batches: list[tuple[Tensor, Tensor, Tensor]]) -> tuple[float, float]:
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
    held_out: Pixels, batch: int, variation: Variation, device: torch.device, frame_mask: FrameMask | None = None
) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Good frames that the weights never see, corrupted in the same ways at every evaluation."""
    rng = np.random.default_rng(VALIDATION_SEED)
    masked = masked_pixels(frame_mask)
    frames = [training_frame(held_out, i % len(held_out), rng, variation, masked) for i in range(VALIDATION_FRAMES)]
    return [to_tensors(frames[i : i + batch], device, frame_mask) for i in range(0, VALIDATION_FRAMES, batch)]


def masked_pixels(frame_mask: FrameMask | None) -> Masked | None:
    """The pixels that no corruption may change, bool [H, W]."""
    return None if frame_mask is None else frame_mask.pixels


def batch_stream(
    images: Pixels, options: TrainingOptions, variation: Variation, masked: Masked | None = None
) -> Iterator[list[Corrupted]]:
    """Endless batches of training frames, each pass over the images in a new order."""
    rng = np.random.default_rng(options.seed)
    waiting: list[int] = []
    while True:
        while len(waiting) < options.batch:
            waiting += rng.permutation(len(images)).tolist()
        chosen, waiting = waiting[: options.batch], waiting[options.batch :]
        yield [training_frame(images, index, rng, variation, masked) for index in chosen]


def prefetch(batches: Iterator[list[Corrupted]], depth: int) -> Iterator[list[Corrupted]]:
    """Make the next batches in a thread while the network trains: OpenCV and NumPy leave the interpreter free."""
    with ThreadPoolExecutor(1, thread_name_prefix="corruption") as pool:
        pending = deque(pool.submit(next, batches) for _ in range(depth))
        while True:
            pending.append(pool.submit(next, batches))
            yield pending.popleft().result()


def to_tensors(
    batch: list[Corrupted], device: torch.device, frame_mask: FrameMask | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Frames and clean frames float [N, C, H, W], channels last in memory, and masks float [N, 1, H, W]."""
    frames, clean = (
        torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2).to(device, memory_format=torch.channels_last)
        for arrays in ([item.frame for item in batch], [item.clean for item in batch])
    )
    masks = torch.from_numpy(np.stack([item.mask for item in batch]))[:, None].to(device)
    if frame_mask is not None:
        # Here and not before: the camera's frames are moved and lit under a mask that stays where it is.
        frames, clean = frame_mask(frames)[0], frame_mask(clean)[0]
    return frames, clean, masks
