"""Measure a model on labelled images: ranking metrics, and the rates at the threshold stored in the model."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from andon_monitor.common.intervals import INTERVAL, Rate, rate
from andon_monitor.errors import ModelError, UsageError
from andon_monitor.model.anomaly_map import enlarge
from andon_monitor.model.autoencoder import Autoencoder
from andon_monitor.model.card import EvaluatedImages
from andon_monitor.model.file import Model
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score

from andon_trainer.data.dataset import Dataset, DataSource, open_dataset
from andon_trainer.data.images import ImageCache
from andon_trainer.data.known_images import image_hash
from andon_trainer.data.masks import load_mask
from andon_trainer.data.sample import GOOD, Sample
from andon_trainer.progress import Progress, quiet

PRO_LIMIT = 0.3  # AU-PRO is integrated up to this false-positive rate, as Bergmann et al. (2021) do
# Pixels are counted in bins by the first 20 bits of their float32 value: sign, exponent and 11 bits of mantissa. Values
# that agree to 1 part in 2,000 count as ties, and the memory needed does not grow with the number of images.
HISTOGRAM_BITS = 20
MASKS_NAMED = 3


@dataclass(frozen=True)
class Judged:
    """One image and the model's verdict; `label` is "good" or the kind of defect."""

    path: Path
    label: str
    score: float
    defect: bool
    mask: Path | None = None


@dataclass(frozen=True)
class KindResult:
    """One kind of defect: AUROC against all good images (None without any) and how many were found."""

    kind: str
    count: int
    auroc: float | None
    detection: Rate


@dataclass(frozen=True)
class PixelResult:
    """How well defects are located, at the model's input resolution, over good images and defects with a mask."""

    images: int
    regions: int
    auroc: float | None
    au_pro: float | None


@dataclass(frozen=True)
class Evaluation:
    """All figures. A figure that needs good images, defects or masks is None where there are none.

    `notes`: what a person should know about the images and the masks.
    """

    threshold: float
    images: tuple[Judged, ...]
    image_auroc: float | None
    average_precision: float | None
    f1_max: float | None
    pixels: PixelResult | None
    false_alarms: Rate | None
    detection: Rate | None
    kinds: tuple[KindResult, ...]
    notes: tuple[str, ...] = ()

    def headline(self) -> dict[str, float]:
        """The defined figures by the names that the model card uses."""
        figures = {
            "image_auroc": self.image_auroc,
            "average_precision": self.average_precision,
            "f1_max": self.f1_max,
            "pixel_auroc": self.pixels.auroc if self.pixels else None,
            "au_pro": self.pixels.au_pro if self.pixels else None,
            "false_alarm_rate": self.false_alarms.share if self.false_alarms else None,
            "detection_rate": self.detection.share if self.detection else None,
        }
        return {name: value for name, value in figures.items() if value is not None}

    def tested(self) -> EvaluatedImages | None:
        """Numbers of images at the threshold, as the model card keeps them; None without any."""
        good, defects = self.false_alarms, self.detection
        if good is None and defects is None:
            return None
        return EvaluatedImages(
            good=good.count if good else 0,
            false_alarms=good.flagged if good else 0,
            defects=defects.count if defects else 0,
            found=defects.flagged if defects else 0,
        )

    def to_dict(self) -> dict[str, Any]:
        """Every figure, the kind of intervals, and the scores of all images, ready for JSON."""
        fields = asdict(self)
        images = fields.pop("images")
        for image in images:
            image["path"] = str(image["path"])
            image["mask"] = None if image["mask"] is None else str(image["mask"])
        return {**fields, "interval": INTERVAL, "pro_limit": PRO_LIMIT, "images": images}


class PixelCounts:
    """Pixel AUROC and AU-PRO in bounded memory: anomaly maps are counted into histograms and not kept."""

    def __init__(self) -> None:
        self.images = 0
        self.regions = 0
        self._good = np.zeros(1 << HISTOGRAM_BITS, np.int64)
        self._defect = np.zeros(1 << HISTOGRAM_BITS, np.int64)
        self._overlap = np.zeros(1 << HISTOGRAM_BITS, np.float64)

    def add(self, anomaly_map: NDArray[np.float32], mask: NDArray[np.bool_]) -> bool:
        """Count one image: its anomaly map float32 [h, w], upsampled bilinearly to its mask bool [H, W].

        Pixels that the model does not look at do not count. Returns whether any defect pixel does.
        """
        values, hidden = enlarge(anomaly_map, mask.shape)
        bins, good = _bins(values), ~mask
        if hidden is not None:
            mask, good = mask & ~hidden, good & ~hidden
        self.images += 1
        self._good += np.bincount(bins[good], minlength=1 << HISTOGRAM_BITS)
        if not mask.any():
            return False
        regions, numbers = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
        areas = np.bincount(numbers.ravel())
        inside = bins[mask]
        self.regions += regions - 1  # number 0 is the background
        self._defect += np.bincount(inside, minlength=1 << HISTOGRAM_BITS)
        self._overlap += np.bincount(inside, weights=1 / areas[numbers[mask]], minlength=1 << HISTOGRAM_BITS)
        return True

    def auroc(self) -> float | None:
        """Area under the ROC curve of all pixels; None without good pixels or without defect pixels."""
        if not self._good.any() or not self._defect.any():
            return None
        return area_below(_cumulative(self._good), _cumulative(self._defect))

    def au_pro(self, limit: float = PRO_LIMIT) -> float | None:
        """Area under the mean overlap of regions over the false-positive rate, up to `limit`, divided by `limit`.

        Bergmann et al., "The MVTec Anomaly Detection Dataset", IJCV 2021: every 8-connected region has the same weight
        whatever its size, so a pixel of a region of area A counts 1 / A: a weighted ROC curve.
        """
        if not self._good.any() or not self._defect.any():
            return None
        return area_below(_cumulative(self._good), _cumulative(self._overlap), limit) / limit


def evaluate(
    model: str | Path | Model | Autoencoder,
    data: DataSource | Sequence[DataSource] | Dataset | Sequence[Sample],
    progress: Progress = quiet,
    files: ImageCache | None = None,
) -> Evaluation:
    """Score labelled images one at a time, exactly as the monitor scores frames, and measure the results.

    `model`: a model file, or one that is open. `data`: a folder, a recording, ..., or several, see
    `data.dataset.open_dataset`, or what that returned; its test images are used (its training images where it has no
    test images). Or samples.
    `files`: what is known of their files already. Good images that the model was fitted to are left out, since it knows
    them too well; a note says how many.
    Raises UsageError (no images, none but those, or one that cannot be decoded or has another size than those the model
    was fitted on) and ModelError (the model file; a score that is no number).
    """
    model = open_model(model)
    samples = _samples_of(data)
    if not samples:
        raise UsageError("no images to evaluate; give a folder with test/good and test/<kind of defect>")
    files = files or ImageCache(kept_bytes=0)
    threshold = model.card.threshold
    counts = PixelCounts() if any(sample.mask and sample.label != GOOD for sample in samples) else None
    known = set(model.card.training.known_images)
    judged, left_out = [], 0
    empty: list[Path] = []  # masks
    hidden: list[Path] = []  # masks of defects where the model does not look
    for i, sample in enumerate(samples):
        frame = files.frame(sample.path, model.card.input)[None]  # [1, H, W, C]
        if sample.label == GOOD and image_hash(frame[0]) in known:
            left_out += 1
            continue
        score = float(model.score(frame)[0])
        if not np.isfinite(score):
            raise ModelError(f"{sample.path}: the model's score is {score}; fit the model again")
        judged.append(Judged(sample.path, sample.label, score, score > threshold, sample.mask))
        if counts is not None and (mask := _mask(sample, model, files)) is not None:
            if sample.mask is not None and sample.label != GOOD and not mask.any():
                empty.append(sample.mask)
            elif not counts.add(model.explain(frame).anomaly_map[0], mask) and sample.mask is not None and mask.any():
                hidden.append(sample.mask)
        progress("evaluating", (i + 1) / len(samples))
    if not judged:
        raise UsageError(f"the model was fitted to all {left_out} images; give some that it does not know")
    notes = (*_known_notes(left_out), *_mask_notes(empty, hidden))
    return replace(measure(judged, threshold, counts), notes=notes)


def _samples_of(data: DataSource | Sequence[DataSource] | Dataset | Sequence[Sample]) -> Sequence[Sample]:
    if not isinstance(data, Dataset):
        given = [data] if isinstance(data, str | Path) else list(data)
        samples = [one for one in given if isinstance(one, Sample)]
        if len(samples) == len(given):
            return samples
        data = open_dataset([one for one in given if not isinstance(one, Sample)])
    return data.test or data.train


def open_model(model: str | Path | Model | Autoencoder) -> Model:
    """A model file opened, unless it is open already. Raises UsageError, ModelError."""
    if isinstance(model, Autoencoder):
        return model.model
    return model if isinstance(model, Model) else Model.load(Path(model), threads=0)


def measure(images: Sequence[Judged], threshold: float, counts: PixelCounts | None = None) -> Evaluation:
    """All figures from the images' scores and labels."""
    scores = np.array([image.score for image in images])
    labels = np.array([image.label for image in images])
    flagged = scores > threshold
    good = labels == GOOD
    kinds = []
    for kind in sorted(set(labels[~good].tolist())):
        of_kind = labels == kind
        one = good | of_kind
        found = rate(int(flagged[of_kind].sum()), int(of_kind.sum()))
        assert found is not None  # every kind has at least one image
        kinds.append(KindResult(kind, found.count, auroc(of_kind[one], scores[one]), found))
    return Evaluation(
        threshold=threshold,
        images=tuple(images),
        image_auroc=auroc(~good, scores),
        average_precision=average_precision(~good, scores),
        f1_max=f1_max(~good, scores),
        pixels=PixelResult(counts.images, counts.regions, counts.auroc(), counts.au_pro()) if counts else None,
        false_alarms=rate(int(flagged[good].sum()), int(good.sum())),
        detection=rate(int(flagged[~good].sum()), int((~good).sum())),
        kinds=tuple(kinds),
    )


def auroc(is_defect: NDArray[np.bool_], scores: ArrayLike) -> float | None:
    """The chance that a defect scores above a good part, ties counting half; None without good parts or defects."""
    return float(roc_auc_score(is_defect, scores)) if _has_both(is_defect) else None


def average_precision(is_defect: NDArray[np.bool_], scores: ArrayLike) -> float | None:
    """Precision averaged over the steps of recall; None without good parts or defects."""
    return float(average_precision_score(is_defect, scores)) if _has_both(is_defect) else None


def f1_max(is_defect: NDArray[np.bool_], scores: ArrayLike) -> float | None:
    """The largest F1 score over all thresholds; None without good parts or defects."""
    if not _has_both(is_defect):
        return None
    precision, recall, _ = precision_recall_curve(is_defect, scores)
    return float(np.max(2 * precision * recall / np.maximum(precision + recall, 1e-12)))


def area_below(x: NDArray[np.float64], y: NDArray[np.float64], limit: float = 1.0) -> float:
    """Trapezoidal area under a curve with `x` rising from 0 to 1, cut at `x = limit` by interpolation."""
    kept = int(np.searchsorted(x, limit, side="right"))
    if x[kept - 1] < limit:
        step = (limit - x[kept - 1]) / (x[kept] - x[kept - 1])
        at_limit = y[kept - 1] + step * (y[kept] - y[kept - 1])
        x, y = np.append(x[:kept], limit), np.append(y[:kept], at_limit)
    else:
        x, y = x[:kept], y[:kept]
    return float(np.trapezoid(y, x))


def _mask(sample: Sample, model: Model, files: ImageCache) -> NDArray[np.bool_] | None:
    """The pixels of the defect, bool [H, W]; None for a defect without a mask."""
    spec = model.card.input
    if sample.label == GOOD:
        return np.zeros((spec.height, spec.width), np.bool_)
    if sample.mask is None:
        return None
    size = spec.frame_size
    if size is None:
        header = files.header(sample.path)
        size = header.width, header.height
    return load_mask(sample.mask, spec, size, files.limits)


def _known_notes(left_out: int) -> tuple[str, ...]:
    if not left_out:
        return ()
    images = "1 good image is" if left_out == 1 else f"{left_out} good images are"
    return (f"{images} left out, because the model was fitted to {'it' if left_out == 1 else 'them'}",)


def _mask_notes(empty: Sequence[Path], hidden: Sequence[Path]) -> tuple[str, ...]:
    notes = []
    if empty:
        masks = "1 mask shows" if len(empty) == 1 else f"{len(empty)} masks show"
        notes.append(f"{masks} no defect at the model's resolution; pixel figures leave them out ({_examples(empty)})")
    if hidden:
        defects = "1 defect lies" if len(hidden) == 1 else f"{len(hidden)} defects lie"
        notes.append(f"{defects} wholly where the model does not look, so it cannot find them ({_examples(hidden)})")
    return tuple(notes)


def _examples(masks: Sequence[Path]) -> str:
    return ", ".join(map(str, masks[:MASKS_NAMED])) + ", ..." * (len(masks) > MASKS_NAMED)


def _bins(values: NDArray[Any]) -> NDArray[np.uint32]:
    """Bin numbers that rise with the values: float32 bits, made monotonic and cut to the first `HISTOGRAM_BITS`."""
    bits = np.ascontiguousarray(values + np.float32(0), np.float32).view(np.uint32)  # -0 becomes 0
    ordered = np.where(bits >> 31 == 1, ~bits, bits | np.uint32(1 << 31))
    bins: NDArray[np.uint32] = ordered >> np.uint32(32 - HISTOGRAM_BITS)
    return bins


def _cumulative(counts: NDArray[Any]) -> NDArray[np.float64]:
    """The share of the total at or above each bin, from the highest bin down; the first value is 0."""
    total = np.cumsum(counts[::-1], dtype=np.float64)
    return np.concatenate([[0.0], total / total[-1]])


def _has_both(is_defect: NDArray[np.bool_]) -> bool:
    return bool(is_defect.any() and not is_defect.all())
