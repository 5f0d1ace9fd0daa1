"""`--latency`: the best model that a core of this machine runs in so much time."""

import pytest
from andon_monitor.errors import UsageError
from andon_monitor.model.card import InputSpec
from andon_trainer.data.images import TrainingImages
from andon_trainer.latency import Plan, choose_within_latency, plans
from andon_trainer.options import FitOptions
from andon_trainer.progress import quiet
from andon_trainer.report.words import describe_latency

from tests.fixtures.images import plates


def images(side: int, count: int = 12) -> TrainingImages:
    pixels = plates(count)[:, :side, :side]
    spec = InputSpec(height=side, width=side, channels=1)
    return TrainingImages((), spec, 1, pixels, None, "")


def test_plans_lose_little_first() -> None:
    loaded = images(64)
    large = loaded.spec.model_copy(update={"height": 384, "width": 384})
    found = plans(FitOptions(latency=1.0), TrainingImages((), large, 1, loaded.pixels, loaded.groups, ""))
    assert found[:2] == [Plan(None, "built-in"), Plan(None, "small")]
    assert [plan.side for plan in found[2:5]] == [256, 192, 128]
    assert {plan.encoder for plan in found[2:5]} == {"small"}
    assert [plan.encoder for plan in found[5:]] == ["none"] * 4


def test_what_the_options_name_is_kept() -> None:
    named = FitOptions(latency=1.0, side=64, encoder="none", networks=2, size="large")
    assert plans(named, images(64)) == [Plan(64, "none", 2, "large")]
    sides = [plan.side for plan in plans(FitOptions(latency=1.0, encoder="small"), images(64))]
    assert set(sides) == {None}


def test_with_much_time_there_are_as_many_networks_as_the_budget_allows() -> None:
    options, loaded = FitOptions(latency=60.0, side=64, size="small", encoder="none"), images(64)
    choice = choose_within_latency(options, loaded, 2, lambda wanted: loaded, quiet)
    assert (choice.options.side, choice.options.encoder, choice.options.networks) == (64, "none", 2)
    assert choice.better is None
    text = describe_latency(choice)
    assert text.startswith("latency: 64 x 64 pixels, no encoder, 2 networks of size small: ")
    assert text.endswith("ms a frame on one core, 60000 ms allowed; it is what fit makes without a limit")


def test_one_line_says_what_is_possible() -> None:
    options, loaded = FitOptions(latency=1e-4, side=64, size="small", encoder="none"), images(64)
    with pytest.raises(UsageError, match=r"--latency 0\.1ms: the fastest model takes .* ms a frame on a core .* give"):
        choose_within_latency(options, loaded, 1, lambda wanted: loaded, quiet)


def test_dense_networks_have_no_latency() -> None:
    with pytest.raises(UsageError, match=r"--latency 10ms: only with --architecture conv-dense"):
        FitOptions(architecture="dense", latency=0.01)
