"""Train a dense autoencoder."""

import math
from threading import Event

import numpy as np
import torch
from andon_monitor.model.imaging import Pixels

from andon_trainer.architecture import DenseArchitecture
from andon_trainer.data.splits import Split
from andon_trainer.network.dense import DenseAutoencoder
from andon_trainer.network.mask import FrameMask
from andon_trainer.network.tensors import to_unit
from andon_trainer.options import TrainingOptions
from andon_trainer.progress import Progress, quiet
from andon_trainer.training.schedule import Schedule, TrainedNetwork

SPARSE_WEIGHT_DECAY = 1e-2  # or a sparse network would write small numbers and read them with large weights
VALIDATION_SEED = 20  # one noise for all evaluations, so that only the weights make them differ


def train_dense_network(
    images: Pixels,
    split: Split,
    arch: DenseArchitecture,
    options: TrainingOptions,
    progress: Progress = quiet,
    interrupted: Event | None = None,
    frame_mask: FrameMask | None = None,
) -> TrainedNetwork:
    """Train with Adam on `images[split.train]`, keep the weights with the lowest loss on `images[split.validation]`.

    `images`: uint8 [N, H, W, C]; `frame_mask`: where in them the network looks. Raises FittingError as
    `training.loop.train_network` does.
    """
    schedule = Schedule(options, interrupted)
    torch.manual_seed(options.seed)
    generator = torch.Generator().manual_seed(options.seed)
    network = DenseAutoencoder(arch)
    decay = SPARSE_WEIGHT_DECAY if arch.kind == "sparse" else 0.0
    optimiser = torch.optim.AdamW(network.parameters(), lr=options.learning_rate, weight_decay=decay)
    train, held_out = (to_unit(torch.from_numpy(images[part])) for part in (split.train, split.validation))
    if frame_mask is not None:
        train, held_out = frame_mask(train)[0], frame_mask(held_out)[0]
    lowest = math.inf
    order = torch.empty(0, dtype=torch.long)
    losses: list[float] = []
    for step in schedule:
        for group in optimiser.param_groups:
            group["lr"] = step.learning_rate
        if not len(order):
            order = torch.randperm(len(train), generator=generator)
        chosen, order = order[: options.batch], order[options.batch :]
        total, _ = network.loss(train[chosen], generator)
        optimiser.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        losses.append(float(total.detach()))
        if schedule.evaluation_is_due(step):
            with torch.no_grad():
                whole, reconstruction = network.loss(held_out, torch.Generator().manual_seed(VALIDATION_SEED))
            evaluation = schedule.add_evaluation(step, float(np.mean(losses)), float(whole), float(reconstruction))
            losses.clear()
            if evaluation.validation_loss < lowest:
                schedule.keep(evaluation, network)
                lowest = evaluation.validation_loss
            progress(f"loss {evaluation.validation_loss:.4f}", step.done)
    return schedule.finish(network)
