"""What a refit is to do and what came out, as files that survive the page."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from andon_monitor.common.files import read_within, write_whole
from andon_monitor.errors import UsageError
from andon_monitor.review.teach.judging import Judged

PLAN, RESULT = "plan.json", "result.json"
NAMING = "naming.onnx"  # the new model with names of kinds, before it is the new model
OLD, NEW, REPORT, COMPARISON = "old.onnx", "new.onnx", "report.html", "comparison.html"
MAX_JSON_BYTES = 2**24


class Plan(BaseModel):
    """A refit. `arguments` are those of `andon-trainer`; `tested` are image files with their truth."""

    model_config = ConfigDict(frozen=True)

    file: str
    sha256: str  # of the model on the line
    who: str
    started: float  # seconds since 1970
    arguments: tuple[str, ...]
    tested: tuple[tuple[str, str], ...]
    learned: int
    left_out: int
    cores: int
    recording: str | None = None
    kinds: str | None = None  # folder of images to learn kinds of defects from
    process: int = 0  # its id, and that of its group


class Result(BaseModel):
    """How a refit ended: `failure` is "" where there is a new model."""

    model_config = ConfigDict(frozen=True)

    failure: str = ""
    judged: Judged | None = None
    steering: str = ""  # how the threshold was chosen, in one sentence
    kinds: tuple[str, ...] = ()  # of defects that the new model names
    ended: float


def write(folder: Path, name: str, content: Plan | Result) -> None:
    """Write one of the files, completely or not at all. Raises OutputError."""
    write_whole(folder / name, content.model_dump_json().encode())


def read_plan(folder: Path) -> Plan | None:
    """The plan of a refit, None where there is none. Raises UsageError where it is damaged."""
    data = _read(folder / PLAN)
    try:
        return None if data is None else Plan.model_validate_json(data)
    except ValidationError:
        raise UsageError(f"{folder / PLAN}: damaged; remove the folder") from None


def read_result(folder: Path) -> Result | None:
    """The result, None where there is none yet."""
    data = _read(folder / RESULT)
    try:
        return None if data is None else Result.model_validate_json(data)
    except ValidationError:
        return Result(failure=f"{folder / RESULT}: damaged", ended=0.0)


def _read(path: Path) -> bytes | None:
    try:
        return read_within(path, MAX_JSON_BYTES)
    except OSError:
        return None
