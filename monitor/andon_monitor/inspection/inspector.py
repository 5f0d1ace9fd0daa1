"""From frames to verdicts: pure functions of a model, rules and frames, without threads, input or output."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from andon_monitor.errors import ImageError, ModelError, first_line
from andon_monitor.image_files.decoding import DEFAULT_LIMITS, DecodingLimits, Pixels, read_header
from andon_monitor.inspection.frames import Frame, Latency, Outcome, Position, Rejection, Verdict, verdict_id
from andon_monitor.inspection.regions import Regions, find_regions
from andon_monitor.model import imaging
from andon_monitor.model.calibration import calibrate
from andon_monitor.model.file import Model
from andon_monitor.model.golden import GOLDEN_GOOD
from andon_monitor.model.imaging import input_mask
from andon_monitor.settings.groups import Settings


@dataclass(frozen=True)
class Rules:
    """The operator's decisions about inspection.

    `alias` names the model in verdicts, None for its card's name. `thresholds` are threshold overrides by camera. A
    frame is `too_dark` if its brightness is below `too_dark` times the lowest of the calibration frames, `too_blurred`
    likewise for the sharpness; 0 turns a rule off. `max_staleness` is in seconds. With `regions` a defect's verdict
    says where it is; `scales` are millimetres per pixel by camera.

    `recipe` names the recipe whose rules these are, None without recipes. Its `threshold` or `false_alarm_rate`
    overrides the model's threshold, its `scale` in millimetres per pixel those of all cameras.
    """

    alias: str | None = None
    thresholds: Mapping[str, float] = field(default_factory=dict)
    too_dark: float = imaging.TOO_DARK
    too_blurred: float = imaging.TOO_BLURRED
    limits: DecodingLimits = DEFAULT_LIMITS
    max_staleness: float | None = None
    regions: bool = True
    scales: Mapping[str, float] = field(default_factory=dict)
    recipe: str | None = None
    threshold: float | None = None
    false_alarm_rate: float | None = None
    scale: float | None = None

    @classmethod
    def from_settings(cls, settings: Settings) -> "Rules":
        """The rules among the settings."""
        inspection = settings.inspection
        return cls(
            alias=settings.model.alias,
            thresholds=inspection.thresholds,
            too_dark=inspection.too_dark,
            too_blurred=inspection.too_blurred,
            limits=DecodingLimits(inspection.max_pixels, inspection.max_decoding_bytes),
            max_staleness=inspection.max_staleness,
            regions=inspection.regions,
            scales=inspection.scales,
        )


@dataclass(frozen=True, slots=True)
class Prepared:
    """A frame with the model's input, `pixels` uint8 [H, W, C], or the reason why it cannot be inspected."""

    frame: Frame
    pixels: Pixels | None = None
    brightness: float | None = None
    sharpness: float | None = None
    rejection: Rejection | None = None


@dataclass(frozen=True, slots=True)
class Inspection:
    """A verdict with the frame, and the model that it came from.

    `latency` covers the stages up to the score; `arrived` is in seconds of the monotonic clock.
    """

    prepared: Prepared
    verdict: Verdict
    latency: Latency | None = None
    arrived: float = 0.0
    model: Model | None = None

    @property
    def frame(self) -> Frame:
        """The frame the verdict is about."""
        return self.prepared.frame


class Inspector:
    """A model with the rules of its use."""

    def __init__(self, model: Model, rules: Rules | None = None) -> None:
        self.model = model
        self.rules = rules or Rules()
        self.alias = self.rules.alias or model.card.name
        self._threshold = _threshold_of(model, self.rules)
        self._mask = input_mask(model.card.input)
        calibration = model.card.calibration
        self._rates = {camera: calibration.p_value(limit) for camera, limit in self.rules.thresholds.items()}

    @property
    def false_alarm_rate(self) -> float:
        """Share of good parts that the threshold is set to flag; those of single cameras aside."""
        rules, calibration = self.rules, self.model.card.calibration
        if rules.threshold is not None:
            return calibration.p_value(rules.threshold)
        return calibration.false_alarm_rate if rules.false_alarm_rate is None else rules.false_alarm_rate

    def threshold(self, camera: str) -> float:
        """The score above which a part at this camera is a defect."""
        return self.rules.thresholds.get(camera, self._threshold)

    def find(self, frame: Frame) -> "Inspector":
        """The inspector of a frame: this one, as without recipes it takes every frame."""
        return self

    def prepare(self, frame: Frame) -> Prepared:
        """Decode, crop and resize, and check light and focus. Never raises."""
        if frame.rejection is not None:
            return Prepared(frame, rejection=frame.rejection)
        try:
            pixels = imaging.load(frame.data, self.model.card.input, self.rules.limits)
            brightness, sharpness = imaging.brightness(pixels, self._mask), imaging.sharpness(pixels, self._mask)
        except ImageError as error:
            return Prepared(frame, rejection=Rejection(error.reason, str(error)))
        except Exception as error:  # an unexpected error in one frame must not end the stream
            return Prepared(frame, rejection=_failed(error))
        return self._check_light_and_focus(frame, pixels, brightness, sharpness)

    def _check_light_and_focus(self, frame: Frame, pixels: Pixels, brightness: float, sharpness: float) -> Prepared:
        rules, reference = self.rules, self.model.card.reference
        rejection = _too_low("too_dark", "brightness", brightness, rules.too_dark, reference.brightness.lowest)
        if rejection is None:
            rejection = _too_low("too_blurred", "sharpness", sharpness, rules.too_blurred, reference.sharpness.lowest)
        return Prepared(frame, None if rejection else pixels, brightness, sharpness, rejection)

    def inspect(self, batch: Sequence[Prepared], now: float | None = None) -> list[Verdict]:
        """One verdict for each of `batch`, in its order. Never raises.

        Frames older than `max_staleness` at `now` (seconds since 1970, None for recordings) are skipped; their verdict
        says so. A score does not depend on the other frames of the batch.
        """
        rejections = [self._stale(prepared.frame, now) or prepared.rejection for prepared in batch]
        inspected = [i for i, rejection in enumerate(rejections) if rejection is None]
        scores = dict(zip(inspected, self._score([batch[i].pixels for i in inspected]), strict=True))
        return [self._verdict(prepared, rejections[i] or scores[i]) for i, prepared in enumerate(batch)]

    def check_golden(self) -> None:
        """Inspect the model's golden frames under these rules: each must get the outcome that its self-test gave.

        A frame of a corrupted part may be too dark or blurred, and so may a good one where the rules are stricter than
        by default. Raises ModelError.
        """
        model, rules = self.model, self.rules
        lenient = rules.too_dark <= imaging.TOO_DARK and rules.too_blurred <= imaging.TOO_BLURRED
        batch = []
        for i, pixels in enumerate(model.golden_frames):
            frame = Frame("", 0.0, b"", Position("", "", 0, i))
            measured = imaging.brightness(pixels, self._mask), imaging.sharpness(pixels, self._mask)
            batch.append(self._check_light_and_focus(frame, pixels, *measured))
        own = Inspector(model, replace(rules, threshold=None, false_alarm_rate=None, thresholds={}, regions=False))
        for i, verdict in enumerate(own.inspect(batch)):
            right = model.golden_outcomes[i]
            skipped = verdict.outcome == "uninspectable" and verdict.reason in ("too_dark", "too_blurred")
            if verdict.outcome != right and not (skipped and (i >= GOLDEN_GOOD or right == "defect" or not lenient)):
                why = f" ({verdict.reason}: {verdict.detail})" if verdict.reason else ""
                raise ModelError(f"{model.path}: self-test failed: golden frame {i + 1} is {verdict.outcome}{why}")

    def _score(self, pixels: Sequence[Any]) -> list[float | Rejection]:
        """A score for each frame (uint8 [H, W, C]), or the reason why it has none."""
        if not pixels:
            return []
        try:
            scores = _finite(self.model.score(pixels[0][None] if len(pixels) == 1 else np.stack(pixels)))
            if len(scores) != len(pixels):
                raise ValueError(f"{len(scores)} scores for {len(pixels)} frames")
            return scores
        except Exception as error:  # onnxruntime's exceptions share no base class but Exception
            if len(pixels) == 1:
                return [_failed(error)]
        # One frame fails the whole batch: score each frame alone to find it.
        return [score for frame in pixels for score in self._score([frame])]

    def _stale(self, frame: Frame, now: float | None) -> Rejection | None:
        limit = self.rules.max_staleness
        if now is None or limit is None or now - frame.captured_at <= limit:
            return None
        return Rejection("stale", f"captured more than {limit:g} s ago")

    def _verdict(self, prepared: Prepared, result: float | Rejection) -> Verdict:
        frame, model = prepared.frame, self.model
        threshold = self.threshold(frame.camera)
        rejection = result if isinstance(result, Rejection) else None
        score = None if isinstance(result, Rejection) else result
        outcome: Outcome = "uninspectable" if score is None else "defect" if score > threshold else "good"
        kind, probability = self._kind(prepared) if outcome == "defect" else (None, None)
        return Verdict(
            id=verdict_id(frame.position, model.sha256),
            camera=frame.camera,
            captured_at=frame.captured_at,
            outcome=outcome,
            model=self.alias,
            model_sha256=model.sha256,
            threshold=threshold,
            position=frame.position,
            file=frame.file,
            score=score,
            p_value=None if score is None else model.card.calibration.p_value(score),
            reason=rejection.reason if rejection else None,
            detail=rejection.detail if rejection else None,
            kind=kind,
            kind_probability=probability,
            part=frame.part,
            false_alarm_rate=self._rates.get(frame.camera, self.false_alarm_rate),
            regions=self._regions(prepared, threshold) if outcome == "defect" else None,
            recipe=self.rules.recipe,
            time_source=frame.time_source,
        )

    def _kind(self, prepared: Prepared) -> tuple[str, float] | tuple[None, None]:
        """The most probable kind of a defect and its probability, if the model tells kinds apart."""
        if not self.model.kinds or prepared.pixels is None:
            return None, None
        try:
            probabilities = self.model.classify(prepared.pixels[None])[0]
            likeliest = int(probabilities.argmax())
            return self.model.kinds[likeliest], float(probabilities[likeliest])
        except Exception:  # without a kind, the part is still a defect
            return None, None

    def _regions(self, prepared: Prepared, threshold: float) -> Regions | None:
        """Where a defect is, None where that is not wanted or cannot be said."""
        frame, spec = prepared.frame, self.model.card.input
        if not self.rules.regions or prepared.pixels is None or not frame.data:
            return None
        try:
            size = spec.frame_size or read_header(frame.data).upright_size
            anomaly_map = self.model.locate(prepared.pixels[None])[0]
            scale = self.rules.scale or self.rules.scales.get(frame.camera)
            return find_regions(anomaly_map, threshold, spec, size, scale)
        except Exception:  # without regions, the part is still a defect
            return None


def _threshold_of(model: Model, rules: Rules) -> float:
    if rules.threshold is not None:
        return rules.threshold
    if rules.false_alarm_rate is None:
        return model.card.threshold
    return calibrate(model.card.calibration.scores, rules.false_alarm_rate).threshold


def _finite(scores: NDArray[np.float32]) -> list[float | Rejection]:
    # NaN is above no threshold: the part would count as good.
    values = scores.tolist()
    return [value if math.isfinite(value) else Rejection("failed", f"the model's score is {value}") for value in values]


def _too_low(reason: str, what: str, value: float, ratio: float, lowest: float) -> Rejection | None:
    if value >= ratio * lowest:
        return None
    return Rejection(reason, f"{what} {value:.4g}, below {ratio:g} x {lowest:.4g}, the lowest of good frames")


def _failed(error: Exception) -> Rejection:
    name, line = type(error).__name__, first_line(error)
    return Rejection("failed", name if line == name else f"{name}: {line}")
