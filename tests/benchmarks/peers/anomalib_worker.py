"""Runs in an environment with anomalib: one of its models, made ready once, or used as its own tools use it.

    prepare NAME FOLDER IMAGES             leaves weights/torch/model.pt and weights/onnx/model.onnx in FOLDER
    run TOOL NAME FOLDER IMAGES SECONDS    prints frames a second, processor seconds a frame, peak memory (bytes): JSON

TOOL is `engine`, Engine.predict on a folder of images, or `inferencer`, TorchInferencer.predict on one image after the
other. Weights are random, since only speed is asked for and nothing is downloaded; Padim and Patchcore look at some
of IMAGES for what they remember of good parts. No heatmap is drawn or saved, which takes longer.
"""

import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from anomalib.data import Folder, PredictDataset
from anomalib.data.utils import TestSplitMode, ValSplitMode
from anomalib.deploy import TorchInferencer
from anomalib.engine import Engine
from anomalib.models import Draem, EfficientAd, Ganomaly, Padim, Patchcore
from lightning.pytorch import seed_everything

SIZE = (256, 256)  # as Andon's default
KINDS = {"ganomaly": Ganomaly, "draem": Draem, "efficientad": EfficientAd, "padim": Padim, "patchcore": Patchcore}
LEAST = 8  # frames of a measurement
WARM = 4
# Images that are learned from. Padim's time for a frame does not depend on how many they are; Patchcore's memory grows
# with them, and so does its time: of 48 images it holds 4,900 patches, chosen in minutes; of hundreds it is slower.
PARTS = {"padim": 16, "patchcore": 48}


def prepare(name: str, folder: Path, images: Path) -> None:
    """Make the model, let it look at the images where it needs to, write it in both forms."""
    seed_everything(0)
    kind = KINDS[name]
    options: dict[str, object] = {"pre_processor": kind.configure_pre_processor(SIZE), "visualizer": False}
    if name == "draem":
        (folder / "textures").mkdir(parents=True, exist_ok=True)
        options["dtd_dir"] = folder / "textures"
    if name in ("padim", "patchcore"):
        options["pre_trained"] = False
    model = kind(evaluator=False, **options)
    if name in ("padim", "patchcore"):
        (folder / "good").mkdir(exist_ok=True)
        for path in sorted(images.iterdir())[: PARTS[name]]:
            shutil.copy(path, folder / "good")
        parts = Folder(
            name="part",
            root=folder,
            normal_dir="good",
            train_batch_size=8,
            num_workers=0,
            test_split_mode=TestSplitMode.NONE,
            val_split_mode=ValSplitMode.NONE,
        )
        with tempfile.TemporaryDirectory() as log:
            engine(Path(log), max_epochs=1, limit_val_batches=0).fit(model, datamodule=parts)
    if name == "efficientad":
        # Of a training these would be quantiles of the maps; left at nothing they make scores that are no numbers.
        for key, value in (("qa_st", 0.1), ("qb_st", 1.0), ("qa_ae", 0.1), ("qb_ae", 1.0)):
            model.model.quantiles[key].data.fill_(value)
        for key, value in (("mean", 0.0), ("std", 1.0)):
            model.model.mean_std[key].data.fill_(value)
    model.eval()
    model.to_torch(folder)
    model.to_onnx(folder, input_size=SIZE)


def engine(log: Path, **options: object) -> Engine:
    """Anomalib's own way of doing anything, on the processor."""
    return Engine(
        accelerator="cpu", logger=False, enable_progress_bar=False, default_root_dir=log, barebones=False, **options
    )


def run(tool: str, name: str, folder: Path, images: Path, seconds: float) -> dict[str, float]:
    """Use it for about so many seconds."""
    path = folder / "weights" / "torch" / "model.pt"
    files = sorted(images.iterdir())
    if tool == "inferencer":
        inferencer = TorchInferencer(path, device="cpu")

        def predict(count: int) -> None:
            with torch.no_grad():
                for i in range(count):
                    inferencer.predict(files[i % len(files)])

        return measure(predict, seconds)
    model = torch.load(path, weights_only=False)["model"]
    with tempfile.TemporaryDirectory() as place:
        few = Path(place) / "frames"
        few.mkdir()

        def predict_folder(count: int) -> None:
            for i in range(len(list(few.iterdir())), count):
                os.link(files[i % len(files)], few / f"{i:06d}{files[0].suffix}")
            made = engine(Path(place) / "log")
            found = made.predict(model, dataset=PredictDataset(few))
            assert sum(len(batch.image) for batch in found) == count

        return measure(predict_folder, seconds)


def measure(predict: Callable[[int], None], seconds: float) -> dict[str, float]:
    """A few frames to be warm, and to know how many take the time."""
    predict(WARM)
    started = time.monotonic()
    predict(WARM)
    count = max(LEAST, round(WARM * seconds / (time.monotonic() - started)))
    started, cpu = time.monotonic(), time.process_time()
    predict(count)
    rate, cost = count / (time.monotonic() - started), (time.process_time() - cpu) / count
    status = Path("/proc/self/status").read_text()  # getrusage's peak would be no less than the parent's
    return {"rate": rate, "cpu": cost, "memory": 1024 * int(status.split("VmHWM:")[1].split()[0])}


if __name__ == "__main__":
    if sys.argv[1] == "prepare":
        prepare(sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]))
    else:
        tool, name, *places, seconds = sys.argv[2:]
        print(json.dumps(run(tool, name, *map(Path, places), float(seconds))))  # type: ignore[call-arg]
