"""The course of a training: its steps, its looks at held-out images, what ends it and which weights are kept."""

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

WARM_UP = 0.05  # share of the training during which the learning rate rises
SLACK = 0.05  # share of the budget by which iterations may be late before time takes over
EVALUATIONS = 16  # looks at the validation images over the whole training

Ended = Literal["iterations", "early", "budget", "interrupted"]
ENDS: tuple[Ended, ...] = ("iterations", "early", "budget", "interrupted")  # the later, the more of it is worth saying


@dataclass(frozen=True)
class Step:
    """One step of a training, about to be taken."""

    iteration: int  # from 1
    seconds: float  # since the training began
    done: float  # share of the training, in 0..1
    learning_rate: float


@dataclass(frozen=True)
class Look:
    """One look at the validation images."""

    iteration: int
    seconds: float
    training_loss: float
    validation_loss: float
    reconstruction_loss: float
    learning_rate: float


@dataclass
class Fitted:
    """The network kept, on the CPU, and how it came about."""

    network: nn.Module
    looks: list[Look] = field(default_factory=list)
    kept: tuple[Look, ...] = ()  # the one whose weights the network has; of several networks one for each
    iterations: int = 0
    seconds: float = 0.0
    ended: Ended = "iterations"
    texture: bool = False  # whether good parts look the same upside down and in a mirror


class Course:
    """One training of a network, which has begun: to be iterated over once, step by step.

    Its steps end after as many iterations or as much time as the options allow, or on an interruption.
    """

    def __init__(self, options: TrainingOptions, interrupted: Event | None = None) -> None:
        self.options = options
        self.looks: list[Look] = []
        self.iterations = 0
        self._interrupted = interrupted or Event()
        self._start = time.monotonic()
        self._ended: Ended = "iterations"
        self._kept: tuple[Look, ...] = ()
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
            yield Step(iteration, seconds, done, self.options.learning_rate * schedule(done))

    def look_is_due(self, step: Step) -> bool:
        """Whether it is time to look at the validation images: `EVALUATIONS` times, and after the last step."""
        return step.done * EVALUATIONS >= len(self.looks) + 1 or step.iteration == self.options.iterations

    def add_look(self, step: Step, training: float, validation: float, reconstruction: float) -> Look:
        """Note the losses of a look. Raises FittingError where one is no longer a number."""
        if not math.isfinite(training + validation):
            raise FittingError(
                f"the loss is {training} after {step.iteration} iterations; give a lower --learning-rate "
                f"than {self.options.learning_rate}"
            )
        look = Look(step.iteration, step.seconds, training, validation, reconstruction, step.learning_rate)
        self.looks.append(look)
        return look

    def keep(self, look: Look, network: nn.Module) -> None:
        """Keep the weights that the network has at this look, instead of others."""
        self._kept, self._weights = (look,), copy.deepcopy(network.state_dict())

    def end_early(self) -> None:
        """Say that nothing is to be gained from more steps."""
        self._ended = "early"

    def finish(self, network: nn.Module, texture: bool = False) -> Fitted:
        """The network with the weights kept, on the CPU. Raises FittingError where the training ended before a look."""
        if not self.looks:
            if self._ended == "interrupted":
                raise FittingError("interrupted before there was a model to keep; nothing was written")
            raise FittingError(
                f"a budget of {self.options.budget:.0f} s is too short for this machine; give a longer --budget"
            )
        network.load_state_dict(self._weights)
        network = network.cpu().eval()
        return Fitted(network, self.looks, self._kept, self.iterations, self.seconds, self._ended, texture)


def in_a_row(trainings: Sequence[Fitted]) -> Fitted:
    """Trainings of several networks, one after the other, as one; the network is the first one's."""
    whole = Fitted(trainings[0].network, texture=trainings[0].texture)
    for one in trainings:

        def later(look: Look) -> Look:
            return replace(look, iteration=look.iteration + whole.iterations, seconds=look.seconds + whole.seconds)

        whole.looks += map(later, one.looks)
        whole.kept += tuple(map(later, one.kept))
        whole.iterations += one.iterations
        whole.seconds += one.seconds
    whole.ended = max((one.ended for one in trainings), key=ENDS.index)
    return whole


def share_done(steps: float, time: float) -> float:
    """How far the training is, in 0..1, from its shares of iterations and of time.

    Time counts only once it runs out: otherwise the clock would move the learning rate, and no two trainings with one
    seed would be the same.
    """
    return max(steps, (time - SLACK) / (1 - SLACK))


def schedule(done: float) -> float:
    """Linear warm-up, then half a cosine down to nothing; `done` in 0..1, also the share of the learning rate."""
    if done < WARM_UP:
        return 0.05 + 0.95 * done / WARM_UP
    return 0.5 * (1 + math.cos(math.pi * (done - WARM_UP) / (1 - WARM_UP)))
