"""What is inspected: frames like those of common cameras, and models made for them."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from andon_monitor.inspection.frames import Frame, Position
from andon_monitor.model.imaging import Pixels

# Different ones; a stream repeats them. So few that the model has no patch memory: the less the model takes, the more
# the work of the monitor itself shows.
IMAGES = 48
NOISE = 2.0  # grey levels of a sensor's noise, which is what makes files large and decoding slow
JPEG_QUALITY = 90
SIDES = {"default": 256, "large": 384}


@dataclass(frozen=True)
class Workload:
    """One kind of camera with one model. Sizes in pixels."""

    name: str
    width: int
    height: int
    channels: int
    suffix: str
    model: str  # of SIDES

    @property
    def key(self) -> str:
        """As a file name."""
        return f"{self.name}-{self.model}"

    def images(self, folder: Path) -> Path:
        """The folder of its images; they are drawn where they are not there yet."""
        images = folder / self.name
        if not images.is_dir():
            part = images.with_suffix(".part")
            part.mkdir(parents=True, exist_ok=True)
            for number in range(IMAGES):
                options = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY] if self.suffix == ".jpg" else []
                cv2.imwrite(str(part / f"{number:03d}{self.suffix}"), self._draw(number), options)
            part.rename(images)
        return images

    def trained(self, folder: Path) -> Path:
        """Its model, trained for a few steps where it is not there yet: what it has learned costs no time."""
        path = folder / f"{self.width}x{self.height}x{self.channels}-{self.model}.onnx"
        if not path.is_file():
            command = [
                sys.executable,
                "-c",
                "from andon_trainer.cli.main import main; main()",
                "fit",
                self.images(folder),
            ]
            command += ["-o", path, "--iterations", "10", "--side", str(SIDES[self.model]), "--batch", "4"]
            command += ["--encoder", "none"]  # the monitor's own share is measured: the network is as small as it gets
            subprocess.run(command, check=True)
        return path

    def frames(self, folder: Path, count: int) -> list[Frame]:
        """`count` frames of four cameras."""
        data = [path.read_bytes() for path in sorted(self.images(folder).iterdir())]
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
WORKLOADS = {workload.key: workload for kind in KINDS for workload in (Workload(*kind, model=name) for name in SIDES)}
