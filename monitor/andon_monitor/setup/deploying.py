"""Changes of lines: a model deployed, recipes changed; each in the history, and agreed by two people if need be."""

import threading
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from andon_monitor.common.files import read_within, remove_quietly, write_whole
from andon_monitor.errors import UsageError
from andon_monitor.review.models.line_models import MAX_WHY, LineFile, LineModels
from andon_monitor.review.store import Store
from andon_monitor.review.store.rows import Action
from andon_monitor.setup.draft import PRIVATE
from andon_monitor.setup.lines import Lines, digest

MAX_JSON_BYTES = 4_000_000


class LineChange(BaseModel):
    """Another text of a line's settings file, and the model of a recipe in it where that is deployed.

    `base`: the digest of the text that it replaces, "" for a new line. `model`: sha256 of the content, which the store
    keeps. `number`: of the proposal in the history, 0 where nobody has to agree.
    """

    model_config = ConfigDict(frozen=True)

    line: str
    base: str
    text: str
    who: str
    why: str
    recipe: str = ""
    model: str = ""
    number: int = 0


class Deployer:
    """Makes changes of lines, one at a time. A new text is checked by the monitors' own reader before it counts."""

    def __init__(self, folder: Path, store: Store, lines: Lines, models: LineModels) -> None:
        self._folder = folder
        self._store = store
        self._lines = lines
        self._models = models
        self._working = threading.Lock()

    def keep(self, content: bytes) -> str:
        """Keep a model's content until it is deployed; returns its sha256. Raises OutputError."""
        return self._store.model_files.keep(content)

    def pending(self, line: str) -> LineChange | None:
        """What waits for a second person."""
        try:
            return LineChange.model_validate_json(read_within(self._place(line), MAX_JSON_BYTES))
        except (OSError, ValidationError):
            return None

    def submit(self, change: LineChange) -> bool:
        """Make a change, or propose it where two people have to agree; whether it is made. Raises AndonError."""
        change = change.model_copy(update={"why": " ".join(change.why.split())[:MAX_WHY]})
        if not change.why:
            raise UsageError("say why; the history shows it to those who come after you")
        if not self._models.four_eyes:
            self._apply(change, change.who)
            return True
        if self.pending(change.line) is not None:
            raise UsageError(f"a change of {change.line} waits for a second person; answer it first")
        self._expect(change)
        self._lines.check(change.line, change.text, self._lines.model_path(change.recipe) if change.model else None)
        with self._store.changes.adding(change.who, "proposed", *self._facts(change), change.why):
            pass
        number = self._store.changes.newest(1)[0].number
        kept = change.model_copy(update={"number": number})
        write_whole(self._place(change.line), kept.model_dump_json().encode(), PRIVATE)
        return False

    def answer(self, line: str, number: int, agreed: bool, who: str) -> None:
        """Make what somebody else proposed, or reject it. Raises AndonError."""
        change = self.pending(line)
        if change is None or change.number != number:
            raise UsageError("this proposal has been answered; load the page again")
        if agreed and change.who == who:
            raise UsageError("a change needs two people: somebody else has to agree to what you proposed")
        if agreed:
            self._apply(change, who)
        else:
            with self._store.changes.adding(who, "rejected", *self._facts(change), change.why, change.number):
                pass
        remove_quietly(self._place(line))

    def _apply(self, change: LineChange, who: str) -> None:
        if not self._working.acquire(blocking=False):
            raise UsageError("another change is being made; try again in a moment")
        try:
            old = self._expect(change)
            about = change.number or None
            coming = self._lines.model_path(change.recipe) if change.model else None
            line = self._lines.check(change.line, change.text, coming)
            if change.model:
                content = self._store.model_files.read(change.model)
                file = LineFile(change.recipe, self._lines.model_path(change.recipe))
                self._models.deploy(file, content, who, change.why, about)
                about = None
            with self._store.changes.adding(
                who, "applied", "recipes", line.path.name, old, digest(change.text), change.why, about
            ):
                self._lines.write(line)
        finally:
            self._working.release()

    def _facts(self, change: LineChange) -> tuple[Action, str, str | None, str]:
        """Action, file, old and new of a change's entry in the history."""
        if change.model:
            path = self._lines.model_path(change.recipe)
            old = self._models.read(LineFile(change.recipe, path)).sha256 if path.exists() else None
            return "deploy", change.recipe, old, change.model
        return "recipes", self._lines.path(change.line).name, change.base or None, digest(change.text)

    def _expect(self, change: LineChange) -> str | None:
        """The digest of the present text, None for a new line. Raises UsageError where it is not the expected one."""
        now = digest(self._lines.read(change.line).text) if self._lines.has(change.line) else ""
        if now != change.base:
            raise UsageError(f"{self._lines.path(change.line)} has changed meanwhile; load the page again")
        return now or None

    def _place(self, line: str) -> Path:
        return self._folder / f"{line}.json"
