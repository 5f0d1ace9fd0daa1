"""A threshold set anew by what people said on the review page, as `andon-monitor export` writes it."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from andon_monitor.errors import UsageError
from andon_monitor.model.calibration import calibrate
from andon_monitor.model.card import CARD_KEY
from andon_monitor.model.file import Model
from numpy.typing import NDArray
from pydantic import BaseModel, FiniteFloat, TypeAdapter, ValidationError

from andon_trainer.export import graph as export
from andon_trainer.fitting import spread

LINE_FILE = "line.json"
MIN_SCORES = 3  # the least a tail can be fitted to


class LineScores(BaseModel):
    """What the line scored under one model; see `andon_monitor.review.export.line_scores`."""

    sha256: str
    weights_sha256: str | None
    good: tuple[FiniteFloat, ...]
    false_alarms: tuple[FiniteFloat, ...]
    defects: tuple[FiniteFloat, ...]
    unlabelled: int


@dataclass(frozen=True)
class Note:
    """What the new threshold does to the frames it was set by. `stay`: false alarms that still are."""

    good: int
    false_alarms: int
    stay: int
    defects: int
    missed: int
    unlabelled: int

    def __str__(self) -> str:
        text = (
            f"set on {self.good} good frames of the line; {self.stay} of {self.false_alarms} false alarms stay, "
            f"{self.missed} of {self.defects} confirmed defects would be missed"
        )
        if self.unlabelled:
            text += f"; {self.unlabelled} alarms without a sure label were left out, label them for an honest threshold"
        return text


def recalibrate_on_labels(path: Path, folder: Path, false_alarm_rate: float) -> tuple[bytes, Note]:
    """The content of the same model with its threshold set on the line itself: frames that passed, and false alarms.

    False alarms alone would be no sample of good parts: they were chosen for their scores. With all frames that passed
    they are one, and the conformal quantile holds, as far as alarms have labels and the frames that passed are good.
    The scores are those of the line, so nothing is scored anew. Raises UsageError, ModelError.
    """
    model = Model.load(path, provider="cpu")
    lines = [line for line in read_line(folder) if model.sha256 == line.sha256 or _same_weights(model, line)]
    good = _joined(line.good for line in lines)
    if len(good) < MIN_SCORES:
        raise UsageError(
            f"{folder}: {len(good)} good frames that {path} scored, at least {MIN_SCORES} are needed; these labels are "
            "of another model, or its verdicts did not reach the review page"
        )
    alarms, defects = (_joined(getattr(line, name) for line in lines) for name in ("false_alarms", "defects"))
    card = model.card
    calibration = calibrate(good, false_alarm_rate)
    card = card.model_copy(
        update={
            "calibration": calibration,
            "reference": card.reference.model_copy(update={"score": spread(good)}),
            "training": card.training.model_copy(update={"calibration_images": len(good)}),
            "metrics": {},  # measured at the old threshold, on other images
        }
    )
    graph = onnx.load_from_string(path.read_bytes())
    export.set_metadata(graph, CARD_KEY, card.model_dump_json())
    note = Note(
        good=len(good),
        false_alarms=len(alarms),
        stay=int((alarms > calibration.threshold).sum()),
        defects=len(defects),
        missed=int((defects <= calibration.threshold).sum()),
        unlabelled=sum(line.unlabelled for line in lines),
    )
    return export.serialise(graph), note


def read_line(folder: Path) -> list[LineScores]:
    """The scores in a folder of labels. Raises UsageError."""
    path = folder / LINE_FILE
    try:
        return TypeAdapter(list[LineScores]).validate_json(path.read_bytes())
    except OSError:
        raise UsageError(f"{path}: cannot be read; give a folder that andon-monitor export wrote") from None
    except ValidationError as error:
        raise UsageError(f"{path}: damaged ({error.errors()[0]['msg']}); export the labels again") from None


def _same_weights(model: Model, line: LineScores) -> bool:
    return line.weights_sha256 == model.card.weights_sha256


def _joined(parts: Iterable[tuple[float, ...]]) -> NDArray[np.float64]:
    return np.array([score for part in parts for score in part], dtype=np.float64)
