"""Asking for an invoice, and making it out.

States: asked → issued | refused | withdrawn; refused, withdrawn → asked. The invoice itself is made out in the
tax office's own system (电子发票服务平台); here stands for whom, over how much, and that it was done. What is
invoiced is what the order brought by the moment it is asked for: paid, less what went back, with overtime.
A tax number has 15 to 20 letters and digits (纳税人识别号; 18 since 三证合一).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from sqlmodel import col, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.audit import service as audit
from cloud_api.invoices.models import InvoiceRequest
from cloud_api.kit.actor import Customer, Staff, System, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.errors import Conflict, KaimenError, NotFound
from cloud_api.kit.notices import notify
from cloud_api.orders.cancel_rules import left_fen
from cloud_api.orders.models import Order, OvertimeCharge
from cloud_api.orders.transitions import lock_order
from cloud_api.staff.permissions import INVOICE_ISSUE

STATES: Final = {
    "asked": "等店家开",
    "issued": "已开",
    "refused": "店家没有开",
    "withdrawn": "你撤回了",
}
TABLE: Final[dict[str, frozenset[str]]] = {
    "asked": frozenset({"issued", "refused", "withdrawn"}),
    "issued": frozenset(),
    "refused": frozenset({"asked"}),
    "withdrawn": frozenset({"asked"}),
}
LISTED: Final = 200
_TAX_NO: Final = re.compile(r"[0-9A-Z]{15,20}")
_EMAIL: Final = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")


async def worth(session: AsyncSession, orders: Sequence[Order]) -> dict[str, int]:
    """What each order has brought and keeps, in fen, by its id: what an invoice would be over. One query."""
    query = scoped(System(), OvertimeCharge).where(
        col(OvertimeCharge.order_id).in_([one.id for one in orders]),
        col(OvertimeCharge.state) == "paid",
    )
    over = {one.order_id: one.amount_fen for one in (await session.exec(query)).all()}
    return {one.id: left_fen(one) + over.get(one.id, 0) for one in orders}


async def of_order(
    session: AsyncSession, who: Customer | Staff, order_id: str
) -> InvoiceRequest | None:
    """What was asked for an order, in whatever state."""
    query = scoped(who, InvoiceRequest).where(col(InvoiceRequest.order_id) == order_id)
    return (await session.exec(query)).first()


async def newest(session: AsyncSession, customer: Customer) -> InvoiceRequest | None:
    """The last that somebody asked for: who it was made out to is offered again."""
    query = scoped(customer, InvoiceRequest).order_by(col(InvoiceRequest.id).desc()).limit(1)
    return (await session.exec(query)).first()


async def ask(
    session: AsyncSession,
    customer: Customer,
    order_id: str,
    *,
    kind: str,
    title: str,
    tax_no: str,
    email: str,
    clocks: Clocks,
) -> InvoiceRequest:
    """Ask for an order's invoice, or say anew who it is for while it is not made out.

    Raises NotFound, Conflict ``invoice.not_yet`` (the stay is not over), ``invoice.nothing`` (nothing paid, or
    all of it went back), ``invoice.issued``, KaimenError ``invoice.title``, ``invoice.tax_no``, ``invoice.email``.
    """
    order = await lock_order(session, customer, order_id)  # two at once would both be the first
    if order.status != "completed":
        raise Conflict("invoice.not_yet", "用完了再开发票，那时金额才定")
    amount = (await worth(session, [order]))[order.id]
    if amount <= 0:
        raise Conflict("invoice.nothing", "这个订单没有要开票的钱。用券的，找卖券的平台开")
    title, email = title.strip(), email.strip()
    tax_no = re.sub(r"\s", "", tax_no).upper() if kind == "company" else ""
    if len(title) < 2:
        raise KaimenError("invoice.title", "写上抬头", status=422, field="title")
    if kind == "company" and not _TAX_NO.fullmatch(tax_no):
        raise KaimenError(
            "invoice.tax_no",
            "税号是 15 到 20 位字母和数字，看看有没有少",
            status=422,
            field="tax_no",
        )
    if email and not _EMAIL.fullmatch(email):
        raise KaimenError("invoice.email", "邮箱不对，看看有没有少", status=422, field="email")
    told: dict[str, Any] = {
        "kind": kind,
        "title": title,
        "tax_no": tax_no,
        "email": email,
        "amount_fen": amount,
    }
    found = await of_order(session, customer, order.id)
    if found is None:
        found = InvoiceRequest(
            merchant_id=order.merchant_id,
            store_id=order.store_id,
            account_id=order.account_id,
            order_id=order.id,
            created_at=clocks.now,
            **told,
        )
        session.add(found)
        await session.flush()
    else:
        again = {**told, "state": "asked", "why": "", "created_at": clocks.now}
        await _set(session, found, ("asked", "refused", "withdrawn"), again)
    await notify(
        session,
        merchant_id=order.merchant_id,
        store_id=order.store_id,
        event="invoice.wanted",
        to=f"staff:{INVOICE_ISSUE}",
        subject=f"invoice:{found.id}",
        data={"number": order.number, "amount_fen": amount},
        key=f"{found.id}:{clocks.now.isoformat()}",
        at=clocks.now,
    )
    return found


async def withdraw(session: AsyncSession, customer: Customer, order_id: str) -> InvoiceRequest:
    """Not wanted any more. Raises NotFound, Conflict ``invoice.issued``."""
    found = await of_order(session, customer, order_id)
    if found is None:
        raise NotFound("invoice", "没有申请过发票")
    if found.state != "withdrawn":
        await _set(session, found, ("asked",), {"state": "withdrawn"})
    return found


async def listed(session: AsyncSession, staff: Staff, state: str) -> list[InvoiceRequest]:
    """Those in a state: what waits with the oldest first, the others with the newest. Needs invoice.issue."""
    staff.need(INVOICE_ISSUE)
    query = scoped(staff, InvoiceRequest).where(col(InvoiceRequest.state) == state)
    by = col(InvoiceRequest.created_at)
    query = query.order_by(by if state == "asked" else by.desc(), col(InvoiceRequest.id))
    return list((await session.exec(query.limit(LISTED))).all())


async def issue(
    session: AsyncSession, staff: Staff, request_id: str, number: str, clocks: Clocks
) -> InvoiceRequest:
    """It is made out, over what the order keeps now; ``number`` is the invoice's own, if one wants it kept.

    Needs invoice.issue. Raises NotFound, Conflict ``invoice.decided``, ``invoice.nothing`` where all went back.
    """
    set_to: dict[str, Any] = {"state": "issued", "number": number.strip()}
    return await _decide(session, staff, request_id, set_to, "invoice.issue", "", clocks)


async def refuse(
    session: AsyncSession, staff: Staff, request_id: str, why: str, clocks: Clocks
) -> InvoiceRequest:
    """It is not made out, for a reason that the guest reads. Needs invoice.issue.

    Raises NotFound, KaimenError ``invoice.why``, Conflict ``invoice.decided``.
    """
    if len(why.strip()) < 2:
        raise KaimenError("invoice.why", "写一句为什么不开，顾客会看到", status=422, field="why")
    set_to: dict[str, Any] = {"state": "refused", "why": why.strip()}
    return await _decide(session, staff, request_id, set_to, "invoice.refuse", why.strip(), clocks)


async def _decide(
    session: AsyncSession,
    staff: Staff,
    request_id: str,
    set_to: dict[str, Any],
    act: str,
    why: str,
    clocks: Clocks,
) -> InvoiceRequest:
    staff.need(INVOICE_ISSUE)
    query = scoped(staff, InvoiceRequest).where(col(InvoiceRequest.id) == request_id)
    found = (await session.exec(query)).first()
    if found is None:
        raise NotFound("invoice", "没有这个发票申请")
    order = await session.get_one(Order, found.order_id)
    set_to = {**set_to, "decided_by": staff.ref, "decided_at": clocks.now}
    if set_to["state"] == "issued" and found.state == "asked":
        set_to["amount_fen"] = (await worth(session, [order]))[order.id]
        if set_to["amount_fen"] == 0:
            raise Conflict("invoice.nothing", "这个订单的钱都退了，没有要开的。点“不开”告诉顾客")
    await _set(session, found, ("asked",), set_to)
    await notify(
        session,
        merchant_id=found.merchant_id,
        store_id=found.store_id,
        event=f"invoice.{found.state}",
        to=f"account:{found.account_id}",
        subject=f"order:{found.order_id}",
        data={"number": order.number, "amount_fen": found.amount_fen, "reason": why},
        key=f"{found.id}:{clocks.now.isoformat()}",
        at=clocks.now,
    )
    await audit.record(
        session,
        staff,
        act,
        merchant_id=found.merchant_id,
        store_id=found.store_id,
        subject=f"order:{found.order_id}",
        after={"amount_fen": found.amount_fen, "number": found.number},
        why=why,
        clocks=clocks,
    )
    return found


async def _set(
    session: AsyncSession,
    found: InvoiceRequest,
    within: tuple[str, ...],
    values: dict[str, Any],
) -> None:
    """One conditional step; refused where the row has moved on. Raises Conflict."""
    to = str(values["state"])
    assert all(to in TABLE[one] or to == one for one in within)
    done = await session.exec(
        update(InvoiceRequest)
        .where(col(InvoiceRequest.id) == found.id, col(InvoiceRequest.state).in_(within))
        .values(**values)
    )
    await session.refresh(found)
    if done.rowcount:
        return
    if found.state == "issued":
        raise Conflict("invoice.issued", "发票已经开了。要改，直接找店家")
    raise Conflict("invoice.decided", "这个申请已经处理过了", state_now=found.state)


async def numbers(session: AsyncSession, found: Sequence[InvoiceRequest]) -> dict[str, Order]:
    """The orders of a list, by id; one query. Its reading was allowed already."""
    query = select(Order).where(col(Order.id).in_([one.order_id for one in found]))
    return {order.id: order for order in (await session.exec(query)).all()}
