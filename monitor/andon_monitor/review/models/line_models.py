"""The model files that the monitors of the line read: their present content, and changes that can be taken back."""

import hashlib
import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from andon_monitor.common.files import cannot_write, write_whole
from andon_monitor.errors import AndonError, ModelError, UsageError
from andon_monitor.model.card import CARD_KEY, Card, parse_card
from andon_monitor.model.file import NO_CARD, read_model
from andon_monitor.model.graph_check import check_graph
from andon_monitor.model.limits import LoadLimits
from andon_monitor.model.recalibration import with_rate
from andon_monitor.model.verification import verify_apart
from andon_monitor.review.store import Store
from andon_monitor.review.store.rows import Action, Change
from andon_monitor.settings.groups import ReviewSettings

INTERVAL_SECONDS = 5.0  # between two checks whether a file was replaced
MAX_WHY = 300  # characters of the reason of a change

log = logging.getLogger("andon")


@dataclass(frozen=True, slots=True)
class LineFile:
    """A model file of the line; `name` is its recipe or alias, or the name of the file."""

    name: str
    path: Path


@dataclass(frozen=True, slots=True)
class Content:
    """What a model file holds."""

    sha256: str
    card: Card
    content: bytes


class LineModels:
    """Watches and changes model files.

    A new content is verified in a process apart before it gets the file's name, all at once; the monitors swap it in.
    Contents are kept in the store where the page may change files, so that each change can be taken back. One change
    is made at a time.
    """

    def __init__(
        self, store: Store, files: Sequence[LineFile], settings: ReviewSettings, limits: LoadLimits | None = None
    ) -> None:
        self._store = store
        self.files = tuple(files)
        self.may_change = bool(settings.changers)
        self.four_eyes = settings.four_eyes
        self._limits = limits or LoadLimits()
        self._working = threading.Lock()
        self._verified: set[str] = set()
        self._known: dict[Path, tuple[tuple[int, int, int], Content]] = {}

    def find(self, name: str) -> LineFile:
        """The file of a name. Raises UsageError."""
        for file in self.files:
            if file.name == name:
                return file
        raise UsageError(f"{name[:60]!r} is no model file of the line")

    def read(self, file: LineFile) -> Content:
        """The present content of a file, read again only where it was replaced. Raises UsageError, ModelError."""
        try:
            facts = file.path.stat()
        except OSError:
            raise UsageError(f"{file.path}: no such model file") from None
        mark = facts.st_ino, facts.st_mtime_ns, facts.st_size
        known = self._known.get(file.path)
        if known is None or known[0] != mark:
            known = mark, parse_content(read_model(file.path), str(file.path))
            self._known[file.path] = known
        return known[1]

    def contents(self) -> set[str]:
        """The sha256 of what the files hold now, of those that can be read."""
        found = set[str]()
        for file in self.files:
            with suppress(AndonError):
                found.add(self.read(file).sha256)
        return found

    def notice(self, file: LineFile) -> None:
        """Note in the store what a file holds now. Raises AndonError."""
        now = self.read(file)
        self._store.models.add(now.sha256, file.name, now.card)
        if self.may_change:
            self._keep(now.content)
        if self._store.changes.note_found(file.name, now.sha256):
            log.info("model file %s: content %s noted", file.name, now.sha256[:12])

    def follow(self, file: LineFile, closed: threading.Event) -> None:
        """Note new contents of a file until `closed`. Raises AndonError."""
        seen = _modified_ns(file.path)
        while not closed.wait(INTERVAL_SECONDS):
            now = _modified_ns(file.path)
            if now not in (0, seen):
                self.notice(file)
                seen = now

    def change_rate(self, name: str, expected: str, rate: float, who: str, why: str) -> Change:
        """Give a file the threshold for another false-alarm rate, or propose it where two people have to agree.

        `expected`: sha256 of the content that the visitor saw. Raises AndonError; then nothing has changed.
        """
        file = self.find(name)
        with self._alone():
            old = self._expect(file, expected)
            content, card = with_rate(old.content, str(file.path), rate)
            _differs(file, old.sha256, hashlib.sha256(content).hexdigest())
            self._verify(content, file)
            new = self._add(content, file, card)
            return self._put(file, old, new, content, "threshold", who, why)

    def install(self, name: str, expected: str, sha256: str, action: Action, who: str, why: str) -> Change:
        """Give a file a content that is kept; as `change_rate`."""
        file = self.find(name)
        with self._alone():
            old = self._expect(file, expected)
            _differs(file, old.sha256, sha256)
            content = self._store.model_files.read(sha256)
            self._verify(content, file)
            return self._put(file, old, sha256, content, action, who, why)

    def take_over(self, name: str, expected: str, content: bytes, action: Action, who: str, why: str) -> Change:
        """Give a file a content that is new, such as that of a fit; as `change_rate`."""
        file = self.find(name)
        with self._alone():
            old = self._expect(file, expected)
            new = parse_content(content, str(file.path))
            _differs(file, old.sha256, new.sha256)
            self._verify(content, file)
            self._add(content, file, new.card)
            return self._put(file, old, new.sha256, content, action, who, why)

    def add_file(self, file: LineFile) -> None:
        """Count a file among those of the line, where none of its name is there."""
        if file.name not in [known.name for known in self.files]:
            self.files = (*self.files, file)

    def remove_file(self, file: LineFile) -> None:
        """Remove a model file that no recipe names; its content is kept in the store. Raises OutputError."""
        try:
            file.path.unlink(missing_ok=True)
        except OSError as error:
            raise cannot_write(file.path, error) from None
        self.files = tuple(known for known in self.files if known != file)

    def deploy(
        self, file: LineFile, content: bytes, who: str, why: str, about: int | None = None, is_listed: bool = True
    ) -> Change:
        """Give a file of the line, or one that is new, its content; where needed, two people have agreed before.

        `is_listed`: whether it counts among the files of the line, as all but shadows do.
        Raises AndonError; then nothing has changed.
        """
        with self._alone():
            new = parse_content(content, str(file.path))
            self._verify(content, file)
            old = self._expect(file, self.read(file).sha256).sha256 if file.path.exists() else None
            self._add(content, file, new.card)
            if is_listed and file not in self.files:  # a recipe's file may have been elsewhere
                self.files = (*(known for known in self.files if known.name != file.name), file)
            return self._apply(file, old, new.sha256, content, "deploy", who, why, about=about)

    def undo(self, number: int, who: str) -> Change:
        """Put back what a change replaced, if nothing came after it. One person may do this. Raises AndonError."""
        change = self._store.changes.get(number)
        if change is None or change.old is None:
            raise UsageError("there is nothing before this change to go back to")
        file = self.find(change.file)
        with self._alone():
            last = self._store.changes.installed(file.name)
            if last is None or last.number != number:
                raise UsageError(f"model file {file.name} has changed again since; load the page again")
            old = self._expect(file, change.new)
            content = self._store.model_files.read(change.old)
            # Not verified again: the file held it before, and every monitor verifies it before use.
            return self._apply(file, old.sha256, change.old, content, "undo", who, "", about=number)

    def answer(self, number: int, agreed: bool, who: str) -> Change:
        """Apply what somebody else proposed, or reject it. Raises AndonError."""
        change = next((change for change in self._store.changes.pending() if change.number == number), None)
        if change is None:
            raise UsageError("this proposal has been answered; load the page again")
        if change.action == "deploy" or not change.is_of_model:
            raise UsageError("answer this proposal on Set up, at its line")
        file = self.find(change.file)
        if not agreed:
            with self._store.changes.adding(
                who, "rejected", change.action, file.name, change.old, change.new, change.why, number
            ):
                pass
            return self._last()
        if change.who == who:
            raise UsageError("a change needs two people: somebody else has to agree to what you proposed")
        with self._alone():
            old = self._expect(file, change.old or "")
            content = self._store.model_files.read(change.new)
            self._verify(content, file)
            return self._apply(file, old.sha256, change.new, content, change.action, who, change.why, about=number)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if not self._working.acquire(blocking=False):
            raise UsageError("another change is being made; try again in a moment")
        try:
            yield
        finally:
            self._working.release()

    def _expect(self, file: LineFile, sha256: str) -> Content:
        now = self.read(file)
        if now.sha256 != sha256:
            raise UsageError(
                f"model file {file.name} holds {now.sha256[:12]} by now, not {sha256[:12]}; load the page again"
            )
        self._keep(now.content)
        return now

    def _verify(self, content: bytes, file: LineFile) -> None:
        sha256 = hashlib.sha256(content).hexdigest()
        if sha256 not in self._verified:
            verify_apart(content, str(file.path), "cpu", self._limits, in_background=False)  # a person waits
            self._verified.add(sha256)

    def _add(self, content: bytes, file: LineFile, card: Card) -> str:
        sha256 = self._keep(content)
        self._store.models.add(sha256, file.name, card)
        return sha256

    def _keep(self, content: bytes) -> str:
        sha256 = self._store.model_files.keep(content)
        pending = [change.new for change in self._store.changes.pending()]
        self._store.model_files.trim([sha256, *pending, *self._store.changes.contents()])
        return sha256

    def _put(
        self, file: LineFile, old: Content, new: str, content: bytes, action: Action, who: str, why: str
    ) -> Change:
        why = " ".join(why.split())[:MAX_WHY]
        if not why:
            raise UsageError("say why; the history shows it to those who come after you")
        if not self.four_eyes:
            return self._apply(file, old.sha256, new, content, action, who, why)
        with self._store.changes.adding(who, "proposed", action, file.name, old.sha256, new, why):
            pass
        return self._last()

    def _apply(
        self,
        file: LineFile,
        old: str | None,
        new: str,
        content: bytes,
        action: Action,
        who: str,
        why: str,
        about: int | None = None,
    ) -> Change:
        with self._store.changes.adding(who, "applied", action, file.name, old, new, why, about):
            write_whole(file.path, content)
        log.info("model file %s: %s by %s, %s instead of %s", file.name, action, who, new[:12], (old or "nothing")[:12])
        return self._last()

    def _last(self) -> Change:
        return self._store.changes.newest(1)[0]


def parse_content(content: bytes, path: str) -> Content:
    """A model file's content with its card; `path` names it in errors. The graph is not run. Raises ModelError."""
    metadata = check_graph(content, path).metadata
    if CARD_KEY not in metadata:
        raise ModelError(f"{path}: {NO_CARD}")
    return Content(hashlib.sha256(content).hexdigest(), parse_card(metadata[CARD_KEY], path), content)


def try_notice(models: LineModels, strict: bool) -> None:
    """Note all files; one that cannot be read is logged, or raised where `strict`. Raises AndonError."""
    for file in models.files:
        try:
            models.notice(file)
        except AndonError as error:
            if strict:
                raise
            log.warning("the page shows nothing of this model: %s", error)


def _differs(file: LineFile, old: str, new: str) -> None:
    if new == old:
        raise UsageError(f"model file {file.name} already holds {new[:12]}; nothing to change")


def _modified_ns(path: Path) -> int:
    """0 for a file that is not there."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
