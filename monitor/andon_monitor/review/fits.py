"""One fit at a time: the refit of *Teach* and the fits of set-ups share the cores that fits may use."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from andon_monitor.errors import UsageError
from andon_monitor.review.background import Background

REFIT, SETUPS = "refit", "setup"  # folders of the store
FIT, IMAGES = "fit", "images"  # of a set-up
TURN = "fit-turn"  # the folder whose lock a fit is started under
FILES = "plan.json", "job.json"  # of a refit and of a set-up's fit, there from the start


@dataclass(frozen=True, slots=True)
class RunningFit:
    """A fit that runs: its folder, what people call it, and the page where it can be stopped."""

    folder: Path
    name: str
    page: str
    page_name: str

    @property
    def sentence(self) -> str:
        """What the pages say of it."""
        return f"{self.name} is running, and one fit runs at a time: wait, or stop it on {self.page_name}"


class Fits:
    """The fits of a store, whichever page started them."""

    def __init__(self, store: Path) -> None:
        self._store = store

    def other(self, folder: Path) -> RunningFit | None:
        """A fit that runs elsewhere than in a folder, None for none."""
        return next((fit for fit in self._all() if fit.folder != folder and self._is_running(fit.folder)), None)

    @contextmanager
    def turn(self, folder: Path) -> Iterator[None]:
        """Start a fit in a folder; nobody else can meanwhile. Raises UsageError where another one runs."""
        with Background(self._store / TURN, "start of a fit", 1).locked():
            if (other := self.other(folder)) is not None:
                raise UsageError(other.sentence)
            yield

    def _all(self) -> Iterator[RunningFit]:
        yield RunningFit(self._store / REFIT, "A refit", "/teach", "Teach")
        for path in sorted((self._store / SETUPS).glob(f"*/{FIT}")):
            name = path.parent.name
            yield RunningFit(path, f"The fit of {name}", f"/setup/{name}/fit", f"Set up, {name}, Fit")

    def _is_running(self, folder: Path) -> bool:
        if not any((folder / name).is_file() for name in FILES):
            return False  # without taking its lock, which somebody may want right now
        return Background(folder, FIT, 1).is_running()
