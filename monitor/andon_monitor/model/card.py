"""The model card: facts about a model, as JSON in its file's metadata under `andon.card`."""

import json
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from andon_monitor.common.text import MAX_NAME_CHARS, is_plain, shown
from andon_monitor.errors import ModelError
from andon_monitor.model.calibration import CARD_TOLERANCE, Calibration, Finite, Score
from andon_monitor.model.mask import MAX_FRAME_PIXELS, MAX_SIDE, Length, Mask

CARD_KEY = "andon.card"
GOLDEN_KEY = "andon.golden"
CARD_VERSION = 1
MAX_CARD_CHARS = 1_000_000  # of JSON: ten times that of a card with all the scores that it may keep
MAX_GOLDEN_FRAMES = 64
MAX_KINDS = 1000
MAX_PROBES, MAX_PROBE_FRAMES = 30, 100
MAX_KNOWN_IMAGES = 4096  # hashes on a card: 60 kB
MAX_INPUT_PIXELS = 2**24  # four times 2048 x 2048, the largest input that can be asked for
MAX_ARCHITECTURE_DEPTH = 3  # lists in lists

GoldenOutcome = Literal["good", "defect"]


def _plain(text: str) -> str:
    if not is_plain(text):
        raise ValueError("has control characters")
    return text


def _checked_time(moment: datetime) -> datetime:
    if not 2000 <= moment.year <= 2200:
        raise ValueError(f"the year {moment.year}")
    return moment


def _plain_json(value: Any, depth: int = 0) -> Any:
    match value:
        case bool() | None:
            return value
        case int() | float() if -(2**53) <= value <= 2**53:  # not NaN
            return value
        case str() if len(value) <= 1000 and is_plain(value):
            return value
        case list() | tuple() if len(value) <= 1000 and depth < MAX_ARCHITECTURE_DEPTH:
            for inner in value:
                _plain_json(inner, depth + 1)
            return value
    raise ValueError("has a value that is no number, short text or short list of them")


Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME_CHARS), AfterValidator(_plain)]
Text = Annotated[str, Field(max_length=200), AfterValidator(_plain)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
ImageHash = Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")]
Whole = Annotated[int, Field(ge=0, le=10**9)]
Pixel = Annotated[int, Field(ge=0, le=MAX_SIDE)]
Positive = Annotated[Finite, Field(ge=0, le=1e12)]
Share = Annotated[Finite, Field(ge=0, le=1)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class InputSpec(_Part):
    """The model's input, uint8 [N, height, width, channels], and how a camera frame becomes one.

    `frame_size` (width, height in pixels) is the size of all training images, None if they varied. `region` (left, top,
    width, height in pixels of the frame) is the region of interest, None for the whole frame. `mask` says where in it
    the model looks, None for everywhere. `black_level` and
    `white_level` are the values of a 16-bit image that become 0 and 255, see `levels`. JPEG frames are decoded at
    1 / `reduction` of their width and height, see `andon_monitor.model.imaging.load`.
    """

    height: int = Field(ge=4, le=MAX_SIDE)
    width: int = Field(ge=4, le=MAX_SIDE)
    channels: Literal[1, 3]
    frame_size: tuple[Length, Length] | None = None
    region: tuple[Pixel, Pixel, Length, Length] | None = None
    mask: Mask | None = None
    black_level: int = Field(default=0, ge=0, le=65534)
    white_level: int = Field(default=255, ge=1, le=65535)
    reduction: Literal[1, 2, 4, 8] = 1

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.height * self.width > MAX_INPUT_PIXELS:
            raise ValueError(f"{self.width} x {self.height} pixels, at most {MAX_INPUT_PIXELS} are allowed")
        if self.black_level >= self.white_level:
            raise ValueError(f"black_level {self.black_level} is not below white_level {self.white_level}")
        if self.region is not None:
            left, top, width, height = self.region
            within = self.frame_size or (MAX_SIDE, MAX_SIDE)
            if left + width > within[0] or top + height > within[1]:
                raise ValueError(f"region {self.region} is not inside a frame of {within[0]} x {within[1]} pixels")
            if any(length % self.reduction for length in self.region):
                raise ValueError(f"region {self.region} cannot be divided by the reduction {self.reduction}")
        if self.reduction > 1 and self.frame_size is None:
            raise ValueError(f"reduction {self.reduction} without a frame_size")
        if self.mask is not None:
            width, height = self.frame_size or self.mask.size
            if not self.mask.fits(width, height) or width * height > MAX_FRAME_PIXELS:
                raise ValueError(f"its mask of {self.mask.size} does not fit frames of {width} x {height} pixels")
            if self.frame_size is None and self.region is not None:
                raise ValueError("a mask and a region for frames of any size")
        return self

    @model_serializer(mode="wrap")
    def _without_no_mask(self, serialise: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # Earlier versions, which know no masks, read the others.
        fields: dict[str, Any] = serialise(self)
        return fields if self.mask is not None else {key: value for key, value in fields.items() if key != "mask"}

    @property
    def levels(self) -> tuple[int, int] | None:
        """Values of a 16-bit image that become 0 and 255; None for a model of 8-bit images."""
        return None if (self.black_level, self.white_level) == (0, 255) else (self.black_level, self.white_level)


class Spread(_Part):
    """Distribution of a quantity over the calibration images: good images that were held out from training."""

    mean: Score
    std: Annotated[Finite, Field(ge=0, le=3.5e38)]
    lowest: Score
    highest: Score

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        slack = CARD_TOLERANCE * max(abs(self.lowest), abs(self.highest))
        if not self.lowest - slack <= self.mean <= self.highest + slack or self.lowest > self.highest:
            raise ValueError(
                f"lowest {self.lowest:g}, mean {self.mean:g} and highest {self.highest:g} are not in order"
            )
        if self.std > (self.highest - self.lowest) / 2 + slack:  # Popoviciu's inequality
            raise ValueError(f"std {self.std:g} is impossible between {self.lowest:g} and {self.highest:g}")
        return self


class Reference(_Part):
    """Scores and pictures of the calibration images, with which frames on the line are compared for drift."""

    score: Spread
    brightness: Spread
    sharpness: Spread

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        if not 0 <= self.brightness.lowest <= self.brightness.highest <= 1:
            raise ValueError(
                f"brightness from {self.brightness.lowest:g} to {self.brightness.highest:g}; right is 0 to 1"
            )
        if self.sharpness.lowest < 0:
            raise ValueError(f"sharpness {self.sharpness.lowest:g} is below 0")
        return self


class Training(_Part):
    """How the model was trained.

    `twin_groups` counts groups of near-duplicate images, each on one side of the split; `tested_twins` counts good test
    images with a near-duplicate among the training images. `suspects` counts outliers among the images, and `left_out`
    those of them that were held out but not used for the threshold. `fingerprint` is the sha256 over the sorted sha256
    of the image files. `known_images` are hashes of the images at the model's size, see
    `andon_trainer.data.known_images`. `seconds` is the duration of training and `ended` the reason for its end. With
    several `networks`, each was trained without another part of the images, and these held-out parts set the threshold;
    `common_images` of them were held out from every network.
    """

    images: Whole
    networks: int = Field(default=1, ge=1, le=1000)
    validation_images: Whole
    calibration_images: Whole
    common_images: Whole = 0
    validation_is_calibration: bool
    twin_groups: Whole
    tested_twins: Whole = 0
    suspects: Whole = 0
    left_out: Whole = 0
    fingerprint: Sha256
    known_images: tuple[ImageHash, ...] = Field(default=(), max_length=MAX_KNOWN_IMAGES)
    seed: int = Field(ge=-(2**64), le=2**64)
    iterations: Whole
    seconds: Positive
    ended: Literal["iterations", "budget", "early", "interrupted"]
    device: Text


class Kinds(_Part):
    """The kinds of defects that a model tells apart, and how well, see `andon_trainer.uses.classification`.

    Measured on held-out images. `accuracy` is the mean recall over the kinds. `calibration_error`, in 0..1, is the mean
    difference between probabilities and observed shares with `temperature`, `calibration_error_before` without it.
    """

    names: tuple[Name, ...] = Field(min_length=2, max_length=MAX_KINDS)
    way: Literal["frozen", "fine-tuned"]
    images: Whole
    accuracy: Share
    temperature: Positive = Field(gt=0)
    calibration_error: Share
    calibration_error_before: Share

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if len(set(self.names)) != len(self.names):
            raise ValueError("two kinds have the same name")
        return self


class Probe(_Part):
    """Frames whose verdict is known without any label, and their scores: what the model was asked after its fit.

    "impossible" frames are no good parts (a covered camera, a part turned upside down); "made-up" are good parts with a
    defect drawn on them. See `andon_trainer.export.probes`.
    """

    kind: Literal["impossible", "made-up"]
    name: Name
    scores: tuple[Score, ...] = Field(min_length=1, max_length=MAX_PROBE_FRAMES)


class EvaluatedImages(_Part):
    """What became of labelled test images at the threshold, in images."""

    good: Whole
    false_alarms: Whole
    defects: Whole
    found: Whole

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.false_alarms > self.good or self.found > self.defects:
            raise ValueError("more test images were flagged than there are")
        return self


class Card(_Part):
    """Everything that a person or the monitor needs to know about a model.

    `golden_outcomes` are what the threshold makes of the golden frames; None in files of earlier versions, which have
    no `probes` either. `tested` is None where there were no labelled images, or another threshold was set since.
    """

    card_version: int
    name: Name
    created_at: Annotated[AwareDatetime, AfterValidator(_checked_time)]
    architecture: dict[Name, Annotated[Any, AfterValidator(_plain_json)]] = Field(max_length=100)
    input: InputSpec
    calibration: Calibration
    reference: Reference
    training: Training
    kinds: Kinds | None = None
    golden_outcomes: tuple[GoldenOutcome, ...] | None = Field(default=None, max_length=MAX_GOLDEN_FRAMES)
    metrics: dict[Name, Share] = Field(default={}, max_length=100)
    probes: tuple[Probe, ...] = Field(default=(), max_length=MAX_PROBES)
    tested: EvaluatedImages | None = None
    milliseconds_per_image: Positive | None = None
    versions: dict[Name, Text] = Field(max_length=100)
    weights_sha256: Sha256

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        scores, spread = self.calibration.scores, self.reference.score
        slack = CARD_TOLERANCE * max(abs(scores[0]), abs(scores[-1]))
        if abs(spread.lowest - scores[0]) > slack or abs(spread.highest - scores[-1]) > slack:
            raise ValueError(
                f"reference scores from {spread.lowest:g} to {spread.highest:g}, calibration scores from "
                f"{scores[0]:g} to {scores[-1]:g}"
            )
        return self

    @property
    def threshold(self) -> float:
        """The score above which a part is a defect."""
        return self.calibration.threshold


def parse_card(text: str, path: str) -> Card:
    """Read a card from JSON; `path` names the model file. Raises ModelError: damaged, or from a newer version."""
    damaged = f"{path}: its model card is damaged"
    if len(text) > MAX_CARD_CHARS:
        raise ModelError(f"{damaged}: {len(text)} characters, at most {MAX_CARD_CHARS} are right")
    try:
        version = json.loads(text, object_pairs_hook=_without_doubles)["card_version"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ModelError(f"{damaged}; export the model again") from None
    if version != CARD_VERSION:
        raise ModelError(
            f"{path}: model card version {shown(str(version))}, this program reads version {CARD_VERSION}; "
            "update andon or export the model again"
        )
    try:
        return Card.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        where = f" at {shown(place)}" if place else ""
        raise ModelError(f"{damaged}{where}: {shown(first['msg'].removeprefix('Value error, '), 200)}") from None


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a key comes twice")
    return fields
