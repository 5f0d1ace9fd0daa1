"""The model card: facts about a model, as JSON in its file's metadata under `andon.card`."""

import json
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from andon_monitor.errors import ModelError
from andon_monitor.model.calibration import Calibration

CARD_KEY = "andon.card"
GOLDEN_KEY = "andon.golden"
CARD_VERSION = 1


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class InputSpec(_Part):
    """The model's input, uint8 [N, height, width, channels], and how a camera frame becomes one.

    `frame_size` (width, height in pixels) is the size of all training images, None if they varied. `region` (left, top,
    width, height in pixels of the frame) is the region of interest, None for the whole frame. `black_level` and
    `white_level` are the values of a 16-bit image that become 0 and 255, see `levels`. JPEG frames are decoded at
    1 / `reduction` of their width and height, see `andon_monitor.model.imaging.load`.
    """

    height: int = Field(ge=4)
    width: int = Field(ge=4)
    channels: Literal[1, 3]
    frame_size: tuple[int, int] | None = None
    region: tuple[int, int, int, int] | None = None
    black_level: int = Field(default=0, ge=0, le=65534)
    white_level: int = Field(default=255, ge=1, le=65535)
    reduction: Literal[1, 2, 4, 8] = 1

    @property
    def levels(self) -> tuple[int, int] | None:
        """Values of a 16-bit image that become 0 and 255; None for a model of 8-bit images."""
        return None if (self.black_level, self.white_level) == (0, 255) else (self.black_level, self.white_level)


class Spread(_Part):
    """Distribution of a quantity over the calibration images: good images that were held out from training."""

    mean: float
    std: float
    lowest: float
    highest: float


class Reference(_Part):
    """Scores and pictures of the calibration images, with which frames on the line are compared for drift."""

    score: Spread
    brightness: Spread
    sharpness: Spread


class Training(_Part):
    """How the model was trained.

    `twin_groups` counts groups of near-duplicate images, each on one side of the split; `tested_twins` counts good test
    images with a near-duplicate among the training images. `suspects` counts outliers among the images, and `left_out`
    those of them that were held out but not used for the threshold. `fingerprint` is the sha256 over the sorted sha256
    of the image files. `seconds` is the duration of training and `ended` the reason for its end. With several
    `networks`, each was trained without another part of the images, and these held-out parts set the threshold;
    `common_images` of them were held out from every network.
    """

    images: int
    networks: int = 1
    validation_images: int
    calibration_images: int
    common_images: int = 0
    validation_is_calibration: bool
    twin_groups: int
    tested_twins: int = 0
    suspects: int = 0
    left_out: int = 0
    fingerprint: str
    seed: int
    iterations: int
    seconds: float
    ended: Literal["iterations", "budget", "early", "interrupted"]
    device: str


class Kinds(_Part):
    """The kinds of defects that a model tells apart, and how well, see `andon_trainer.uses.classification`.

    Measured on held-out images. `accuracy` is the mean recall over the kinds. `calibration_error`, in 0..1, is the mean
    difference between probabilities and observed shares with `temperature`, `calibration_error_before` without it.
    """

    names: tuple[str, ...]
    way: Literal["frozen", "fine-tuned"]
    images: int
    accuracy: float
    temperature: float
    calibration_error: float
    calibration_error_before: float


class Card(_Part):
    """Everything that a person or the monitor needs to know about a model."""

    card_version: int
    name: str
    created_at: datetime
    architecture: dict[str, Any]
    input: InputSpec
    calibration: Calibration
    reference: Reference
    training: Training
    kinds: Kinds | None = None
    metrics: dict[str, float] = {}
    milliseconds_per_image: float | None = None
    versions: dict[str, str]
    weights_sha256: str

    @property
    def threshold(self) -> float:
        """The score above which a part is a defect."""
        return self.calibration.threshold


def parse_card(text: str, path: str) -> Card:
    """Read a card from JSON; `path` names the model file. Raises ModelError: damaged, or from a newer version."""
    try:
        fields = json.loads(text)
        version = fields["card_version"]
    except (ValueError, KeyError, TypeError):
        raise ModelError(f"{path}: its model card is damaged; export the model again") from None
    if version != CARD_VERSION:
        raise ModelError(
            f"{path}: model card version {version}, this program reads version {CARD_VERSION}; "
            "update andon or export the model again"
        )
    try:
        return Card.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ModelError(f"{path}: its model card is damaged at {place}: {first['msg']}") from None
