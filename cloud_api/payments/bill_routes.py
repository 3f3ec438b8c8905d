"""/console/reconciliation: daily bills of payment providers against our books."""

from datetime import date, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from cloud_api.kit.actor import Staff
from cloud_api.kit.http import cloud_of
from cloud_api.kit.idempotency import once
from cloud_api.payments import bill_desk
from cloud_api.payments.bill_models import BillDifference
from cloud_api.payments.providers import PROVIDERS
from cloud_api.staff.deps import staff_actor

router = APIRouter(prefix="/console/reconciliation", tags=["payments"])
Who = Annotated[Staff, Depends(staff_actor)]


class BillOut(BaseModel):
    """A day of an account. Sums in fen. ``state``: waiting, balanced, open."""

    id: str
    day: date
    provider: str
    provider_name: str
    account: str
    state: str
    lines: int
    theirs_paid_fen: int
    theirs_refunded_fen: int
    fee_fen: int
    ours_paid_fen: int
    ours_refunded_fen: int
    open_differences: int
    healed: int
    tries: int
    last_error: str | None
    read_at: datetime | None

    @classmethod
    def of(cls, read: bill_desk.Read) -> "BillOut":
        """From the table."""
        values = read.bill.model_dump(include=set(cls.model_fields))
        label = PROVIDERS[read.bill.provider].label
        return cls(**values, provider_name=label, account=read.account)


class DifferenceOut(BaseModel):
    """``category``: missing_here, missing_there, amount, state. ``state``: open, healed, resolved."""

    id: str
    category: str
    kind: str
    number: str
    theirs_fen: int | None
    ours_fen: int | None
    ours_state: str | None
    pays: str | None
    state: str
    note: str
    by: str
    found_at: datetime
    ended_at: datetime | None

    @classmethod
    def of(cls, row: BillDifference) -> "DifferenceOut":
        """From the table."""
        return cls(**row.model_dump(include=set(cls.model_fields)))


class BillsOut(BaseModel):
    """Newest days first."""

    items: list[BillOut]


class ReportOut(BillOut):
    """A day with where it differs."""

    differences: list[DifferenceOut]


class ResolveIn(BaseModel):
    """What was found out."""

    model_config = ConfigDict(extra="forbid")
    why: Annotated[str, Field(max_length=300)] = ""


@router.get("")
async def list_bills(
    request: Request,
    who: Who,
    state: Annotated[str, Query(pattern="^(waiting|balanced|open)?$")] = "",
    before: date | None = None,
) -> BillsOut:
    """The days, newest first, ``before`` a day. Needs report.read."""
    async with cloud_of(request).db.read() as session:
        found = await bill_desk.list_bills(session, who, state=state, before=before)
    return BillsOut(items=[BillOut.of(one) for one in found])


@router.get("/{bill_id}")
async def get_bill(bill_id: str, request: Request, who: Who) -> ReportOut:
    """The report of a day: balanced, or why not. Needs report.read."""
    async with cloud_of(request).db.read() as session:
        read, found = await bill_desk.get_bill(session, who, bill_id)
    shown = [DifferenceOut.of(one) for one in found]
    return ReportOut(**BillOut.of(read).model_dump(), differences=shown)


@router.post("/{bill_id}/read-again", response_model=BillOut, status_code=202)
async def read_again(bill_id: str, request: Request, who: Who) -> Response:
    """Ask the provider again for that day. Needs money.reconcile."""
    cloud = cloud_of(request)

    async def act() -> BillOut:
        async with cloud.db.write() as session:
            bill = await bill_desk.read_again(session, who, bill_id, cloud.clocks)
            return BillOut.of(bill_desk.Read(bill, ""))

    return await once(cloud, who.ref, request, await request.body(), act)


@router.post("/differences/{difference_id}/resolve", response_model=DifferenceOut)
async def resolve(difference_id: str, body: ResolveIn, request: Request, who: Who) -> Response:
    """Close a difference with what was found out. Needs money.reconcile."""
    cloud = cloud_of(request)

    async def act() -> DifferenceOut:
        async with cloud.db.write() as session:
            found = await bill_desk.resolve(session, who, difference_id, body.why, cloud.clocks)
            return DifferenceOut.of(found)

    return await once(cloud, who.ref, request, await request.body(), act)
