"""The verdict of a part, read from its JSON. Anybody may write to a topic: what does not fit is refused."""

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError

from andon_monitor.errors import EvidenceError
from andon_monitor.formats.evidence_package import describe
from andon_monitor.inspection.frames import MAX_TIME, MIN_TIME, Outcome, parse_time

MAX_PART_BYTES = 2**18
MAX_VIEWS = 200

Id = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
Text = Annotated[str, Field(min_length=1, max_length=200)]
Names = Annotated[tuple[Text, ...], Field(max_length=MAX_VIEWS)]


def _time(value: object) -> object:
    return parse_time(value) if isinstance(value, str) else value


class _Read(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class PartIdentity(_Read):
    """Which part it is."""

    id: Text
    product: Text | None = None
    order: Text | None = None


class PartView(_Read):
    """One view of the part; `id` is that of its verdict."""

    view: Text
    camera: Text
    verdict: Outcome
    id: Id


class PartRecord(_Read):
    """A verdict of a part read from JSON. `ended_at`: seconds since 1970."""

    id: Id
    part: PartIdentity
    verdict: Literal["good", "defect", "incomplete"]
    reason: Text | None = None
    revision: int = Field(ge=1, le=1000)
    revises: Id | None = None
    ended_at: Annotated[float, BeforeValidator(_time), Field(ge=MIN_TIME, le=MAX_TIME)]
    defects: Names = ()
    missing: Names = ()
    uninspectable: Names = ()
    views: Annotated[tuple[PartView, ...], Field(min_length=1, max_length=MAX_VIEWS)]


def read_part_record(data: bytes) -> PartRecord:
    """Read a part's verdict. Raises EvidenceError."""
    try:
        return PartRecord.model_validate_json(data[:MAX_PART_BYTES])
    except ValidationError as error:
        raise EvidenceError(f"a part: {describe(error)}") from None
