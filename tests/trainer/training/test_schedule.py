"""The schedule of a training, of a network that learns nothing."""

from threading import Event

import pytest
import torch
from andon_trainer.errors import FittingError
from andon_trainer.options import TrainingOptions
from andon_trainer.training import schedule
from andon_trainer.training.schedule import (
    EvaluationStep,
    Schedule,
    Step,
    TrainedNetwork,
    join_trainings,
    learning_rate_share,
)
from torch import nn


def weight(network: nn.Module) -> float:
    return float(next(network.parameters()).detach())


def network_of(value: float) -> nn.Module:
    network = nn.Linear(1, 1, bias=False)
    nn.init.constant_(network.weight, value)
    return network


def evaluate(taken: Schedule, step: Step, loss: float = 1.0) -> EvaluationStep:
    return taken.add_evaluation(step, loss, loss, loss)


def test_steps_are_counted_and_end_with_the_iterations() -> None:
    taken = Schedule(TrainingOptions(iterations=10, learning_rate=2.0))
    steps = list(taken)
    assert [step.iteration for step in steps] == list(range(1, 11))
    assert [step.done for step in steps] == pytest.approx([i / 10 for i in range(10)])
    assert [step.learning_rate for step in steps] == pytest.approx(
        [2 * learning_rate_share(step.done) for step in steps]
    )
    assert taken.iterations == 10


def test_evaluations_are_spread_over_the_training_and_the_last_step_has_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedule, "EVALUATIONS", 4)
    taken = Schedule(TrainingOptions(iterations=24))
    evaluated = [evaluate(taken, step).iteration for step in taken if taken.evaluation_is_due(step)]
    assert evaluated == [7, 13, 19, 24]


def test_evaluations_of_a_short_training_are_some_steps_apart() -> None:
    taken = Schedule(TrainingOptions(iterations=12))
    evaluated = [evaluate(taken, step).iteration for step in taken if taken.evaluation_is_due(step)]
    assert evaluated == [2, 6, 10, 12]


def test_time_that_is_over_ends_a_training() -> None:
    network = network_of(1.0)
    taken = Schedule(TrainingOptions(iterations=10**9, budget=0.2))
    for step in taken:
        taken.keep(evaluate(taken, step), network)
    trained = taken.finish(network)
    assert trained.ended == "budget"
    assert trained.iterations == len(trained.evaluations)
    assert 0.2 <= trained.seconds < 20
    rates = [step.learning_rate for step in trained.evaluations]
    assert rates[-1] < max(rates)


def test_the_network_gets_the_weights_that_were_kept_last() -> None:
    network = network_of(0.0)
    taken = Schedule(TrainingOptions(iterations=5))
    for step in taken:
        with torch.no_grad():
            next(network.parameters()).fill_(step.iteration)
        evaluation = evaluate(taken, step)
        if step.iteration in (2, 4):
            taken.keep(evaluation, network)
    trained = taken.finish(network)
    assert weight(trained.network) == 4
    assert [kept.iteration for kept in trained.kept] == [4]
    assert (trained.ended, trained.iterations, len(trained.evaluations)) == ("iterations", 5, 5)
    assert not trained.network.training


def test_an_interruption_ends_a_training_before_the_next_step() -> None:
    network, interrupted = network_of(1.0), Event()
    taken = Schedule(TrainingOptions(iterations=100), interrupted)
    for step in taken:
        taken.keep(evaluate(taken, step), network)
        if step.iteration == 3:
            interrupted.set()
    trained = taken.finish(network)
    assert (trained.ended, trained.iterations) == ("interrupted", 3)


def test_a_training_may_end_early() -> None:
    network = network_of(1.0)
    taken = Schedule(TrainingOptions(iterations=100))
    for step in taken:
        taken.keep(evaluate(taken, step), network)
        if step.iteration == 7:
            taken.end_early()
            break
    trained = taken.finish(network)
    assert (trained.ended, trained.iterations) == ("early", 7)


def test_a_training_without_an_evaluation_leaves_nothing_and_says_why() -> None:
    interrupted = Event()
    interrupted.set()
    stopped = Schedule(TrainingOptions(iterations=100), interrupted)
    assert not list(stopped)
    with pytest.raises(FittingError, match="interrupted before there was a model"):
        stopped.finish(network_of(1.0))
    late = Schedule(TrainingOptions(iterations=100, budget=1e-9))
    assert not list(late)
    with pytest.raises(FittingError, match="too short for this machine; give a longer --budget"):
        late.finish(network_of(1.0))


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_is_refused(loss: float) -> None:
    taken = Schedule(TrainingOptions(iterations=3, learning_rate=0.5))
    step = next(iter(taken))
    with pytest.raises(FittingError, match=r"after 1 iterations; give a lower --learning-rate than 0\.5"):
        evaluate(taken, step, loss)


def test_schedule_rises_then_falls_to_nothing() -> None:
    rates = [learning_rate_share(step / 100) for step in range(101)]
    peak = rates.index(max(rates))
    assert rates[:peak] == sorted(rates[:peak])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert max(rates) == 1
    assert rates[-1] == pytest.approx(0, abs=1e-9)


def test_trainings_in_a_row_are_counted_one_after_the_other() -> None:
    def training(iterations: int, ended: str) -> TrainedNetwork:
        step = EvaluationStep(iterations, 2.0, 1.0, 0.5, 0.25, 1e-3)
        return TrainedNetwork(network_of(1.0), [step], (step,), iterations, 3.0, ended)

    first, second = training(10, "budget"), training(7, "iterations")
    whole = join_trainings([first, second])
    assert whole.network is first.network
    assert [(step.iteration, step.seconds) for step in whole.evaluations] == [(10, 2.0), (17, 5.0)]
    assert whole.kept == tuple(whole.evaluations)
    assert (whole.iterations, whole.seconds, whole.ended) == (17, 6.0, "budget")
    assert join_trainings([first]).evaluations == first.evaluations
