"""What all models of the wire are made of."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Id = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.:-]+$")]
Millis = Annotated[int, Field(ge=0, le=4_102_444_800_000)]  # until 2100


class Message(BaseModel):
    """Base: frozen, unknown fields ignored (the other side may be one version newer)."""

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)
