"""One cell of a table: a method trained on a draw of a set with one seed, and what was measured of it.

Each cell is a file, so that a bench that was stopped goes on where it was, and what is there is not computed again.
"""

import json
import re
import tempfile
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from andon_monitor.common.files import write_whole
from andon_monitor.errors import UsageError
from andon_monitor.model.file import Model
from andon_trainer.evaluation import evaluate

from tests.benchmarks.quality.disturbances import disturb
from tests.benchmarks.quality.methods import NEED_ANOMALIB, WITHOUT_MAP, Task, find_method
from tests.benchmarks.quality.sets import draw, open_set


@dataclass(frozen=True)
class Cell:
    """What decides about a figure; `budget` in seconds, `images` None for all, `mixed` a share of defects."""

    data: str
    method: str
    seed: int
    budget: float
    images: int | None = None
    mixed: float = 0.0
    disturbance: str | None = None

    @property
    def name(self) -> str:
        """The cell's file, without its suffix."""
        parts = [Path(self.data).name, self.method, f"{self.budget:g}s", f"seed{self.seed}"]
        parts += [f"{self.images}images"] if self.images else []
        parts += [f"{self.mixed:g}mixed"] if self.mixed else []
        parts += [self.disturbance] if self.disturbance else []
        return "_".join(re.sub(r"[^\w.=+-]+", "-", part) for part in parts)


@dataclass(frozen=True)
class Bench:
    """Where cells are kept, and anomalib's interpreter where there is one."""

    output: Path
    python: str | None = None

    def is_done(self, cell: Cell) -> bool:
        """Whether the cell's file is there."""
        return (self.output / f"{cell.name}.json").exists()

    def measure(self, cell: Cell) -> dict[str, Any]:
        """The figures of a cell, from its file or by training and testing.

        Raises UsageError where the file is of another folder of that name.
        """
        path = self.output / f"{cell.name}.json"
        if not path.exists():
            write_whole(path, (json.dumps(self._compute(cell), indent=1) + "\n").encode())
        figures: dict[str, Any] = json.loads(path.read_text())
        if (measured := figures["cell"]["data"]) != cell.data:
            raise UsageError(f"{path}: figures of {measured}, not of {cell.data}; give another --output")
        return figures

    def _compute(self, cell: Cell) -> dict[str, Any]:
        drawn = draw(open_set(cell.data, self.output), cell.seed, cell.images, cell.mixed)
        model = self._model(replace(cell, disturbance=None), Task(drawn, cell.seed, cell.budget, self.python))
        if cell.disturbance is None:
            blind = cell.method in WITHOUT_MAP
            samples = tuple(replace(sample, mask=None) for sample in drawn.test) if blind else drawn.test
            evaluation = evaluate(model, samples)
        else:
            with tempfile.TemporaryDirectory() as folder:
                evaluation = evaluate(model, disturb(drawn.test, model.card.input, cell.disturbance, Path(folder)))
        card = model.card
        return {
            "cell": asdict(cell),
            "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "input": [card.input.width, card.input.height, card.input.channels],
            "learned_from": card.training.images,
            "iterations": card.training.iterations,
            "training_seconds": card.training.seconds,
            "milliseconds_per_image": card.milliseconds_per_image,
            "versions": card.versions,
            "evaluation": evaluation.to_dict(),
        }

    def _model(self, cell: Cell, task: Task) -> Model:
        path = self.output / f"{cell.name}.onnx"
        if path.exists():
            return Model.load(path, provider="cpu", threads=0)
        content = find_method(cell.method)(task)
        if cell.method not in NEED_ANOMALIB:  # hundreds of megabytes, and no table asks for them again
            write_whole(path, content)
        return Model.from_bytes(content, cell.name, provider="cpu", threads=0)
