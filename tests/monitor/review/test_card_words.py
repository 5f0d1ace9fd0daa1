"""Whatever a model card may hold has plain words on the page."""

from typing import get_args

from andon_monitor.model.calibration import Calibration
from andon_monitor.model.card import Training
from andon_monitor.model.file import Model
from andon_monitor.review.card_words import ENDINGS, METRICS, THRESHOLD_METHODS, describe_metrics
from andon_trainer.evaluation import Evaluation


def test_endings_and_methods_have_words() -> None:
    assert set(ENDINGS) == set(get_args(Training.model_fields["ended"].annotation))
    assert set(THRESHOLD_METHODS) == set(get_args(Calibration.model_fields["method"].annotation))


def test_metrics_of_an_evaluation_have_words_and_others_are_shown_too(model: Model) -> None:
    evaluation = Evaluation(1.0, (), 0.9, 0.8, 0.7, None, None, None, ())
    card = model.card.model_copy(update={"metrics": evaluation.headline() | {"my_own": 3.0}})
    *known, own = describe_metrics(card)
    assert [metric.name for metric in known] == ["AUROC", "average precision", "F1-max"]
    assert all(metric.meaning for metric in known)
    assert (own.name, own.meaning, own.value) == ("my own", "", 3.0)
    assert "au_pro" in METRICS
