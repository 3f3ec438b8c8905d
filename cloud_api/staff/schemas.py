"""What goes in and out of the routes for staff."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, StringConstraints

from cloud_api.auth.models import Account
from cloud_api.staff.models import StaffMember


class WorkplaceOut(BaseModel):
    """A merchant that the logged-in person works for."""

    merchant_id: str
    merchant: str
    role: str


class ConsoleMeOut(BaseModel):
    """Who the console knows, and what they may do."""

    staff_id: str
    name: str
    merchant_id: str
    permissions: list[str]
    store_ids: list[str] | None
    workplaces: list[WorkplaceOut]


class StaffOut(BaseModel):
    """A member of staff; the number is never given in full."""

    id: str
    name: str
    role: str
    phone_tail: str
    store_ids: list[str] | None
    active: bool

    @classmethod
    def of(cls, member: StaffMember, account: Account) -> StaffOut:
        """From the tables."""
        return cls(
            id=member.id,
            name=member.name,
            role=member.role,
            phone_tail=account.phone_tail,
            store_ids=None if member.store_ids is None else list(map(str, member.store_ids)),
            active=member.active,
        )


class StaffListOut(BaseModel):
    """The merchant's staff."""

    items: list[StaffOut]


class StaffIn(BaseModel):
    """A new member of staff; ``store_ids`` null = every store."""

    phone: Annotated[str, StringConstraints(strip_whitespace=True, min_length=6, max_length=24)]
    name: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=40)]
    role: Annotated[str, StringConstraints(max_length=40)]
    store_ids: list[str] | None = None
