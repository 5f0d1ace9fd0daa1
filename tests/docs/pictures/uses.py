"""Make the pictures of the autoencoder's uses: python -m tests.docs.pictures.uses FOLDER

FOLDER holds what `--picture` drew, under the names of PICTURES. Of sheets the upper half, two parts of four, is enough.
"""

import sys
from pathlib import Path

import cv2

# What the command drew: the picture, and the share of the height to keep.
PICTURES = {
    "map.png": ("reduce.png", 1.0),
    "noise.png": ("denoise.jpg", 0.5),
    "jpeg.png": ("compress.jpg", 0.5),
    "curve.png": ("classify.png", 1.0),
}


def main(folder: Path) -> None:
    """Write docs/pictures/NAME for each picture that is there."""
    for name, (target, share) in PICTURES.items():
        picture = cv2.imread(str(folder / name)) if (folder / name).is_file() else None
        if picture is not None:
            quality = [cv2.IMWRITE_JPEG_QUALITY, 85] if target.endswith(".jpg") else [cv2.IMWRITE_PNG_COMPRESSION, 9]
            cv2.imwrite(f"docs/pictures/{target}", picture[: round(share * len(picture)) - (share < 1) * 3], quality)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
