"""The schedule of a training: its steps and learning rates, its evaluations, what ends it, which weights are kept."""

import copy
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from threading import Event
from typing import Any, Literal

from torch import nn

from andon_trainer.errors import FittingError
from andon_trainer.options import TrainingOptions

WARM_UP_SHARE = 0.05  # of the training, during which the learning rate rises
WARM_UP_START = 0.05  # share of the learning rate that the first step has
# Share of the budget by which the iterations may be late before time decides about the learning rate.
BUDGET_SLACK_SHARE = 0.05
EVALUATIONS = 16  # on the validation images, over the whole training
STEPS_APART = 4  # at least: an evaluation takes as long as one or two steps, and a short training has few of them

Ended = Literal["iterations", "early", "budget", "interrupted"]
# Of several networks, the card names the last of these: it explains best why there were not more steps.
ENDS: tuple[Ended, ...] = ("iterations", "early", "budget", "interrupted")


@dataclass(frozen=True)
class Step:
    """One step of a training, about to be taken."""

    iteration: int  # from 1
    seconds: float  # since the training began
    done: float  # share of the training, in 0..1
    learning_rate: float


@dataclass(frozen=True)
class EvaluationStep:
    """The losses of a network on the validation images after one step of its training."""

    iteration: int
    seconds: float
    training_loss: float  # mean since the evaluation before
    validation_loss: float
    reconstruction_loss: float  # the part of the validation loss that is about the reconstruction
    learning_rate: float


@dataclass
class TrainedNetwork:
    """A network on the CPU with the weights that were kept, and how it was trained."""

    network: nn.Module
    evaluations: list[EvaluationStep] = field(default_factory=list)
    kept: tuple[EvaluationStep, ...] = ()  # the one whose weights the network has; of several networks one for each
    iterations: int = 0
    seconds: float = 0.0
    ended: Ended = "iterations"
    texture: bool = False  # whether good parts look the same upside down and mirrored


class Schedule:
    """One training of a network, from its first step on: iterate over it once, step by step.

    Its steps end after as many iterations or as much time as the options allow, or on an interruption.
    """

    def __init__(self, options: TrainingOptions, interrupted: Event | None = None) -> None:
        self.options = options
        self.evaluations: list[EvaluationStep] = []
        self.iterations = 0
        self._interrupted = interrupted or Event()
        self._start = time.monotonic()
        self._ended: Ended = "iterations"
        self._kept: tuple[EvaluationStep, ...] = ()
        self._weights: dict[str, Any] = {}

    @property
    def seconds(self) -> float:
        """Since the training began."""
        return time.monotonic() - self._start

    def __iter__(self) -> Iterator[Step]:
        for iteration in range(1, self.options.iterations + 1):
            seconds = self.seconds
            done = share_done((iteration - 1) / self.options.iterations, seconds / self.options.budget)
            if done >= 1:
                self._ended = "budget"
                return
            if self._interrupted.is_set():
                self._ended = "interrupted"
                return
            self.iterations = iteration
            yield Step(iteration, seconds, done, self.options.learning_rate * learning_rate_share(done))

    def evaluation_is_due(self, step: Step) -> bool:
        """Whether to evaluate after this step: `EVALUATIONS` times, evenly spread, and after the last step.

        Fewer times where steps are few: evaluations are `STEPS_APART`.
        """
        if step.iteration == self.options.iterations:
            return True
        if self.evaluations and step.iteration - self.evaluations[-1].iteration < STEPS_APART:
            return False
        return step.done * EVALUATIONS >= len(self.evaluations) + 1

    def add_evaluation(self, step: Step, training: float, validation: float, reconstruction: float) -> EvaluationStep:
        """Record the losses after a step. Raises FittingError where one is not finite."""
        if not math.isfinite(training + validation):
            raise FittingError(
                f"the loss is {training} after {step.iteration} iterations; give a lower --learning-rate "
                f"than {self.options.learning_rate}"
            )
        evaluation = EvaluationStep(
            step.iteration, step.seconds, training, validation, reconstruction, step.learning_rate
        )
        self.evaluations.append(evaluation)
        return evaluation

    def keep(self, evaluation: EvaluationStep, network: nn.Module) -> None:
        """Keep the weights that the network has now instead of those kept before."""
        self._kept, self._weights = (evaluation,), copy.deepcopy(network.state_dict())

    def end_early(self) -> None:
        """Record that the training ended because nothing improved any more."""
        self._ended = "early"

    def finish(self, network: nn.Module, texture: bool = False) -> TrainedNetwork:
        """The network with the weights kept, on the CPU. Raises FittingError where there was no evaluation."""
        if not self.evaluations:
            if self._ended == "interrupted":
                raise FittingError("interrupted before there was a model to keep; nothing was written")
            raise FittingError(
                f"a budget of {self.options.budget:.0f} s is too short for this machine; give a longer --budget"
            )
        network.load_state_dict(self._weights)
        network = network.cpu().eval()
        return TrainedNetwork(
            network, self.evaluations, self._kept, self.iterations, self.seconds, self._ended, texture
        )


def join_trainings(trainings: Sequence[TrainedNetwork]) -> TrainedNetwork:
    """Trainings of several networks, one after the other, as one; the network is the first one's."""
    whole = TrainedNetwork(trainings[0].network, texture=trainings[0].texture)
    for training in trainings:

        def later(step: EvaluationStep) -> EvaluationStep:
            return replace(step, iteration=step.iteration + whole.iterations, seconds=step.seconds + whole.seconds)

        whole.evaluations += map(later, training.evaluations)
        whole.kept += tuple(map(later, training.kept))
        whole.iterations += training.iterations
        whole.seconds += training.seconds
    whole.ended = max((training.ended for training in trainings), key=ENDS.index)
    return whole


def share_done(steps: float, time: float) -> float:
    """How far the training is, in 0..1, from its shares of iterations and of time.

    Time counts only once it runs out: otherwise the clock would change the learning rate, and no two trainings with the
    same seed would give the same weights.
    """
    return max(steps, (time - BUDGET_SLACK_SHARE) / (1 - BUDGET_SLACK_SHARE))


def learning_rate_share(done: float) -> float:
    """The share of the learning rate for a training that is `done` in 0..1: linear warm-up, then half a cosine to 0."""
    if done < WARM_UP_SHARE:
        return WARM_UP_START + (1 - WARM_UP_START) * done / WARM_UP_SHARE
    return 0.5 * (1 + math.cos(math.pi * (done - WARM_UP_SHARE) / (1 - WARM_UP_SHARE)))
