"""Runs in an environment with anomalib: train one of its models, and export it with the outputs of Andon's models.

Arguments: name of the model, a folder (train/*.png to learn from; held_out.npy uint8 [N, H, W, C] to score), seed,
seconds. Leaves model.onnx and found.npz in the folder. Nothing is downloaded: these models start from random weights,
and Draem, which has other pictures for its defects by default, takes the noise that it has for want of them.
"""

import sys
import time
from datetime import timedelta
from pathlib import Path

import numpy as np
import torch
from anomalib.data import Folder
from anomalib.data.utils import TestSplitMode, ValSplitMode
from anomalib.engine import Engine
from anomalib.models import Draem, Ganomaly
from lightning.pytorch import seed_everything
from torch import Tensor, nn
from torchvision.transforms.v2 import Normalize

BATCH = {"ganomaly": 32, "draem": 8}  # as published
OPTIMISERS = {"ganomaly": 2, "draem": 1}  # whose steps all count


class Graph(nn.Module):
    """uint8 [N, H, W, C] to score [N], map [N, h, w], reconstruction (here the frames themselves) and latent [N, 1]."""

    def __init__(self, model: nn.Module, normalise: nn.Module) -> None:
        super().__init__()
        self.model, self.normalise = model, normalise

    def forward(self, frames: Tensor) -> tuple[Tensor, ...]:
        x = frames.permute(0, 3, 1, 2).float() / 255
        found = self.model(self.normalise(x if x.shape[1] == 3 else x.repeat(1, 3, 1, 1)))
        score = found.pred_score.flatten() + 1  # a score of nearly 0 has no relative precision
        places = found.anomaly_map
        places = score[:, None, None].repeat(1, 2, 2) if places is None else places.flatten(0, -3) + 1
        return score, places, frames.clone(), score[:, None]


def main(name: str, folder: Path, seed: int, seconds: float) -> None:
    """Train, score, export."""
    seed_everything(seed)
    held_out = torch.from_numpy(np.load(folder / "held_out.npy"))
    size = tuple(held_out.shape[1:3])
    (folder / "textures").mkdir()
    kind = {"ganomaly": Ganomaly, "draem": Draem}[name]
    options = {"dtd_dir": folder / "textures"} if name == "draem" else {"batch_size": BATCH[name]}
    model = kind(pre_processor=kind.configure_pre_processor(size), evaluator=False, visualizer=False, **options)
    count = len(list((folder / "train").iterdir()))
    images = Folder(
        name="part",
        root=folder,
        normal_dir="train",
        train_batch_size=min(BATCH[name], count),
        num_workers=0,
        test_split_mode=TestSplitMode.NONE,
        val_split_mode=ValSplitMode.NONE,
    )
    start = time.monotonic()
    engine = Engine(
        max_time=timedelta(seconds=seconds),
        max_epochs=-1,
        accelerator="cpu",
        default_root_dir=folder / "log",
        logger=False,
        enable_progress_bar=False,
        limit_val_batches=0,
    )
    engine.fit(model, datamodule=images)
    seconds = time.monotonic() - start
    normalise = [part for part in model.pre_processor.transform.transforms if isinstance(part, Normalize)]
    graph = Graph(model.model, nn.Sequential(*normalise)).eval().cpu()
    with torch.no_grad():
        scores = np.concatenate([graph(frame[None])[0].numpy() for frame in held_out])
    torch.onnx.export(
        graph,
        (held_out[:1],),
        folder / "model.onnx",
        input_names=["frames"],
        output_names=["score", "anomaly_map", "reconstruction", "latent"],
        external_data=False,
        dynamo=True,
        verbose=False,
    )
    iterations = engine.trainer.global_step // OPTIMISERS[name]
    np.savez(folder / "found.npz", scores=scores, iterations=iterations, seconds=seconds)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))
