"""How what takes long says how far it is."""

from collections.abc import Callable

Progress = Callable[[str, float], None]  # (what is being done, share of it done in 0..1)


def quiet(what: str, share: float) -> None:
    """Say nothing."""
