"""Asking for an order's invoice, and what became of it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Response

from cloud_api.invoices import service
from cloud_api.kit.i18n import gettext as _
from cloud_api.orders.service import get_order
from cloud_api.stores.models import Store
from cloud_api.web.pages import Visit, page, visit
from cloud_api.web.view_models.money import InvoiceForm

router = APIRouter(include_in_schema=False)
Seen = Annotated[Visit, Depends(visit)]


@router.get("/orders/{order_id}/invoice")
async def ask(seen: Seen, order_id: str) -> Response:
    """Who it is for; what one said last time is there already."""
    who = seen.customer
    async with seen.cloud.db.read() as session:
        order = await get_order(session, who, order_id)
        store = await session.get_one(Store, order.store_id)
        found = await service.of_order(session, who, order.id)
        last = found or await service.newest(session, who)
        amount = (await service.worth(session, [order]))[order.id]
    here = seen.at_store(store)
    state = found.state if found is not None else ""
    model = InvoiceForm(
        order_id=order.id,
        number=order.number,
        store_name=store.name,
        amount_fen=found.amount_fen if found is not None and state == "issued" else amount,
        can_ask=order.status == "completed" and amount > 0 and state != "issued",
        state=state,
        word=_(service.STATES[state]) if state else "",
        invoice_number=found.number if found is not None else "",
        why=found.why if found is not None else "",
        kind=last.kind if last is not None else "person",
        title=last.title if last is not None else "",
        tax_no=last.tax_no if last is not None else "",
        email=last.email if last is not None else "",
        phone=store.phone,
    )
    return page(here, "customer/invoice.html", model, shell=here.shell())
