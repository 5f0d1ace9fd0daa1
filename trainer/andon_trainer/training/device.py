"""What a training runs on: the CPU or a GPU, and how many threads."""

import torch
from andon_monitor.errors import UsageError

from andon_trainer.options import FitOptions
from andon_trainer.progress import Progress
from andon_trainer.training.timing import use_fastest_threads


def choose_device(options: FitOptions) -> str:
    """The torch device to train on, cpu or cuda. Raises UsageError where torch finds no such device."""
    if options.is_dense:
        return "cpu"  # so small a network gains nothing from a GPU
    if options.device == "cuda" and not torch.cuda.is_available():
        raise UsageError("--device cuda: torch finds no GPU here; choose cpu")
    if options.device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return options.device


def use_threads(options: FitOptions, device: str, progress: Progress) -> None:
    """Let torch use as many threads as were asked for, or as many as are fastest; this holds for the whole process."""
    if options.threads:
        torch.set_num_threads(options.threads)
    elif device == "cpu":
        progress("timing threads", 0.0)
        use_fastest_threads()


def describe_device(device: str) -> str:
    """`cuda`, or `cpu` with the number of threads: with other numbers of them sums are rounded differently."""
    count = torch.get_num_threads()
    return device if device != "cpu" else f"cpu, {count} thread{'' if count == 1 else 's'}"
