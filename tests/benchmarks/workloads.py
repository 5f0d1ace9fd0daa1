"""What is inspected: frames like those of common cameras, and models made for them."""

import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from andon_monitor.inspection.frames import Frame, Position
from andon_monitor.model.imaging import Pixels

IMAGES = 140  # different ones, of which a stream repeats 48; enough for all that a default model has
STREAM_IMAGES = 48
NOISE = 2.0  # grey levels of a sensor's noise, which is what makes files large and decoding slow
JPEG_QUALITY = 90
# `default` has the graph of what `fit` makes by default of parts in ten minutes on two cores: one network at 384 x 384,
# the encoder, texture features. `small` is for the share of the monitor itself, which shows the more the less the model
# takes: 256 x 256, no encoder, too few images for texture features. `default-256` is `default` at the size of others'
# models. How many steps a network was trained costs no time.
FIT_OPTIONS = {
    "default": ["--side", "384", "--networks", "1"],
    "default-256": ["--side", "256", "--networks", "1"],
    "small": ["--side", "256", "--networks", "1", "--encoder", "none"],
}
FITTED_IMAGES = {"default": IMAGES, "default-256": IMAGES, "small": 48}


@dataclass(frozen=True)
class Workload:
    """One kind of camera with one model. Sizes in pixels."""

    name: str
    width: int
    height: int
    channels: int
    suffix: str
    model: str  # of FIT_OPTIONS

    @property
    def key(self) -> str:
        """As a file name."""
        return f"{self.name}-{self.model}"

    def images(self, folder: Path) -> Path:
        """The folder of its images; they are drawn where they are not there yet."""
        images = folder / f"{self.name}-{IMAGES}"
        if not images.is_dir():
            part = images.with_suffix(".part")
            part.mkdir(parents=True, exist_ok=True)
            for number in range(IMAGES):
                options = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY] if self.suffix == ".jpg" else []
                cv2.imwrite(str(part / f"{number:03d}{self.suffix}"), self._draw(number), options)
            part.rename(images)
        return images

    def trained(self, folder: Path) -> Path:
        """Its model, trained for a few steps where it is not there yet."""
        path = folder / f"{self.width}x{self.height}x{self.channels}-{self.model}.onnx"
        if not path.is_file():
            with tempfile.TemporaryDirectory() as place:
                for image in sorted(self.images(folder).iterdir())[: FITTED_IMAGES[self.model]]:
                    shutil.copy(image, place)
                command = [sys.executable, "-c", "from andon_trainer.cli.main import main; main()", "fit", place]
                command += ["-o", str(path), "--iterations", "10", "--batch", "4", *FIT_OPTIONS[self.model]]
                subprocess.run(command, check=True)
        return path

    def frames(self, folder: Path, count: int) -> list[Frame]:
        """`count` frames of four cameras."""
        data = [path.read_bytes() for path in sorted(self.images(folder).iterdir())[:STREAM_IMAGES]]
        return [
            Frame(f"station-{i % 4}", 1e9 + i, data[i % len(data)], Position("memory", "frames", 0, i))
            for i in range(count)
        ]

    def _draw(self, number: int) -> Pixels:
        """A rendered part as this camera would see it, uint8 [height, width] or [height, width, 3]."""
        from andon_trainer.sample.photo import photograph

        part = photograph([number]).image
        image = cv2.resize(part, (self.width, self.height), interpolation=cv2.INTER_CUBIC)
        if self.channels == 3:
            image = cv2.applyColorMap(image, cv2.COLORMAP_BONE)
        noise = np.random.default_rng(number).normal(0, NOISE, image.shape)
        return np.clip(image + noise, 0, 255).astype(np.uint8)


KINDS = (
    ("grey-jpeg", 640, 480, 1, ".jpg"),
    ("colour-jpeg", 1280, 1024, 3, ".jpg"),
    ("grey-png", 640, 480, 1, ".png"),
)
WORKLOADS = {
    workload.key: workload
    for kind in KINDS
    for workload in (Workload(*kind, model=name) for name in ("default", "small"))
} | {"grey-jpeg-default-256": Workload(*KINDS[0], model="default-256")}
