"""Which files of a folder are images. Training and the line use the same rules, and both say what they passed over.

Names that begin with "." are hidden, as are thumbnails and bins of systems (`SYSTEM_FOLDERS`): macOS puts a `._001.png`
that is no image next to each 001.png. A file is an image
by its ending; one without an ending, or with a number for one (frame.001), by its first bytes. Links to files are
followed. Links to folders are followed out of the folder, each once; a folder inside it is read where it is.
"""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from andon_monitor.image_files.decoding import SUFFIXES
from andon_monitor.image_files.signatures import BMP, PGM, PPM, detect

SIGNATURE_BYTES = 12  # of the start of a file, enough for each known format
WEAK_SIGNATURES = (BMP, PGM, PPM)  # two letters, with which a text may begin
NAMED_EXAMPLES = 3  # of the files passed over for one reason

# Folders that NAS, Windows and macOS put next to pictures: thumbnails and what was deleted are no parts.
SYSTEM_FOLDERS = ("@eadir", "#recycle", "#snapshot", "$recycle.bin", "system volume information", "__macosx")

HIDDEN = "hidden"
OTHER_ENDING = "with other endings"
DANGLING = "links that lead nowhere"
REPEATED = "links to folders that are read already"
SPECIAL = "neither files nor folders"
UNREADABLE = "that cannot be read"


class PassedOver:
    """How many entries of a folder were passed over, by reason, with the first names."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._examples: dict[str, list[str]] = {}

    def add(self, reason: str, name: str) -> None:
        """Count one entry; `name` is its path inside the folder."""
        self.counts[reason] += 1
        examples = self._examples.setdefault(reason, [])
        if len(examples) < NAMED_EXAMPLES:
            examples.append(name.encode(errors="surrogateescape").decode(errors="replace"))

    def remove(self, reason: str, name: str) -> None:
        """Do not count an entry that has another use."""
        if self.counts[reason]:
            self.counts[reason] -= 1
            self.counts += Counter()  # without reasons that are left with none
            self._examples[reason] = [example for example in self._examples[reason] if example != name]

    @property
    def total(self) -> int:
        """The number of entries passed over."""
        return self.counts.total()

    @property
    def reasons(self) -> str:
        """Such as `2 hidden ('._1.png', '._2.png'), 1 with other endings ('notes.txt')`."""
        return ", ".join(
            f"{count} {reason} ({', '.join(map(repr, self._examples[reason]))}{', ...' * (count > NAMED_EXAMPLES)})"
            for reason, count in self.counts.most_common()
        )

    def __str__(self) -> str:
        """Such as `3 passed over: 2 hidden ('._1.png', '._2.png'), 1 with other endings ('notes.txt')`."""
        return f"{self.total} passed over: {self.reasons}" if self.total else "none passed over"


def find_images(root: Path) -> tuple[list[Path], PassedOver]:
    """All images in a folder and its subfolders, sorted, and what was passed over. Raises OSError for `root`."""
    passed_over = PassedOver()
    return list(walk_images(root, passed_over)), passed_over


def walk_images(root: Path, passed_over: PassedOver) -> Iterator[Path]:
    """`find_images`, folder by folder: memory does not grow with their number. Raises OSError for `root`."""
    walked = [os.path.realpath(root)]
    levels = [iter(sorted(os.scandir(root), key=_name))]
    while levels:
        entry = next(levels[-1], None)
        if entry is None:
            levels.pop()
            continue
        path = Path(entry.path)
        try:
            reason = HIDDEN if _is_hidden(entry.name) else _why_not(path, walked)
            if reason is None and path.is_dir():
                levels.append(iter(sorted(os.scandir(path), key=_name)))
            elif reason is None:
                yield path
        except OSError:
            reason = UNREADABLE
        if reason is not None:
            passed_over.add(reason, os.path.relpath(path, root))


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name.lower() in SYSTEM_FOLDERS


def _name(entry: os.DirEntry[str]) -> str:
    return entry.name


def _why_not(path: Path, walked: list[str]) -> str | None:
    """Why an entry is passed over, None for a folder to read or an image. Raises OSError where that cannot be told.

    `walked`: the real paths of the folders that are read with all that is in them; those that links lead to are added.
    """
    if not path.exists():
        return DANGLING
    if path.is_dir():
        target = os.path.realpath(path)
        if not path.is_symlink():
            return None
        if any(_contains(folder, target) or _contains(target, folder) for folder in walked):
            return REPEATED
        walked.append(target)
        return None
    if not path.is_file():
        return SPECIAL
    suffix = path.suffix.lower()
    if suffix in SUFFIXES:
        return None
    if suffix.strip(".").isdecimal() or not suffix.strip("."):
        with path.open("rb") as file:
            found = detect(file.read(SIGNATURE_BYTES))
        if found is not None and found not in WEAK_SIGNATURES:
            return None
    return OTHER_ENDING


def _contains(folder: str, path: str) -> bool:
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)
