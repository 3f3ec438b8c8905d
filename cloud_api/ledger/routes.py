"""/console/ledger: statements, the daily closing, the drawer."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import StreamingResponse

from cloud_api.audit import service as audit
from cloud_api.kit.actor import Staff
from cloud_api.kit.calendar import Day
from cloud_api.kit.http import cloud_of
from cloud_api.kit.idempotency import once
from cloud_api.ledger import cash, closing, statement
from cloud_api.ledger.schemas import (
    BankIn,
    CloseIn,
    CountIn,
    CountOut,
    DayOut,
    DrawerOut,
    StatementOut,
)
from cloud_api.staff.deps import staff_actor
from cloud_api.staff.permissions import REPORT_READ
from cloud_api.stores.service import get_store

router = APIRouter(prefix="/console/ledger", tags=["console: books"])
Who = Annotated[Staff, Depends(staff_actor)]


@router.get("/stores/{store_id}/statement")
async def get_statement(
    store_id: str, request: Request, who: Who, first: Day | None = None, last: Day | None = None
) -> StatementOut:
    """A store's accounts over business days; the last finished one if none is given. Needs report.read."""
    cloud = cloud_of(request)
    async with cloud.db.read() as session:
        store = await get_store(session, who, store_id)
        end = last or first or closing.last_over(store, cloud.clocks)
        return await statement.statement(session, who, store.id, first or end, end)


@router.get("/stores/{store_id}/entries.csv")
async def export_entries(
    store_id: str,
    request: Request,
    who: Who,
    first: Annotated[Day, Query()],
    last: Annotated[Day, Query()],
) -> StreamingResponse:
    """Every entry of these days as CSV. Needs report.read; written to the log of acts."""
    who.need(REPORT_READ)
    cloud = cloud_of(request)
    async with cloud.db.write() as session:
        store = await get_store(session, who, store_id)
        await audit.record(
            session,
            who,
            "ledger.export",
            merchant_id=store.merchant_id,
            store_id=store.id,
            subject=f"store:{store.id}",
            after={"first": first.isoformat(), "last": last.isoformat()},
            clocks=cloud.clocks,
        )
    return StreamingResponse(
        statement.csv_lines(cloud.db, who, store_id, first, last),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="ledger-{first}-{last}.csv"'},
    )


@router.post("/stores/{store_id}/close", response_model=DayOut)
async def close_day(store_id: str, body: CloseIn, request: Request, who: Who) -> Response:
    """Close a business day and those before it. Needs money.close."""
    cloud = cloud_of(request)

    async def act() -> DayOut:
        async with cloud.db.write() as session:
            store = await get_store(session, who, store_id)
            made = await closing.close(
                session,
                who,
                store_id,
                body.day,
                cloud.clocks,
                counted_fen=body.counted_fen,
                why=body.why,
            )
            return DayOut.of(made, store.tz)

    return await once(cloud, who.ref, request, await request.body(), act)


@router.get("/stores/{store_id}/drawer")
async def get_drawer(store_id: str, request: Request, who: Who) -> DrawerOut:
    """What should be in the drawer. Needs report.read."""
    who.need(REPORT_READ)
    cloud = cloud_of(request)
    async with cloud.db.read() as session:
        store = await get_store(session, who, store_id)
        return DrawerOut(
            store_id=store.id,
            expected_fen=await cash.expected(session, store.id),
            counts=[CountOut.of(one) for one in await cash.counts(session, who, store.id)],
        )


@router.post("/stores/{store_id}/drawer/counts", response_model=CountOut)
async def count_drawer(store_id: str, body: CountIn, request: Request, who: Who) -> Response:
    """Count the drawer. Needs money.close."""
    cloud = cloud_of(request)

    async def act() -> CountOut:
        async with cloud.db.write() as session:
            made = await cash.count(
                session, who, store_id, body.counted_fen, body.why, cloud.clocks
            )
            return CountOut.of(made)

    return await once(cloud, who.ref, request, await request.body(), act)


@router.post("/stores/{store_id}/drawer/to-bank", response_model=DrawerOut)
async def drawer_to_bank(store_id: str, body: BankIn, request: Request, who: Who) -> Response:
    """Take cash to the bank. Needs money.close."""
    cloud = cloud_of(request)

    async def act() -> DrawerOut:
        async with cloud.db.write() as session:
            left = await cash.to_bank(
                session, who, store_id, body.amount_fen, body.why, cloud.clocks
            )
            return DrawerOut(
                store_id=store_id,
                expected_fen=left,
                counts=[CountOut.of(one) for one in await cash.counts(session, who, store_id)],
            )

    return await once(cloud, who.ref, request, await request.body(), act)
