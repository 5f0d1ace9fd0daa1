"""How fast a training step is on this machine, and with how many threads it is fastest."""

import time
from dataclasses import replace

import torch
from andon_monitor.common.cores import available_cores

from andon_trainer.architecture import Architecture
from andon_trainer.network.conv_dense import Autoencoder
from andon_trainer.options import TrainingOptions
from andon_trainer.training.loop import losses
from andon_trainer.training.optimiser import Optimiser

TIMED_STEPS = 4  # the first of them sets up what the others use
# Threads are timed on the smallest network that is trained by default, which gains least from them.
PROBE = Architecture(128, 128, 1)


def seconds_per_step(arch: Architecture, options: TrainingOptions) -> float:
    """How long a training step of this size takes here: the fastest of a few, on noise."""
    device = torch.device(options.device)
    network = Autoencoder(replace(arch, components=0)).to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = Optimiser(network, options.weight_decay, muon=True)
    x = torch.randn(options.batch, arch.channels, arch.height, arch.width, device=device)
    x = x.to(memory_format=torch.channels_last)
    mask = torch.zeros(options.batch, 1, arch.height, arch.width, device=device)
    times = []
    for _ in range(TIMED_STEPS):
        start = time.perf_counter()
        total = losses(network, x, None, x, mask)[0]
        total.backward()  # type: ignore[no-untyped-call]
        optimiser.step(options.learning_rate)
        float(total.detach())  # waits for a GPU
        times.append(time.perf_counter() - start)
    return min(times)


def use_fastest_threads() -> int:
    """Let torch use the number of threads with the fastest step: all of them, a half, a quarter, down to one.

    Threads wait for each other many times in a step. Where another program uses one of the cores they all wait for it,
    and a step on all cores takes several times as long as on one. Returns the number.
    """
    count = min(torch.get_num_threads(), available_cores())
    seconds = {}
    while count:
        torch.set_num_threads(count)
        seconds[count] = seconds_per_step(PROBE, TrainingOptions())
        count //= 2
    fastest = min(seconds, key=seconds.__getitem__)
    torch.set_num_threads(fastest)
    return fastest
