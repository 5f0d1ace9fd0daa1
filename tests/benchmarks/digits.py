"""The classic dense autoencoder against principal components on handwritten digits: python -m tests.benchmarks.digits

The digits are scikit-learn's own, 8 x 8 pixels, three quarters to learn from. For each number of components the command
line fits a network with as narrow a layer, and `reduce` measures both on the other quarter. Two minutes on one core.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

COMPONENTS = (2, 4, 8, 12)


def main() -> None:
    """Print what `andon-trainer reduce` prints, for each number of components."""
    with tempfile.TemporaryDirectory() as folder:
        digits = Path(folder) / "digits.npz"
        source = load_digits()
        images = (source.images / 16).astype(np.float32)
        parts = train_test_split(images, source.target, test_size=0.25, random_state=0, stratify=source.target)
        np.savez(digits, **dict(zip(("x_train", "x_test", "y_train", "y_test"), parts, strict=True)))
        for count in COMPONENTS:
            model = Path(folder) / f"{count}.onnx"
            layers = f"64-128-64-{count}-64-128-64"
            run("fit", digits, "-o", model, "--architecture", "dense", "--layers", layers, "--threads", "1")
            table = Path(folder) / "latents.parquet"
            run("reduce", model, digits / "x_test", "-o", table, "--pca-on", digits / "x_train")


def run(*arguments: str | Path) -> None:
    """Run andon-trainer."""
    subprocess.run([Path(sys.executable).parent / "andon-trainer", *map(str, arguments)], check=True)


if __name__ == "__main__":
    main()
