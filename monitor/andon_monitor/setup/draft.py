"""A set-up that is not finished, or that was deployed: what was chosen, in files that survive the page."""

import re
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from andon_monitor.common.files import read_within, remove_quietly, write_whole
from andon_monitor.errors import UsageError
from andon_monitor.review.fits import IMAGES

DRAFT, SOURCE, MASK, MODEL = "draft.json", "source.yaml", "mask.json", "model.onnx"
FITTED, REPORT = "fit/new.onnx", "fit/report.html"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")
MAX_DRAFTS = 50
MAX_JSON_BYTES = 100_000
PRIVATE = 0o600  # of files that may hold the password of a camera
STEPS = {
    "source": "Source",
    "images": "Good parts",
    "mask": "Regions and masks",
    "fit": "Fit",
    "report": "Report",
    "rate": "Rate",
    "deploy": "Try and deploy",
}


class Draft(BaseModel):
    """What was chosen. `shown` is the source without its password; `whole` says that there is no mask on purpose."""

    model_config = ConfigDict(frozen=True)

    name: str
    who: str
    created: float  # seconds since 1970
    shown: str = ""
    camera: str = ""
    whole: bool = False
    deployed: float | None = None
    line: str = ""


class DraftFolder:
    """A draft and its files."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.name

    def read(self) -> Draft:
        """What was chosen. Raises UsageError where it is damaged."""
        try:
            return Draft.model_validate_json(read_within(self.path / DRAFT, MAX_JSON_BYTES))
        except (OSError, ValidationError):
            raise UsageError(f"{self.path / DRAFT}: damaged; remove the folder") from None

    def change(self, **fields: object) -> Draft:
        """Choose something else. Raises UsageError, OutputError."""
        draft = self.read().model_copy(update=fields)
        write_whole(self.path / DRAFT, draft.model_dump_json().encode())
        return draft

    def has(self, name: str) -> bool:
        """Whether one of its files is there."""
        return (self.path / name).is_file()

    def source(self) -> dict[str, dict[str, object]]:
        """The groups of settings that open the source; they may hold a password. Raises UsageError without one."""
        try:
            groups = yaml.safe_load(read_within(self.path / SOURCE, MAX_JSON_BYTES))
        except (OSError, yaml.YAMLError):
            groups = None
        if not isinstance(groups, dict):
            raise UsageError("choose a source first")
        return groups

    def write_settings(self, name: str, groups: dict[str, dict[str, object]]) -> Path:
        """Write a settings file that only this user reads. Raises OutputError."""
        text = yaml.safe_dump(groups, sort_keys=False, allow_unicode=True)
        write_whole(self.path / name, text.encode(), PRIVATE)
        return self.path / name

    def images(self) -> list[Path]:
        """The collected images, the newest first."""
        try:
            found = [path for path in (self.path / IMAGES).iterdir() if path.stem.isdigit() and path.is_file()]
        except OSError:
            return []
        return sorted(found, key=lambda path: path.name, reverse=True)

    def image(self, name: str) -> Path:
        """One of them. Raises UsageError."""
        for path in self.images():
            if path.name == name:
                return path
        raise UsageError("no such image; load the page again")

    def remove_image(self, name: str) -> None:
        """Throw an image out. Raises UsageError."""
        remove_quietly(self.image(name))

    def is_stale(self) -> bool:
        """Whether the mask was changed after the fit."""
        try:
            return (self.path / MASK).stat().st_mtime > (self.path / FITTED).stat().st_mtime
        except OSError:
            return False

    def is_rated(self) -> bool:
        """Whether a rate was chosen for the model that was fitted last."""
        try:
            rated = (self.path / MODEL).stat().st_mtime_ns
            return not self.has(FITTED) or rated >= (self.path / FITTED).stat().st_mtime_ns
        except OSError:
            return False

    def done(self) -> list[str]:
        """The steps that are done."""
        draft = self.read()
        facts = {
            "source": self.has(SOURCE),
            "images": bool(self.images()),
            "mask": draft.whole or self.has(MASK),
            "fit": self.has(FITTED),
            "report": self.has(FITTED) and self.is_rated(),
            "rate": self.is_rated(),
            "deploy": draft.deployed is not None,
        }
        return [step for step in STEPS if facts[step]]

    def next_step(self) -> str:
        """The first step that is not done, or the last one."""
        done = self.done()
        return next((step for step in STEPS if step not in done), "deploy")


class Drafts:
    """All set-ups: a folder for each."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def all(self) -> Sequence[DraftFolder]:
        """By name."""
        return [DraftFolder(path.parent) for path in sorted(self.folder.glob(f"*/{DRAFT}"))]

    def find(self, name: str) -> DraftFolder:
        """One of them. Raises UsageError."""
        if NAME.fullmatch(name) and (self.folder / name / DRAFT).is_file():
            return DraftFolder(self.folder / name)
        raise UsageError(f"{name[:60]!r} is no set-up of this page")

    def create(self, name: str, who: str) -> DraftFolder:
        """Begin one. Raises UsageError, OutputError."""
        check_name(name)
        if len(self.all()) >= MAX_DRAFTS:
            raise UsageError(f"there are {MAX_DRAFTS} set-ups; throw one away first")
        if (self.folder / name / DRAFT).exists():
            raise UsageError(f"{name} is there already; give another name, or go on with it")
        draft = Draft(name=name, who=who, created=time.time())
        write_whole(self.folder / name / DRAFT, draft.model_dump_json().encode())
        (self.folder / name).chmod(0o700)
        return DraftFolder(self.folder / name)

    def remove(self, draft: DraftFolder) -> None:
        """Throw one away, with its images; what was deployed stays."""
        remove_quietly(draft.path / DRAFT)  # first: what is left after a crash is no set-up
        shutil.rmtree(draft.path, ignore_errors=True)


def check_name(name: str) -> None:
    """Raise UsageError for a name that cannot be that of a set-up or of a line."""
    if not NAME.fullmatch(name):
        raise UsageError(
            f"{name[:60]!r}: a name has up to 40 letters, digits, - or _, and begins with a letter or digit"
        )
