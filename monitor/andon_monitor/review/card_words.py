"""Plain words for what a model card holds."""

from dataclasses import dataclass

from andon_monitor.model.card import Card

ENDINGS = {
    "iterations": "all iterations done",
    "early": "stopped when it no longer improved",
    "budget": "cut short by the time budget",
    "interrupted": "interrupted",
}
THRESHOLD_METHODS = {
    "conformal": "counted on",
    "tail": "estimated from the highest scores of",
}
# By their names in a card: what they are called, and what they mean.
METRICS = {
    "image_auroc": ("AUROC", "chance that a defect scores higher than a good part; 0.5 is a coin toss, 1 is perfect"),
    "average_precision": ("average precision", "share of real defects among flagged parts, over all thresholds"),
    "f1_max": ("F1-max", "best balance of found defects and false alarms that any threshold gives"),
    "pixel_auroc": ("pixel AUROC", "AUROC of pixels: how well the heatmap tells defective places from good ones"),
    "au_pro": ("AU-PRO", "how well heatmaps cover the drawn defects, small ones counting as much as large ones"),
    "false_alarm_rate": ("false-alarm rate", "share of good test images flagged"),
    "detection_rate": ("detection rate", "share of defective test images flagged"),
}


@dataclass(frozen=True, slots=True)
class Metric:
    """A figure of a model card; `meaning` is "" if it is not known here."""

    name: str
    meaning: str
    value: float


def describe_metrics(card: Card) -> list[Metric]:
    """The figures of a card, named and explained."""
    return [Metric(*METRICS.get(key, (key.replace("_", " "), "")), value) for key, value in card.metrics.items()]
