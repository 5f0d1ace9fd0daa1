"""Packages of evidence: ZIP archives that any language reads, never unpacked to disk.

evidence.json         the verdict as in the topic of verdicts, the kind, the model's input, the size of the map
frame                 the unchanged image file of the camera
anomaly_map.f32       float32 [h, w], little-endian, row by row, in the unit of the score
reconstruction.png    uint8 [H, W, C]
"""

import io
import json
import math
import re
import zipfile
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    FiniteFloat,
    PlainValidator,
    StringConstraints,
    ValidationError,
)

from andon_monitor.common.times import rfc3339
from andon_monitor.errors import EvidenceError, ImageError
from andon_monitor.image_files.decoding import DecodingLimits, decode
from andon_monitor.inspection.frames import MAX_EVENTS, Outcome, parse_time
from andon_monitor.inspection.part import Part, read_part
from andon_monitor.inspection.regions import MAX_OUTLINE_POINTS, MAX_REGIONS
from andon_monitor.model.card import InputSpec
from andon_monitor.model.imaging import Pixels

Kind = Literal["defect", "borderline", "good"]
KINDS: tuple[Kind, ...] = ("defect", "borderline", "good")

ABOUT, FRAME, MAP, RECONSTRUCTION = "evidence.json", "frame", "anomaly_map.f32", "reconstruction.png"
MAX_ABOUT_BYTES = 2**16
MAX_MAP_SIDE = 2048  # pixels: four times the largest model's map
MAX_INPUT_SIDE = 4096  # pixels, as the largest models take
MAX_FRAME_SIDE = 2**16  # pixels
MAX_PACKAGE_BYTES = 2**27
MAX_MEMBERS = 64  # there are four
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # Python decompresses the others without a limit
DIRECTORY_ENTRY = b"PK\x01\x02"
MAX_FRAME_BYTES = 2**26  # eight times the default limit of a topic
MAX_ERROR_LENGTH = 200  # characters
ID = r"[0-9a-f]{32}"  # as `inspection.frames.verdict_id` makes them; it is used as a file name


def _time(value: object) -> float:
    seconds = parse_time(value) if isinstance(value, str) else math.nan
    rfc3339(seconds)  # raises for times outside of the calendar
    return seconds


def _part(value: object) -> Part | None:
    return read_part(value)[0]  # never refuses: what a producer says about a part must not cost the evidence


class _Read(BaseModel):
    """Part of a message that anybody may have sent: sizes are limited, unknown keys are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class ModelName(_Read):
    """The model that gave a verdict."""

    alias: str = Field(max_length=200)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class Place(_Read):
    """The topic, partition and offset of a frame; `event`: its index in a record with a batch of events."""

    topic: str = Field(max_length=500)
    partition: int = Field(ge=0, lt=2**31)
    offset: int = Field(ge=0, lt=2**63)
    file: str | None = Field(default=None, max_length=1000)
    event: int | None = Field(default=None, ge=0, le=MAX_EVENTS)


Coordinate = Annotated[int, Field(ge=0, le=MAX_FRAME_SIDE)]
Size = Annotated[FiniteFloat, Field(ge=0)]


class Peak(_Read):
    """The highest place of a region, in pixels of the frame."""

    x: Coordinate
    y: Coordinate
    score: FiniteFloat


class Millimetres(_Read):
    """The size of a region in millimetres and square millimetres."""

    width: Size
    height: Size
    area: Size


class RegionRecord(_Read):
    """Where a defect is, as `inspection.regions.Region`."""

    box: tuple[Coordinate, Coordinate, Coordinate, Coordinate]
    outline: tuple[tuple[Coordinate, Coordinate], ...] = Field(max_length=MAX_OUTLINE_POINTS)
    area: int = Field(ge=0, le=MAX_FRAME_SIDE**2)
    share: Annotated[FiniteFloat, Field(ge=0, le=1)]
    peak: Peak
    millimetres: Millimetres | None = None


class VerdictRecord(_Read):
    """A verdict read from JSON (`Verdict.to_json`). `captured_at`: seconds since 1970."""

    id: Annotated[str, StringConstraints(pattern=f"^{ID}$")]
    camera: str = Field(min_length=1, max_length=200)
    captured_at: Annotated[float, BeforeValidator(_time)]
    verdict: Outcome
    threshold: FiniteFloat
    model: ModelName
    frame: Place
    score: FiniteFloat | None = None
    p_value: FiniteFloat | None = None
    reason: str | None = Field(default=None, max_length=50)
    detail: str | None = Field(default=None, max_length=1000)
    part: Annotated[Part | None, PlainValidator(_part)] = None
    regions: tuple[RegionRecord, ...] | None = Field(default=None, max_length=MAX_REGIONS)


def _limited(spec: InputSpec) -> InputSpec:
    """A model's input that pictures can be made for. Raises ValueError."""
    left, top, *sides = spec.region or (0, 0, 1, 1)
    sides += spec.frame_size or ()
    if max(spec.height, spec.width) > MAX_INPUT_SIDE:
        raise ValueError(f"{spec.width} x {spec.height} pixels, at most {MAX_INPUT_SIDE} a side")
    if min(left, top) < 0 or min(sides) < 1 or max(left, top, *sides) > MAX_FRAME_SIDE:
        raise ValueError("a region or frame size that no frame can have")
    if spec.black_level >= spec.white_level:
        raise ValueError("a black level that is not below the white level")
    return spec


class About(_Read):
    """The content of `evidence.json`."""

    kind: Kind
    verdict: VerdictRecord
    input: Annotated[InputSpec, AfterValidator(_limited)]
    anomaly_map: tuple[
        Annotated[int, Field(ge=1, le=MAX_MAP_SIDE)],
        Annotated[int, Field(ge=1, le=MAX_MAP_SIDE)],
    ]


@dataclass(frozen=True)
class Evidence:
    """One frame that people are shown, with what explains its verdict.

    `frame`: the bytes of the image file; `anomaly_map`: float32 [h, w]; `reconstruction`: uint8 [H, W, C].
    """

    about: About
    frame: bytes
    anomaly_map: NDArray[np.float32]
    reconstruction: Pixels

    @property
    def verdict(self) -> VerdictRecord:
        """The verdict of the monitor."""
        return self.about.verdict


def pack(
    kind: Kind, verdict_json: str, spec: InputSpec, frame: bytes, anomaly_map: NDArray[np.float32], rebuilt: Pixels
) -> bytes:
    """Make a package from an image file, `anomaly_map` float32 [h, w] and `rebuilt` uint8 [H, W, C].

    The same arguments give the same bytes. Nothing is compressed: the images are already.
    """
    about = {
        "kind": kind,
        "verdict": json.loads(verdict_json),
        # Without the mask, which may be large: the map says what was not inspected.
        "input": spec.model_copy(update={"mask": None}).model_dump(mode="json"),
        "anomaly_map": list(anomaly_map.shape),
    }
    ordered = rebuilt if rebuilt.shape[2] == 1 else cv2.cvtColor(rebuilt, cv2.COLOR_RGB2BGR)
    _, png = cv2.imencode(".png", ordered)
    members = {
        ABOUT: json.dumps(about, ensure_ascii=False).encode(),
        FRAME: frame,
        MAP: anomaly_map.astype("<f4").tobytes(),
        RECONSTRUCTION: png.tobytes(),
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return buffer.getvalue()


def unpack(data: bytes) -> Evidence:
    """Read a package, which anybody may have sent. Raises EvidenceError; never takes more memory than the limits."""
    if len(data) > MAX_PACKAGE_BYTES or data.count(DIRECTORY_ENTRY) > MAX_MEMBERS:
        raise EvidenceError(f"more than {MAX_PACKAGE_BYTES} bytes, or more than {MAX_MEMBERS} members")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            about = About.model_validate_json(_member(archive, ABOUT, MAX_ABOUT_BYTES))
            height, width = about.anomaly_map
            frame = _member(archive, FRAME, MAX_FRAME_BYTES)
            values = _member(archive, MAP, 4 * height * width)
            png = _member(archive, RECONSTRUCTION, MAX_FRAME_BYTES)
        if about.verdict.score is None:
            raise EvidenceError("evidence of a frame without a score")
        if len(values) != 4 * height * width:
            raise EvidenceError(f"an anomaly map of {len(values)} bytes, {height} x {width} are {4 * height * width}")
        spec = about.input
        rebuilt = decode(png, spec.channels, limits=DecodingLimits(spec.height * spec.width))
        if rebuilt.shape != (spec.height, spec.width, spec.channels):
            raise EvidenceError(f"{RECONSTRUCTION}: {rebuilt.shape}, not the model's input")
    except EvidenceError:
        raise
    except ValidationError as error:
        raise EvidenceError(f"{ABOUT}: {describe(error)}") from None
    except ImageError as error:
        raise EvidenceError(f"{RECONSTRUCTION}: {error}") from None
    except Exception as error:  # zipfile, zlib and json each raise their own
        raise EvidenceError(f"not a package of evidence ({_one_line(error)})") from None
    anomaly_map = np.frombuffer(values, "<f4").reshape(height, width).astype(np.float32)
    if not np.isfinite(anomaly_map).all():
        raise EvidenceError("an anomaly map with NaN or infinite values")
    return Evidence(about, frame, anomaly_map, rebuilt)


def read_verdict(data: bytes) -> VerdictRecord:
    """Read a verdict from its JSON. Raises EvidenceError."""
    try:
        return VerdictRecord.model_validate_json(data[:MAX_ABOUT_BYTES])
    except ValidationError as error:
        raise EvidenceError(f"a verdict: {describe(error)}") from None


def describe(error: ValidationError) -> str:
    """The first error in one line, without the value that was sent."""
    first: Any = error.errors(include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    return _one_line(f"{place}: {first['msg']}" if place else first["msg"])


def _member(archive: zipfile.ZipFile, name: str, limit: int) -> bytes:
    """The bytes of a member. Raises EvidenceError beyond `limit`: an archive may claim any size."""
    if archive.getinfo(name).compress_type not in METHODS:
        raise EvidenceError(f"{name}: compressed in another way than stored or deflated")
    with archive.open(name) as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise EvidenceError(f"{name}: more than {limit} bytes")
    return content


def _one_line(text: object) -> str:
    return re.sub(r"\s+", " ", str(text))[:MAX_ERROR_LENGTH]
