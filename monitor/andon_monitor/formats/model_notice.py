"""Which content a model file of the line has to hold, as JSON in the topic of models. Anybody may write to a topic."""

import json
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError

from andon_monitor.common.times import rfc3339
from andon_monitor.errors import EvidenceError
from andon_monitor.formats.evidence_package import describe
from andon_monitor.inspection.frames import MAX_TIME, MIN_TIME, parse_time

MAX_NOTICE_BYTES = 2**14


def _time(value: object) -> object:
    return parse_time(value) if isinstance(value, str) else value


class ModelNotice(BaseModel):
    """A content and where it is: `file` is the name of recipe, alias or file, `place` of a file in `model.shared`."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    file: Annotated[str, Field(min_length=1, max_length=200)]
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    place: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}$")]
    at: Annotated[float, BeforeValidator(_time), Field(ge=MIN_TIME, le=MAX_TIME)]  # seconds since 1970

    def to_json(self) -> bytes:
        """As it is in the topic."""
        return json.dumps(self.model_dump() | {"at": rfc3339(self.at)}, ensure_ascii=False).encode()


def read_model_notice(data: bytes) -> ModelNotice:
    """Read one. Raises EvidenceError."""
    if len(data) > MAX_NOTICE_BYTES:
        raise EvidenceError(f"a notice of a model with {len(data)} bytes, at most {MAX_NOTICE_BYTES} are read")
    try:
        return ModelNotice.model_validate_json(data)
    except ValidationError as error:
        raise EvidenceError(f"no notice of a model: {describe(error)}") from None
