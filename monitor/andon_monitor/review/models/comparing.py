"""A comparison of two models on a recording, in processes of its own; its state is in files alone."""

import json
import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from andon_monitor.common.cores import available_cores
from andon_monitor.common.files import read_within, write_whole
from andon_monitor.errors import UsageError
from andon_monitor.review.background import Background, last_error
from andon_monitor.review.export import label_lines
from andon_monitor.review.recordings import Recording
from andon_monitor.review.store import Store
from andon_monitor.settings.groups import ReviewSettings

Phase = Literal["none", "running", "done", "failed"]
PLAN, LABELS, FIGURES, REPORT = "plan.json", "labels.jsonl", "figures.json", "report.html"
MAX_JSON_BYTES = 2**26
UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
MAX_NAME = 60  # characters of a model's name in the name of its copy


class ComparisonPlan(BaseModel):
    """What is compared, and since when. `old` and `new` are the names of copies of the model files."""

    model_config = ConfigDict(frozen=True)

    old: str
    new: str
    recording: str
    who: str
    started: float  # seconds since 1970
    process: int = 0  # its group


@dataclass(frozen=True, slots=True)
class ComparisonState:
    """A comparison. `figures` are those of `andon-monitor compare --json`; `failure` is "" where it has them."""

    phase: Phase
    plan: ComparisonPlan | None = None
    figures: Mapping[str, Any] | None = None
    failure: str = ""


class Comparing:
    """The comparison in the store's folder `comparison`; there is one at a time."""

    def __init__(self, store: Store, settings: ReviewSettings) -> None:
        self.folder = store.folder / "comparison"
        self.cores = settings.fit_cores or max(1, available_cores() // 2)
        self._store = store
        self._work = Background(self.folder, "comparison", self.cores)

    @property
    def unavailable(self) -> str:
        """Why nothing can be compared here, "" where it can."""
        return "" if os.name == "posix" else "Comparing on the page needs Linux or macOS. Use andon-monitor compare."

    def state(self) -> ComparisonState:
        """How it is now."""
        plan = self._plan()
        if plan is None:
            return ComparisonState("none")
        running = self._work.is_running()
        figures = self._figures()  # after that: it may have ended in between
        if figures is not None:
            return ComparisonState("done", plan, figures)
        if running:
            return ComparisonState("running", plan)
        failure = last_error(self.folder) or "it was stopped, or its process ended, before it had a result"
        return ComparisonState("failed", plan, None, failure)

    def start(self, old: tuple[str, str], new: tuple[str, str], recording: Recording, who: str) -> None:
        """Compare two models, (name, sha256) each, on a recording, instead of the comparison before.

        Raises UsageError: one is running, a model is not kept any more; OutputError.
        """
        if self.unavailable:
            raise UsageError(self.unavailable)
        if old[1] == new[1]:
            raise UsageError("both models are the same; choose two")
        contents = {_file_name(*model): self._store.model_files.read(model[1]) for model in (old, new)}
        if self._work.is_running():
            raise UsageError("a comparison is running; stop it first")
        with self._work.locked() as descriptor:
            self._work.clear()
            try:
                self._begin(contents, recording, who, descriptor)
            except BaseException:
                self._work.clear()
                raise

    def stop(self) -> None:
        """Stop it for good. Raises UsageError where nothing is running."""
        plan = self._plan()
        self._work.stop(0 if plan is None else plan.process)
        with self._work.locked():
            self._work.clear()

    def _begin(self, contents: Mapping[str, bytes], recording: Recording, who: str, descriptor: int) -> None:
        old, new = contents
        for name, content in contents.items():
            write_whole(self.folder / name, content)
        arguments = ["compare", str(recording.path), "--model", str(self.folder / new)]
        arguments += ["--baseline", str(self.folder / old), "--set", "model.provider=cpu"]
        arguments += ["--set", f"model.threads={self.cores}"]
        arguments += ["--json", str(self.folder / FIGURES), "--report", str(self.folder / REPORT)]
        labels = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in label_lines(self._store))
        if labels:
            write_whole(self.folder / LABELS, labels.encode())
            arguments += ["--labels", str(self.folder / LABELS)]
        plan = ComparisonPlan(old=old, new=new, recording=recording.name, who=who, started=time.time())
        write_whole(self.folder / PLAN, plan.model_dump_json().encode())
        limited = [str(self.cores), str(descriptor), "andon_monitor", *arguments]
        process = self._work.start("andon_monitor.review.background", limited, descriptor)
        write_whole(self.folder / PLAN, plan.model_copy(update={"process": process}).model_dump_json().encode())

    def _plan(self) -> ComparisonPlan | None:
        try:
            return ComparisonPlan.model_validate_json(read_within(self.folder / PLAN, MAX_JSON_BYTES))
        except (OSError, ValidationError):
            return None

    def _figures(self) -> Mapping[str, Any] | None:
        """Those of a comparison that has ended: the report is written last."""
        if not (self.folder / REPORT).is_file():
            return None
        try:
            found = json.loads(read_within(self.folder / FIGURES, MAX_JSON_BYTES))
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None


def _file_name(name: str, sha256: str) -> str:
    """The name of a copy, which the report calls the model by."""
    return f"{UNSAFE.sub('-', name)[:MAX_NAME].strip('.-') or 'model'}-{sha256[:12]}.onnx"
