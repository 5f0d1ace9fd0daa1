"""What the settings of several groups are made of: kinds of numbers and texts, and the base of a group."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

Seconds = Annotated[FiniteFloat, Field(ge=0)]
Positive = Annotated[FiniteFloat, Field(gt=0)]
Share = Annotated[FiniteFloat, Field(gt=0, lt=1)]
Ratio = Annotated[FiniteFloat, Field(ge=0, le=1)]
Name = Annotated[str, Field(min_length=1)]
Count = Annotated[int, Field(ge=1)]
PartName = Annotated[str, Field(pattern=r"^[a-z0-9]{1,20}$")]  # as `andon_monitor.inspection.part` takes them


class Group(BaseModel):
    """Settings that belong together; a name that is not known is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")
