"""The books of a store for its owner: statement, business days, the drawer."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Response

from cloud_api.kit.actor import Staff
from cloud_api.kit.calendar import Day
from cloud_api.kit.i18n import gettext as _
from cloud_api.ledger import cash, closing, statement
from cloud_api.ledger.days import business_day
from cloud_api.staff.deps import staff_actor
from cloud_api.staff.permissions import MONEY_CLOSE, REPORT_READ
from cloud_api.stores.service import get_store
from cloud_api.web.console.frame import NoStore, console_page, frame_of
from cloud_api.web.pages import Visit, visit
from cloud_api.web.view_models.money import AccountRow, CountRow, DayRow, FinancePage

router = APIRouter(prefix="/console/finance", include_in_schema=False)
Seen = Annotated[Visit, Depends(visit)]
Who = Annotated[Staff, Depends(staff_actor)]
_DAYS = 14


@router.get("")
async def finance(
    seen: Seen, who: Who, store: str = "", first: Day | None = None, last: Day | None = None
) -> Response:
    """A store's statement over some business days; the running one if none is given. Needs report.read."""
    who.need(REPORT_READ)
    async with seen.cloud.db.read() as session:
        frame = await frame_of(session, who)
        if not frame.stores:
            raise NoStore
        place = await get_store(session, who, store or frame.stores[0].id)
        today = business_day(seen.cloud.clocks.now, place.tz)
        until = last or first or today
        since = first or until
        told = await statement.statement(session, who, place.id, since, until)
        recent = await statement.statement(
            session, who, place.id, today - timedelta(days=_DAYS), today
        )
        drawer = await cash.expected(session, place.id)
        counts = await cash.counts(session, who, place.id)
    here = seen.at(place.tz)
    model = FinancePage(
        store_id=place.id,
        store_name=place.name,
        stores=tuple((one.id, one.name) for one in frame.stores),
        first=since,
        last=until,
        today=today,
        last_over=closing.last_over(place, seen.cloud.clocks),
        revenue_fen=told.revenue_fen,
        rows=tuple(
            AccountRow(
                _name(line.name), line.opening_fen, line.up_fen, line.down_fen, line.closing_fen
            )
            for line in told.lines
        ),
        days=tuple(
            DayRow(
                day.day,
                day.state == "closed",
                _("自动") if day.closed_by == "system" else _("手工") if day.closed_by else "",
            )
            for day in recent.days
        ),
        drawer_fen=drawer,
        counts=tuple(
            CountRow(here.local(one.at), one.expected_fen, one.counted_fen, one.why)
            for one in counts[:5]
        ),
        can_close=MONEY_CLOSE in who.permissions,
        csv_href=f"/api/v1/console/ledger/stores/{place.id}/entries.csv?first={since}&last={until}",
    )
    return console_page(here, who, frame, "console/finance.html", model, here="finance")


def _name(name: str) -> str:
    return " · ".join(_(part) for part in name.split(" · "))
