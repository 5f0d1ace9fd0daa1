"""Which cells make a table, and how a table is read off them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from andon_monitor.common.console import table
from andon_monitor.common.intervals import Rate, rate
from andon_trainer.data.sample import GOOD
from andon_trainer.evaluation import auroc
from numpy.typing import NDArray
from rich.table import Table as Drawn

from tests.benchmarks.quality.cells import Cell
from tests.benchmarks.quality.disturbances import DISTURBANCES

COUNTS = (10, 20, 45, 100, 300)  # good images, of the learning curve
SIZES = ("andon:size=small", "andon", "andon:size=large")
MIXED = 0.02  # of the good images are defects


@dataclass(frozen=True)
class Choice:
    """What was asked for; `counts` has the number of good images of each set."""

    counts: dict[str, int]
    methods: tuple[str, ...]
    seeds: int
    budget: float

    def cells(self, method: str, data: str, **changes: Any) -> list[Cell]:
        """A method on a set, with every seed."""
        return [Cell(data, method, seed, self.budget, **changes) for seed in range(self.seeds)]


@dataclass(frozen=True)
class Spread:
    """A figure over seeds; None where it is undefined."""

    values: tuple[float, ...]
    digits: int = 3

    @classmethod
    def of(cls, values: Iterable[float | None], digits: int = 3) -> "Spread | None":
        known = tuple(value for value in values if value is not None)
        return cls(known, digits) if known else None

    def __str__(self) -> str:
        mean = f"{np.mean(self.values):.{self.digits}f}"
        return mean if len(self.values) < 2 else f"{mean} ± {np.std(self.values, ddof=1):.{self.digits}f}"


Figure = Spread | Rate | str | None
Row = dict[str, Figure]
Results = dict[Cell, dict[str, Any]]


@dataclass(frozen=True)
class Table:
    """One table, or one for each set."""

    title: str
    cells: Callable[[Choice], list[Cell]]
    parts: Callable[[Choice, Results], dict[str, list[Row]]]  # rows under a title


def all_methods(choice: Choice) -> list[Cell]:
    """Every method on every set."""
    return [cell for data in choice.counts for method in choice.methods for cell in choice.cells(method, data)]


def all_sizes(choice: Choice) -> list[Cell]:
    """Andon in several sizes."""
    return [cell for data in choice.counts for method in SIZES for cell in choice.cells(method, data)]


def andons(choice: Choice) -> list[str]:
    """Of the methods asked for, those that are Andon with its budget: with its defaults, or with other options."""
    return [name for name in choice.methods if name.partition(":")[0] == "andon"] or ["andon"]


def fewer_images(choice: Choice) -> list[Cell]:
    """Andon with ever more good images."""
    return [
        cell
        for images in COUNTS
        for data, count in choice.counts.items()
        if images <= count
        for method in andons(choice)
        for cell in choice.cells(method, data, images=images)
    ]


def disturbed(choice: Choice) -> list[Cell]:
    """Andon on test images as they are and disturbed."""
    conditions = (None, *DISTURBANCES)
    return [
        cell
        for condition in conditions
        for data in choice.counts
        for method in andons(choice)
        for cell in choice.cells(method, data, disturbance=condition)
    ]


def mixed_in(choice: Choice) -> list[Cell]:
    """Andon that learned from good parts, and from good parts with a few defects among them."""
    return [
        cell for share in (MIXED, 0.0) for data in choice.counts for cell in choice.cells("andon", data, mixed=share)
    ]


def by_method(methods: Sequence[str] | None, choice: Choice, results: Results) -> dict[str, list[Row]]:
    """For each set: a row for each method, then what it finds of each kind."""
    parts: dict[str, list[Row]] = {}
    for data in choice.counts:
        name = Path(data).name
        rows, kinds = [], []
        for method in methods or choice.methods:
            found = [results[cell] for cell in choice.cells(method, data) if cell in results]
            if not found:
                continue
            rows.append({"method": method} | overview(found))
            kinds.append({"method": method} | of_kinds(found))
        parts[name] = rows
        if methods is None:
            parts[f"{name}: AUROC and share found at the threshold, by kind"] = kinds
    return parts


def overview(found: list[dict[str, Any]]) -> Row:
    """The figures of one method on one set, over seeds."""

    def spread(read: Callable[[dict[str, Any]], Any], digits: int = 3) -> Spread | None:
        return Spread.of((read(result) for result in found), digits)

    def evaluated(*path: str) -> Callable[[dict[str, Any]], Any]:
        def read(result: dict[str, Any]) -> Any:
            value = result["evaluation"]
            for key in path:
                value = None if value is None else value[key]
            return value

        return read

    width, height, _ = found[0]["input"]
    worst = spread(lambda result: min((kind["auroc"] for kind in result["evaluation"]["kinds"]), default=None))
    return {
        "input": f"{width} × {height}",
        "image AUROC": spread(evaluated("image_auroc")),
        "worst kind": worst,
        "AP": spread(evaluated("average_precision")),
        "pixel AUROC": spread(evaluated("pixels", "auroc")),
        "AU-PRO": spread(evaluated("pixels", "au_pro")),
        "false alarms": pooled([result["evaluation"]["false_alarms"] for result in found]),
        "found": spread(evaluated("detection", "share")),
        "training s": spread(lambda result: result["training_seconds"], 0),
        "ms/image": spread(lambda result: result["milliseconds_per_image"], 1),
    }


def of_kinds(found: list[dict[str, Any]]) -> Row:
    """AUROC and detection rate of each kind of defect, over seeds."""
    row: Row = {}
    for i, kind in enumerate(found[0]["evaluation"]["kinds"]):
        results = [result["evaluation"]["kinds"][i] for result in found]
        row[kind["kind"]] = Spread.of(result["auroc"] for result in results)
        row[f"{kind['kind']}, found"] = Spread.of((result["detection"]["share"] for result in results), 2)
    return row


def pooled(rates: list[dict[str, Any] | None]) -> Rate | None:
    """The rate of a typical seed: seeds share their test images, so that pooling them would narrow the interval."""
    known = [one for one in rates if one is not None]
    return rate(round(np.mean([one["flagged"] for one in known])), known[0]["count"]) if known else None


def grid(cells: Callable[[Choice], list[Cell]], key: str, choice: Choice, results: Results) -> dict[str, list[Row]]:
    """Image AUROC and false alarms: a row for each value of a cell's field, two columns for each set and method."""
    rows: dict[Any, Row] = {}
    for (value, data, method), found in _by(key, cells(choice), results).items():
        row = rows.setdefault(value, {key: "none" if value is None else str(value)})
        name = Path(data).name if method == "andon" else f"{Path(data).name}, {method}"
        figures = [results[cell]["evaluation"] for cell in found]
        row[name] = Spread.of(figure["image_auroc"] for figure in figures)
        alarms = [figure["false_alarms"] for figure in figures if figure["false_alarms"]]
        row[f"{name}: false alarms"] = ", ".join(f"{alarm['flagged']} of {alarm['count']}" for alarm in alarms) or None
    return {"image AUROC": list(rows.values())}


def with_defects(choice: Choice, results: Results) -> dict[str, list[Row]]:
    """Image AUROC and what is found at the threshold, with and without defects among the good images.

    Defects among the good, and other photographs of their parts, are no test images any more: who learned without them
    is not tested on them.
    """
    rows: dict[float, Row] = {}
    for (share, data, _), found in _by("mixed", mixed_in(choice), results).items():
        row = rows.setdefault(share, {"defects among the good": f"{share:.0%}"})
        pairs = [(results[cell], results.get(replace(cell, mixed=MIXED))) for cell in found]
        tests = [shared_tests(result, other) for result, other in pairs if other is not None]
        row[Path(data).name] = Spread.of(auroc(is_defect, scores) for is_defect, scores in tests)
        row[f"{Path(data).name}, found"] = Spread.of((scores[is_defect] > 1).mean() for is_defect, scores in tests)
    return {"image AUROC, and share found at the threshold": list(rows.values())}


def shared_tests(result: dict[str, Any], other: dict[str, Any]) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Of the test images that two cells share: which are defects, and the first one's scores over its threshold."""
    shared = {image["path"] for image in other["evaluation"]["images"]}
    images = [image for image in result["evaluation"]["images"] if image["path"] in shared]
    scores = np.array([image["score"] for image in images]) / result["evaluation"]["threshold"]
    return np.array([image["label"] != GOOD for image in images]), scores


def _by(key: str, cells: list[Cell], results: Results) -> dict[tuple[Any, str, str], list[Cell]]:
    """Cells that were measured, by a field's value, their set and their method."""
    groups: dict[tuple[Any, str, str], list[Cell]] = {}
    for cell in cells:
        if cell in results:
            groups.setdefault((getattr(cell, key), cell.data, cell.method), []).append(cell)
    return groups


TABLES = {
    "methods": Table("Methods", all_methods, partial(by_method, None)),
    "sizes": Table("Sizes of the model", all_sizes, partial(by_method, SIZES)),
    "curve": Table("Learning curve", fewer_images, partial(grid, fewer_images, "images")),
    "robustness": Table("Disturbed test images", disturbed, partial(grid, disturbed, "disturbance")),
    "mixed": Table("Defects among the good images", mixed_in, with_defects),
}


def draw(rows: list[Row]) -> Drawn:
    """Rows as the console shows them."""
    headings = list(dict.fromkeys(heading for row in rows for heading in row))
    return table(headings, [[_text(row.get(heading)) for heading in headings] for row in rows])


def to_json(rows: list[Row]) -> list[dict[str, Any]]:
    """Rows with every seed's figure."""
    return [{heading: asdict(f) if isinstance(f, Spread | Rate) else f for heading, f in row.items()} for row in rows]


def _text(figure: Figure) -> str:
    if isinstance(figure, Rate):
        return f"{figure.share:.1%} ({figure.low:.1%} to {figure.high:.1%})"
    return "–" if figure is None else str(figure)
