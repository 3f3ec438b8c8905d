"""What goes in and out of the routes for one's own data."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, StringConstraints

from cloud_api.members.models import DataExport, MemberLevel


class OwnLevelOut(BaseModel):
    """One's level at a merchant: ``per_cent`` of the room's price is what one pays there."""

    merchant_id: str
    merchant: str
    name: str
    per_cent: int

    @classmethod
    def of(cls, merchant: str, level: MemberLevel) -> OwnLevelOut:
        """From the table."""
        return cls(
            merchant_id=level.merchant_id,
            merchant=merchant,
            name=level.name,
            per_cent=level.per_cent,
        )


class OwnLevelsOut(BaseModel):
    """One's levels; one at a merchant at most."""

    items: list[OwnLevelOut]


class ExportOut(BaseModel):
    """A copy of one's data: ``asked``, ``ready`` (then ``url`` gives it), ``expired``."""

    id: str
    state: str
    size_bytes: int
    created_at: datetime
    expires_at: datetime | None
    url: str | None

    @classmethod
    def of(cls, row: DataExport) -> ExportOut:
        """From the table."""
        return cls(
            id=row.id,
            state=row.state,
            size_bytes=row.size_bytes,
            created_at=row.created_at,
            expires_at=row.expires_at,
            url=f"/api/v1/me/exports/{row.id}" if row.state == "ready" else None,
        )


class ExportsOut(BaseModel):
    """One's copies, newest first."""

    items: list[ExportOut]


class DeleteIn(BaseModel):
    """``confirm``: the last four digits of one's own number, typed by the person."""

    confirm: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=8)]
