"""A refit as the page sees it: started, watched, stopped, taken over or thrown away. Its state is in files alone."""

import importlib.util
import os
import re
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from andon_monitor.common.cores import available_cores
from andon_monitor.common.files import write_whole
from andon_monitor.errors import OutputError, UsageError
from andon_monitor.model.card import Card
from andon_monitor.review.background import Background, read_log
from andon_monitor.review.fits import IMAGES, REFIT, SETUPS, Fits, RunningFit
from andon_monitor.review.models.line_models import Content, LineFile
from andon_monitor.review.recordings import find_recordings
from andon_monitor.review.store import Store
from andon_monitor.review.teach import plan as files
from andon_monitor.review.teach.gathering import Gathered, write_images
from andon_monitor.settings.groups import ReviewSettings

Phase = Literal["none", "running", "done", "failed"]
BUDGETS = {"2m": "2 minutes", "10m": "10 minutes", "30m": "half an hour", "1h": "an hour"}
PROGRESS = re.compile(r"([a-z][a-z ,.0-9-]{2,60}): (\d{1,3})\s?%")
TRAINER_PACKAGES = ("andon_trainer", "torch")  # looked for, never imported here
FREE_BYTES = 2 * 10**9  # on the disk, for images, network and report


@dataclass(frozen=True, slots=True)
class State:
    """A refit. `doing` and `share` (0 to 1) say how far it is, from its log."""

    phase: Phase
    plan: files.Plan | None = None
    result: files.Result | None = None
    doing: str = ""
    share: float | None = None
    log: tuple[str, ...] = ()
    has_report: bool = False
    has_comparison: bool = False


class Refit:
    """The refit in a folder; there is one at a time."""

    def __init__(self, store: Path, settings: ReviewSettings) -> None:
        self.folder = store / REFIT
        self._fits = Fits(store)
        self._store = store
        self._settings = settings
        self.cores = settings.fit_cores or max(1, available_cores() // 2)
        self._work = Background(self.folder, REFIT, self.cores)

    @property
    def other(self) -> RunningFit | None:
        """The fit of a set-up that runs, which a refit has to wait for; None for none."""
        return self._fits.other(self.folder)

    @property
    def unavailable(self) -> str:
        """Why nothing can be fitted here, "" where it can."""
        if os.name != "posix":
            return "Fitting from the page needs Linux or macOS. Use andon-trainer fit."
        if missing := missing_trainer():
            return missing
        if self._settings.training is None and not any((self._store / SETUPS).glob(f"*/{IMAGES}")):
            return "The page does not know the training images: give review.training, the folder that fit was given."
        return ""

    def training(self, name: str, names: int) -> Path:
        """The training images of a model file; of several, each has a folder of its name; else those of its set-up."""
        of_set_up = self._store / SETUPS / name / IMAGES
        if self._settings.training is None:
            return of_set_up
        given = self._settings.training if names == 1 else self._settings.training / name
        return of_set_up if of_set_up.is_dir() and not given.is_dir() else given

    def state(self) -> State:
        """How it is now. Raises UsageError where its files are damaged."""
        plan = files.read_plan(self.folder)
        if plan is None:
            return State("none")
        result = files.read_result(self.folder)
        log = read_log(self.folder)
        doing, share = progress_of(log)
        reports = [(self.folder / name).is_file() for name in (files.REPORT, files.COMPARISON)]
        if result is None and self._work.is_running():
            return State("running", plan, None, doing, share, log, *reports)
        result = result or files.read_result(self.folder)  # it may have ended in between
        if result is None:
            result = files.Result(failure="it was stopped, or its process ended, before it had a result", ended=0.0)
        return State("failed" if result.failure else "done", plan, result, doing, share, log, *reports)

    def start(
        self, store: Store, file: LineFile, now: Content, gathered: Gathered, training: Path, budget: str, who: str
    ) -> None:
        """Start a refit of a model file. Raises AndonError: one is there already, too few labels, no room."""
        if self.unavailable:
            raise UsageError(self.unavailable)
        if budget not in BUDGETS:
            raise UsageError(f"budget {budget[:20]!r}: give one of {', '.join(BUDGETS)}")
        if gathered.missing:
            raise UsageError(f"too few labels: label {gathered.missing} first")
        if not training.is_dir():
            raise UsageError(f"{training}: no folder of training images (review.training)")
        self._refuse_running()
        with self._fits.turn(self.folder), self._work.locked() as descriptor:
            if files.read_plan(self.folder) is not None:
                raise UsageError("a refit is there already: take it over or throw it away first")
            if shutil.disk_usage(self.folder).free < FREE_BYTES + self._settings.keep_free:
                raise OutputError(
                    f"{self.folder}: less than {FREE_BYTES / 1e9:g} GB free for a refit (review.keep_free)"
                )
            try:
                self._begin(self.prepare(store, file, now, gathered, training, budget, who), descriptor)
            except BaseException:
                self._work.clear()
                raise

    def stop(self) -> None:
        """Stop it for good; what it has done is lost. Raises UsageError where nothing is running."""
        plan = files.read_plan(self.folder)
        self._work.stop(0 if plan is None else plan.process)

    def discard(self) -> None:
        """Throw away a refit that has ended. Raises UsageError where it is running."""
        self._refuse_running()
        with self._work.locked():
            self._work.clear()

    def content(self) -> bytes:
        """The new model's file. Raises UsageError where there is none."""
        state = self.state()
        if state.phase != "done":
            raise UsageError("there is no refit to take over")
        try:
            return (self.folder / files.NEW).read_bytes()
        except OSError:
            raise UsageError("the new model's file is gone; throw the refit away") from None

    def prepare(
        self, store: Store, file: LineFile, now: Content, gathered: Gathered, training: Path, budget: str, who: str
    ) -> files.Plan:
        """Write the images and the plan of a refit into its folder. Raises UsageError, OutputError."""
        images = write_images(store, gathered, training, self.folder / "labelled")
        write_whole(self.folder / files.OLD, now.content)
        newest = next(iter(find_recordings(self._settings.recordings)), None)
        plan = files.Plan(
            file=file.name,
            sha256=now.sha256,
            who=who,
            started=time.time(),
            arguments=("fit", *images.sources, *self._options(now.card, budget)),
            tested=tuple(images.tested),
            learned=images.learned,
            left_out=images.left_out,
            cores=self.cores,
            kinds=images.kinds,
            recording=None if newest is None else str(newest.path),
        )
        files.write(self.folder, files.PLAN, plan)
        return plan

    def _begin(self, plan: files.Plan, descriptor: int) -> None:
        process = self._work.start("andon_monitor.review.teach.work", (str(self.folder), str(descriptor)), descriptor)
        files.write(self.folder, files.PLAN, plan.model_copy(update={"process": process}))

    def _options(self, card: Card, budget: str) -> list[str]:
        """Those of the model on the line, as far as its card says them."""
        spec = card.input
        options = ["-o", str(self.folder / files.NEW), "--report", str(self.folder / files.REPORT)]
        options += ["--name", card.name, "--budget", budget, "--threads", str(self.cores)]
        options += ["--false-alarm-rate", repr(card.calibration.false_alarm_rate)]
        options += ["--colour", "grey" if spec.channels == 1 else "rgb"]
        if spec.region is not None:
            options += ["--region", ",".join(map(str, spec.region))]
        if spec.frame_size is None:
            options += ["--any-size"]
        if spec.mask is not None:
            path = self.folder / "mask.json"
            write_whole(path, spec.mask.model_dump_json(exclude_none=True).encode())
            options += ["--mask", str(path)]
        return [*options, *self._settings.fit_options]

    def _refuse_running(self) -> None:
        if self.state().phase == "running":
            raise UsageError("a refit is running; stop it first")


def missing_trainer() -> str:
    """Why nothing can be fitted here, "" where it can."""
    if any(importlib.util.find_spec(name) is None for name in TRAINER_PACKAGES):
        return "The trainer is not installed next to this page: install andon[trainer], or use the trainer's image."
    return ""


def progress_of(log: tuple[str, ...]) -> tuple[str, float | None]:
    """What is being done and the share of it done, from the last line that says so."""
    for line in reversed(log):
        if (found := PROGRESS.fullmatch(line.strip())) is not None:
            return found[1], min(int(found[2]), 100) / 100
    return "", None
