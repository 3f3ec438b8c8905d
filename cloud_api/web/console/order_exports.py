"""Lists of orders that one asked for: how far they are, and where they are fetched."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Response

from cloud_api.kit.actor import Staff
from cloud_api.kit.i18n import gettext as _
from cloud_api.orders import export
from cloud_api.orders.models import OrderExport
from cloud_api.staff.deps import staff_actor
from cloud_api.web.console.frame import console_page, frame_of
from cloud_api.web.pages import Visit, visit
from cloud_api.web.view_models.orders import ExportRow, ExportsPage

router = APIRouter(prefix="/console/order-exports", include_in_schema=False)
Seen = Annotated[Visit, Depends(visit)]
Who = Annotated[Staff, Depends(staff_actor)]
_WORDS = {
    "waiting": "等着写",
    "running": "正在写",
    "done": "好了",
    "failed": "没写成，再导一次",
    "expired": "过期了",
}
_FORMS = {"csv": "CSV", "xlsx": "Excel"}


@router.get("")
async def order_exports(seen: Seen, who: Who) -> Response:
    """One's own lists. Needs order.export."""
    async with seen.cloud.db.read() as session:
        frame = await frame_of(session, who)
        found = await export.mine(session, who)
    here = seen.at(frame.tz)
    rows = tuple(_row(here, one) for one in found)
    running = any(row.part is not None for row in rows)
    model = ExportsPage(rows, running)
    return console_page(here, who, frame, "console/order_exports.html", model, here="orders")


def _row(here: Visit, one: OrderExport) -> ExportRow:
    state = export.state_of(one, here.cloud.clocks.real)
    going = state in {"waiting", "running"}
    ahead = here.cloud.clocks.now - here.cloud.clocks.real  # pages live by business time
    done = state == "done"
    return ExportRow(
        at=here.local(one.created_at + ahead),
        state=state,
        word=_(_WORDS[state]),
        form=_FORMS[one.form],
        what=_statistics(one) if "report" in one.wanted else "",
        total=one.total,
        part=one.rows * 100 // max(one.total, 1) if going else None,
        href=f"/api/v1/console/order-exports/{one.id}/file" if done else "",
        until=here.local(one.expires_at + ahead) if done else None,
        size=f"{max(one.size_bytes // 1024, 1)} KB" if done else "",
    )


def _statistics(one: OrderExport) -> str:
    return _("统计 {a}–{b}").format(a=one.wanted["first"], b=one.wanted["last"])
