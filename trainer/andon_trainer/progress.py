"""Progress of long work, reported to whoever shows it."""

from collections.abc import Callable

Progress = Callable[[str, float], None]  # (what is being done, share of it done in 0..1)


def quiet(what: str, share: float) -> None:
    """Report nothing."""
