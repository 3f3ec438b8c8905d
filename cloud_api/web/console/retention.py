"""How long what is kept: choose, see what tonight would take, then save."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Request, Response

from cloud_api.kit import dates
from cloud_api.kit.actor import Staff
from cloud_api.kit.i18n import gettext as _
from cloud_api.retention import service
from cloud_api.retention.kinds import BY_KEY, FOR_EVER, MOST_DAYS
from cloud_api.staff.deps import staff_actor
from cloud_api.web.console.frame import console_page, frame_of
from cloud_api.web.pages import Visit, visit
from cloud_api.web.view_models.retention import KeptRow, RetentionPage

router = APIRouter(prefix="/console/retention", include_in_schema=False)
Seen = Annotated[Visit, Depends(visit)]
Who = Annotated[Staff, Depends(staff_actor)]
OFFERED: Final = (7, 30, 90, 180, 365, 730, 1095, 1825, 3650)


@router.get("")
async def retention(request: Request, seen: Seen, who: Who) -> Response:
    """What is kept; with days in the query, what would go if these were chosen. Needs customer.delete."""
    wish = {
        key: int(text)
        for key, text in request.query_params.items()
        if key in BY_KEY and text.isdecimal() and len(text) < 6 and int(text) <= MOST_DAYS
    }
    async with seen.cloud.db.read() as session:
        frame = await frame_of(session, who)
        days = await service.days_of(session, who.merchant_id)
        found = await service.look(session, who, seen.cloud.clocks, wish)
    here = seen.at(frame.tz)
    model = RetentionPage(
        tuple(_row(here, one) for one in found),
        any(days[one.kind.key] != one.days for one in found),
    )
    return console_page(here, who, frame, "console/retention.html", model, here="retention")


def _row(here: Visit, one: service.Kept) -> KeptRow:
    kind = one.kind
    offered = sorted({days for days in (*OFFERED, one.days) if days >= kind.least})
    choices = [(days, _word(days)) for days in offered if days != FOR_EVER]
    last = one.last
    return KeptRow(
        key=kind.key,
        name=_(kind.name),
        what=_(kind.what),
        days=one.days,
        choices=(*choices, (FOR_EVER, _("一直留着"))),
        old=one.old,
        least=_word(kind.least),
        cleared=None if last is None else last.rows,
        cleared_at=here.local(last.done_at) if last is not None and last.done_at else None,
    )


def _word(days: int) -> str:
    if days % 365 == 0:
        return _("{n} 年").format(n=days // 365)
    return dates.days(days)
