"""From a quote to paid: the page that says what is bought, and the page that pays it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.claims.booking_rules import Rules, rules_of
from cloud_api.kit.actor import System
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.money import yuan
from cloud_api.orders.overtime import rule_of
from cloud_api.orders.schemas import LineOut, OrderOut
from cloud_api.payments.models import PaymentAttempt
from cloud_api.payments.providers.base import StepKind
from cloud_api.payments.transitions import OPEN_PAYMENT
from cloud_api.pricing.models import Quote
from cloud_api.pricing.overtime import price
from cloud_api.stores import service as stores
from cloud_api.stores.models import Room, Store
from cloud_api.web import pictures, words
from cloud_api.web.customer import paying
from cloud_api.web.customer.basket import basket
from cloud_api.web.customer.find import book_href
from cloud_api.web.pages import Visit
from cloud_api.web.view_models import (
    ConfirmPage,
    FeeLine,
    Fees,
    PayPage,
    PayState,
)

_UNFINISHED = ("closed", "failed")


async def confirm_page(session: AsyncSession, seen: Visit, quote: Quote) -> ConfirmPage:
    """What is about to be ordered. ``seen`` is in the store's zone."""
    room = await stores.get_room(session, System(), quote.room_id)
    store = await stores.get_store(session, System(), quote.store_id)
    return ConfirmPage(
        quote_id=quote.id,
        store_name=store.name,
        address=store.address,
        room_name=room.name,
        art=words.art(room),
        starts_at=seen.local(quote.starts_at),
        ends_at=seen.local(quote.ends_at),
        fees=Fees(fee_lines(quote.lines), quote.total_fen),
        phone=store.phone,
        cancel_rule=cancel_rule(await rules_of(session, store, room.id), quote.starts_at, seen.now),
        overtime_rule=overtime_rule(store, quote.lines),
        expires_at=seen.local(quote.expires_at),
        back_href=back_href(seen, room, quote.starts_at, quote.ends_at),
        photo_url=(await pictures.covers(session, [store])).get(room.id, ""),
        payg=_payg(quote),
        **await basket(session, seen, quote),
    )


def _payg(quote: Quote) -> tuple[int, int] | None:
    told = quote.detail.get("payg")
    return (told["unit_minutes"], told["least_minutes"]) if told else None


def back_href(seen: Visit, room: Room, starts_at: datetime, ends_at: datetime) -> str:
    """The choice of time, with this one chosen."""
    day = seen.local(starts_at).date().isoformat()
    return f"{book_href(room)}?day={day}&from={_query(starts_at)}&to={_query(ends_at)}"


def fee_lines(lines: Sequence[dict[str, Any] | LineOut]) -> tuple[FeeLine, ...]:
    """Lines of a quote or an order; the key tells cheap from dear."""
    told = [_line(line) for line in lines]
    rates = sorted({hourly for _, _, _, hourly in told if hourly})
    return tuple(
        FeeLine(text, amount, minutes, min(2, rates.index(hourly)) if hourly else 0)
        for text, amount, minutes, hourly in told
    )


def _line(line: dict[str, Any] | LineOut) -> tuple[str, int, int, int]:
    if isinstance(line, LineOut):
        return (
            line.text,
            line.amount_fen,
            int(line.detail.get("minutes", 0)),
            int(line.detail.get("hourly_fen") or 0),
        )
    return line["text"], line["amount_fen"], line["minutes"], line["hourly_fen"] or 0


def cancel_rule(rules: Rules, starts_at: datetime, now: datetime) -> str:
    """What cancelling this booking would cost, with the hours at which that changes."""
    parts = []
    left = starts_at - now
    for tier in rules.cancel_tiers:
        before = timedelta(minutes=tier.minutes)
        if left < before:
            continue
        until = words.moment(starts_at.astimezone(now.tzinfo) - before, now)
        if tier.per_cent == 0:
            parts.append(_("{time} 前可以免费取消，全额退款").format(time=until))
        elif tier.per_cent < 100:
            parts.append(_("{time} 前取消收 {n}%").format(time=until, n=tier.per_cent))
    return _("；").join([*parts, _("之后不能取消")]) if parts else _("付款后不能取消")


def overtime_rule(store: Store, lines: Sequence[dict[str, Any]]) -> str:
    """What staying longer would cost, before anybody books: the store's rule at this time's price."""
    rule = rule_of(store)
    hourly = next((fen for line in reversed(lines) if (fen := int(line["hourly_fen"] or 0))), 0)
    free = store.grace_s // 60 + rule.free_minutes
    unit = price(rule, (rule.free_minutes + 1) * 60, hourly).unit_fen
    if not unit:
        return (
            _("到点后有 {n} 分钟收拾，请按时离开").format(n=free) if free else _("到点请按时离开")
        )
    parts = [_("到点后 {n} 分钟内离开不加钱").format(n=free)] if free else []
    parts.append(_("超时每 {n} 分钟加 {sum}，不满也算").format(n=rule.unit_minutes, sum=yuan(unit)))
    if rule.cap_fen is not None:
        parts.append(_("最多加 {sum}").format(sum=yuan(rule.cap_fen)))
    return _("；").join(parts)


def pay_page(
    seen: Visit,
    order: OrderOut,
    store: Store,
    room: Room,
    open_one: PaymentAttempt | None,
    *,
    openid: bool = False,
) -> PayPage:
    """Paying an order, or waiting for what became of it. ``seen`` is in the store's zone.

    ``open_one`` is the payment that is open, for what the page does next; ``openid`` says that WeChat
    has told us who pays.
    """
    owed = order.overtime if order.overtime is not None and order.overtime.state == "due" else None
    tries = [p for p in order.payments if p.purpose == ("overtime" if owed else "order")]
    running = next((p for p in tries if p.state in OPEN_PAYMENT), None)
    arrived = any(p.state == "succeeded" and p.applied is None for p in tries)
    names = {way.provider: way.name for way in order.pay_with}
    last = tries[-1] if tries else None
    if running is not None or (arrived and (owed or order.state == "pending_payment")):
        state = PayState.WAITING
    elif order.state == "cancelled" and owed is None:
        state = PayState.LATE
    elif last is not None and last.state in _UNFINISHED:
        state = PayState.FAILED
    else:
        state = PayState.CHOOSE
    asked = running or last
    code = paying.step_of(open_one, StepKind.QR)
    sheet = paying.step_of(open_one, StepKind.JSAPI)
    fitting = paying.methods(
        order.pay_with,
        paying.place_of(seen.request.headers.get("user-agent", "")),
        openid=openid,
    )
    return PayPage(
        order_id=order.id,
        number=order.number,
        state=state,
        amount_fen=order.to_pay_fen or order.total_fen,
        overtime_text="" if owed is None else owed.text,
        deposit_fen=0 if owed or order.deposit is None else order.deposit.amount_fen,
        late_text=_late(order),
        store_name=store.name,
        room_name=room.name,
        art=words.art(room),
        starts_at=seen.local(order.starts_at),
        ends_at=seen.local(order.ends_at),
        hold_expires_at=seen.local(order.hold_expires_at),
        methods=fitting,
        elsewhere=bool(order.pay_with) and not fitting,
        provider_name=names.get(asked.provider, "") if asked else "",
        order_href=f"/orders/{order.id}",
        change_href=f"/s/{store.id}",
        asked_at=seen.local(asked.at) if asked else None,
        go_on_href=_go_on(order.id, open_one),
        code_href=f"/orders/{order.id}/pay/code.svg" if code else "",
        jsapi=json.dumps(dict(sheet.get("fields") or {})) if sheet else "",
        until=None if open_one is None else seen.local(open_one.expires_at),
        open_state="" if open_one is None else open_one.state,
        can_change=running is not None,
    )


def _go_on(order_id: str, open_one: PaymentAttempt | None) -> str:
    """Where a payment that is open is gone on with, outside this page."""
    led = paying.step_of(open_one, StepKind.REDIRECT)
    if led is not None:
        return str(led.get("url", ""))
    return f"/orders/{order_id}/pay/go" if paying.step_of(open_one, StepKind.FORM) else ""


def _late(order: OrderOut) -> str:
    """Why money came in vain: the truth differs by who gave the room up."""
    return {
        "customer": _("订单已被你取消，付款到得晚了"),
        "staff": _("店家已取消这个订单，付款到得晚了"),
    }.get(order.cancel_why or "", _("付款到晚了，房间已不再为你保留"))


def came_late(order: OrderOut) -> bool:
    """Whether its money came after the room was gone and is going back."""
    return order.state == "cancelled" and any(p.applied == "late_refunded" for p in order.payments)


def hold_left(order: OrderOut, now: datetime) -> timedelta:
    """How long an unpaid order still keeps its room."""
    return max(timedelta(), order.hold_expires_at - now)


def _query(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")
