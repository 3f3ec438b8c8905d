"""Invoices that guests wait for: to whom, over how much; made out or not."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Response

from cloud_api.invoices import service
from cloud_api.kit.actor import Staff
from cloud_api.orders.views import phone_tails
from cloud_api.staff.deps import staff_actor
from cloud_api.staff.permissions import INVOICE_ISSUE
from cloud_api.web.console.frame import console_page, frame_of
from cloud_api.web.pages import Visit, visit
from cloud_api.web.view_models.money import InvoiceRow, InvoicesPage

router = APIRouter(prefix="/console/invoices", include_in_schema=False)
Seen = Annotated[Visit, Depends(visit)]
Who = Annotated[Staff, Depends(staff_actor)]


@router.get("")
async def queue(
    seen: Seen, who: Who, state: Literal["asked", "issued", "refused"] = "asked"
) -> Response:
    """What waits, the oldest first; or what was decided. Needs invoice.issue."""
    who.need(INVOICE_ISSUE)
    async with seen.cloud.db.read() as session:
        frame = await frame_of(session, who)
        found = await service.listed(session, who, state)
        orders = await service.numbers(session, found)
        worth = await service.worth(session, list(orders.values()))
        tails = await phone_tails(session, {one.account_id for one in found})
    stores = {store.id: store.name for store in frame.stores}
    here = seen.at(frame.tz)
    rows = tuple(
        InvoiceRow(
            id=one.id,
            order_href=f"/console/orders/{one.order_id}",
            order_number=orders[one.order_id].number,
            store_name=stores.get(one.store_id, ""),
            who=tails.get(one.account_id, ""),
            company=one.kind == "company",
            title=one.title,
            tax_no=one.tax_no,
            email=one.email,
            amount_fen=worth[one.order_id] if state == "asked" else one.amount_fen,
            now_fen=worth[one.order_id],
            at=here.at(frame.tz_of(one.store_id)).local(one.decided_at or one.created_at)
            if state != "asked"
            else here.at(frame.tz_of(one.store_id)).local(one.created_at),
            number=one.number,
            why=one.why,
        )
        for one in found
    )
    model = InvoicesPage(state, rows, sum(row.amount_fen for row in rows))
    return console_page(here, who, frame, "console/invoices.html", model, here="invoices")
