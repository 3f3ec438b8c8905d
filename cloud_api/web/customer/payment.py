"""An open payment of anything but an order: its code, its sheet, or the way on; then back to what it is for."""

from __future__ import annotations

import json
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, Response

from cloud_api.kit.asgi import CSP
from cloud_api.kit.errors import NotFound
from cloud_api.kit.i18n import gettext as _
from cloud_api.payments.models import PaymentAttempt
from cloud_api.payments.own_routes import own_payment
from cloud_api.payments.providers.base import StepKind
from cloud_api.payments.transitions import OPEN_PAYMENT
from cloud_api.payments.ways import label_of
from cloud_api.stores.models import Store
from cloud_api.web import qr
from cloud_api.web.customer import paying
from cloud_api.web.pages import Visit, go, local_path, page, svg, visit
from cloud_api.web.view_models import PayForm
from cloud_api.web.view_models.money import PaymentPage

router = APIRouter(prefix="/payments", include_in_schema=False)
Seen = Annotated[Visit, Depends(visit)]


@router.get("/{payment_id}")
async def waiting(seen: Seen, payment_id: str) -> Response:
    """Pay, or wait for the result; one that is over leads to what it was for."""
    payment = await own_payment(seen.cloud, seen.customer, payment_id)
    if payment.state not in OPEN_PAYMENT:
        return go(_back(payment))
    async with seen.cloud.db.read() as session:
        store = await session.get_one(Store, payment.store_id)
    here = seen.at_store(store)
    sheet = paying.step_of(payment, StepKind.JSAPI)
    led = paying.step_of(payment, StepKind.REDIRECT)
    on = str(led.get("url", "")) if led else ""
    if paying.step_of(payment, StepKind.FORM):
        on = f"/payments/{payment.id}/go"
    model = PaymentPage(
        id=payment.id,
        subject=payment.subject,
        store_name=store.name,
        amount_fen=payment.amount_fen,
        provider_name=_(label_of(payment.provider)),
        until=here.local(payment.expires_at),
        open_state=payment.state,
        back_href=_back(payment),
        go_on_href=on,
        code_href=f"/payments/{payment.id}/code.svg"
        if paying.step_of(payment, StepKind.QR)
        else "",
        jsapi=json.dumps(dict(sheet.get("fields") or {})) if sheet else "",
    )
    return page(here, "customer/payment.html", model, shell=here.shell())


@router.get("/{payment_id}/go")
async def on_by_form(seen: Seen, payment_id: str) -> Response:
    """On to a provider that wants a form posted by the browser; its policy lets it go there alone."""
    payment = await own_payment(seen.cloud, seen.customer, payment_id)
    step = paying.step_of(payment, StepKind.FORM)
    if step is None:
        return go(f"/payments/{payment_id}")
    model = PayForm(str(step["url"]), tuple(dict(step.get("fields") or {}).items()))
    answer = page(seen, "customer/pay_go.html", model, shell=seen.shell())
    answer.headers["Content-Security-Policy"] = paying.form_policy(CSP, model.action)
    return answer


@router.get("/{payment_id}/code.svg")
async def code(seen: Seen, payment_id: str) -> Response:
    """The code of an open payment, to be scanned with another device."""
    payment = await own_payment(seen.cloud, seen.customer, payment_id)
    step = paying.step_of(payment, StepKind.QR)
    if step is None:
        raise NotFound("payment", "这笔支付没有要扫的码，或已经有结果了")
    return svg(qr.svg(str(step["text"])))


def _back(payment: PaymentAttempt) -> str:
    there = urlsplit(payment.return_url)
    return local_path(there.path + (f"?{there.query}" if there.query else ""), "/orders")
