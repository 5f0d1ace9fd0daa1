"""How fast a step is: measured, and without a trace in what is learned afterwards."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from andon_trainer.architecture import Architecture
from andon_trainer.data.splits import split
from andon_trainer.options import TrainingOptions
from andon_trainer.training import timing
from andon_trainer.training.loop import train_network


@pytest.fixture
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_timing_a_step_does_not_change_what_is_learned_afterwards() -> None:
    images = np.random.default_rng(0).integers(0, 256, (12, 64, 64, 1), dtype=np.uint8)
    parts, arch, options = split(np.arange(12), 0), Architecture(64, 64, 1), TrainingOptions(iterations=3, batch=4)
    before = train_network(images, parts, arch, options).network.state_dict()
    assert timing.seconds_per_step(arch, options) > 0
    after = train_network(images, parts, arch, options).network.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize(("seconds", "fastest"), [({8: 1.0, 4: 0.5, 2: 0.7, 1: 1.4}, 4), ({3: 2.0, 1: 1.0}, 1)])
def test_the_number_of_threads_is_the_fastest_of_all_halves(
    seconds: dict[int, float], fastest: int, threads: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timing, "seconds_per_step", lambda arch, options: seconds[torch.get_num_threads()])
    monkeypatch.setattr(timing, "available_cores", lambda: 64)
    torch.set_num_threads(max(seconds))
    assert timing.use_fastest_threads() == fastest == torch.get_num_threads()


def test_one_thread_of_a_machine_with_one_core_is_timed_too(threads: None) -> None:
    torch.set_num_threads(1)
    assert timing.use_fastest_threads() == 1
