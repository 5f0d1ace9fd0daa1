"""Changes of lines: a model deployed, recipes changed; each in the history, and agreed by two people if need be."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from andon_monitor.common.files import read_within, remove_quietly, write_whole
from andon_monitor.errors import AndonError, UsageError
from andon_monitor.review.models.line_models import MAX_WHY, LineFile, LineModels
from andon_monitor.review.store import Store
from andon_monitor.review.store.rows import Action
from andon_monitor.setup.draft import PRIVATE
from andon_monitor.setup.lines import Line, Lines, digest

MAX_JSON_BYTES = 4_000_000
BEGUN = ".begun"  # the ending of what is noted while a deployment is made


class LineChange(BaseModel):
    """Another text of a line's settings file, and the model of a recipe in it where that is deployed.

    `base`: the digest of the text that it replaces, "" for a new line. `model`: sha256 of the content, which the store
    keeps. `shadow`: it runs in shadow of a recipe. `number`: of the proposal in the history, 0 where nobody has to
    agree.
    """

    model_config = ConfigDict(frozen=True)

    line: str
    base: str
    text: str
    who: str
    why: str
    recipe: str = ""
    model: str = ""
    shadow: bool = False
    number: int = 0


class Begun(BaseModel):
    """A deployment that has not ended. `old`: sha256 of the model that it replaces, None for none."""

    model_config = ConfigDict(frozen=True)

    change: LineChange
    who: str
    old: str | None


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
        self._lines.check(change.line, change.text, self._coming(change))
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
            self._expect(change)
            if (begun := self.unfinished_of(change.line)) is not None:
                raise UsageError(
                    f"a deployment to {begun.change.line} was cut off: complete it or take it back first, on Set up"
                )
            self._make(change, who)
        finally:
            self._working.release()

    def _make(self, change: LineChange, who: str, begun: Begun | None = None) -> None:
        """Write the model, then the settings; what was begun is noted, as nothing makes two files at once."""
        line = self._lines.check(change.line, change.text, self._coming(change))
        noted = self._noted(change.line)
        if change.model:
            file = self._file(change)
            begun = begun or Begun(change=change, who=who, old=self._present(file))
            write_whole(noted, begun.model_dump_json().encode(), PRIVATE)
            try:
                last = self._store.changes.installed(file.name)
                if last is None or not last.new == self._present(file) == change.model:
                    content = self._store.model_files.read(change.model)
                    self._models.deploy(file, content, who, change.why, self._about(change), not change.shadow)
            except AndonError:
                if self._present(file) == begun.old:
                    remove_quietly(noted)  # nothing has changed
                raise
        self._write(line, change, who)
        remove_quietly(noted)

    def _write(self, line: Line, change: LineChange, who: str) -> None:
        old = digest(self._lines.read(line.name).text) if self._lines.has(line.name) else None
        with self._store.changes.adding(
            who, "applied", "recipes", line.path.name, old, digest(change.text), change.why, self._about(change)
        ):
            self._lines.write(line)

    # What was cut off between the model and the settings

    def unfinished(self) -> list[Begun]:
        """Deployments that were cut off, as by a crash of the page; none while one is being made."""
        if self._working.locked():
            return []
        names = sorted(path.name.removesuffix(BEGUN) for path in self._folder.glob(f"*{BEGUN}"))
        return [begun for name in names if (begun := self.unfinished_of(name)) is not None]

    def unfinished_of(self, line: str) -> Begun | None:
        """That of a line, None for none."""
        try:
            return Begun.model_validate_json(read_within(self._noted(line), MAX_JSON_BYTES))
        except (OSError, ValidationError):
            return None

    def complete(self, line: str, who: str) -> None:
        """Do the rest of what was cut off. Raises AndonError, also where the settings have changed since."""
        with self._alone(line) as begun:
            change = begun.change
            now = digest(self._lines.read(line).text) if self._lines.has(line) else ""
            if now not in (change.base, digest(change.text)):
                raise UsageError(f"{self._lines.path(line)} has changed meanwhile; take the deployment back")
            self._make(change, who, begun)
            remove_quietly(self._place(line))

    def take_back(self, line: str, who: str) -> None:
        """Put back the model that a deployment replaced, where it was cut off. Raises AndonError."""
        with self._alone(line) as begun:
            change, file = begun.change, self._file(begun.change)
            if self._lines.has(line) and digest(self._lines.read(line).text) == digest(change.text):
                raise UsageError("the settings are written already; complete it, then undo it on Models")
            if self._present(file) == change.model != begun.old:
                why = f"cut off, taken back: {change.why}"[:MAX_WHY]
                if begun.old is not None:
                    content = self._store.model_files.read(begun.old)
                    self._models.deploy(file, content, who, why, is_listed=not change.shadow)
                else:
                    with self._store.changes.adding(who, "applied", "set up", file.path.name, None, change.model, why):
                        self._models.remove_file(file)
            if self._about(change) is None:
                remove_quietly(self._place(line))
            remove_quietly(self._noted(line))

    @contextmanager
    def _alone(self, line: str) -> Iterator[Begun]:
        if not self._working.acquire(blocking=False):
            raise UsageError("another change is being made; try again in a moment")
        try:
            begun = self.unfinished_of(line)
            if begun is None:
                raise UsageError("this deployment has been completed or taken back; load the page again")
            yield begun
        finally:
            self._working.release()

    def _file(self, change: LineChange) -> LineFile:
        if change.shadow:
            path = self._lines.shadow_path(change.recipe)
            return LineFile(path.stem, path)
        return LineFile(change.recipe, self._lines.model_path(change.recipe))

    def _coming(self, change: LineChange) -> Path | None:
        return self._file(change).path if change.model else None

    def _present(self, file: LineFile) -> str | None:
        return self._models.read(file).sha256 if file.path.exists() else None

    def _about(self, change: LineChange) -> int | None:
        """The proposal that an entry of the history answers, None where another entry has answered it."""
        waits = [proposal.number for proposal in self._store.changes.pending()]
        return change.number if change.number in waits else None

    def _noted(self, line: str) -> Path:
        return self._folder / f"{line}{BEGUN}"

    def _facts(self, change: LineChange) -> tuple[Action, str, str | None, str]:
        """Action, file, old and new of a change's entry in the history."""
        if change.model:
            file = self._file(change)
            return "deploy", file.name, self._present(file), change.model
        return "recipes", self._lines.path(change.line).name, change.base or None, digest(change.text)

    def _expect(self, change: LineChange) -> None:
        """Raise UsageError where the present text is not the one that a change is of."""
        now = digest(self._lines.read(change.line).text) if self._lines.has(change.line) else ""
        if now != change.base:
            raise UsageError(f"{self._lines.path(change.line)} has changed meanwhile; load the page again")

    def _place(self, line: str) -> Path:
        return self._folder / f"{line}.json"
