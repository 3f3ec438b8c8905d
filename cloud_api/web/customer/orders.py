"""One's orders: the list, one of them, and which of them the door tab leads to."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlencode

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.access import grants
from cloud_api.access.situation import door_of_room
from cloud_api.claims.window import opens_at, previous_until
from cloud_api.invoices import service as invoices
from cloud_api.kit.actor import Customer, System, scoped
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.money import yuan
from cloud_api.orders import leaving, offers, service, views
from cloud_api.orders.models import Order, OrderChange
from cloud_api.orders.schemas import OrderOut
from cloud_api.orders.words import word
from cloud_api.payments.house import LABELS
from cloud_api.stores import service as stores
from cloud_api.stores.models import Room, Store
from cloud_api.web import words
from cloud_api.web.customer import order_history, sooner
from cloud_api.web.customer.checkout import fee_lines
from cloud_api.web.customer.find import book_href
from cloud_api.web.customer.readers import reader_at
from cloud_api.web.customer.whereabouts import map_href
from cloud_api.web.pages import Visit
from cloud_api.web.view_models import (
    DepositClaimRow,
    DepositPart,
    Fees,
    FilterChip,
    MoneyMove,
    OrderPage,
    OrderRow,
    OrdersPage,
    OrderWord,
    Overtime,
    StayCard,
    StepState,
)

_SOON = timedelta(hours=24)
_STEPS = {
    "created": StepState.NOW,
    "pending": StepState.NOW,
    "submitted": StepState.NOW,
    "unknown": StepState.UNKNOWN,
    "succeeded": StepState.DONE,
    "closed": StepState.FAILED,
    "failed": StepState.FAILED,
    "abnormal": StepState.FAILED,
}


_STATES: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "": ("全部", ()),
    "unpaid": ("待支付", ("pending_payment",)),
    "ready": ("待使用", ("paid", "ready")),
    "in_use": ("使用中", ("in_use",)),
    "done": ("已完成", ("completed",)),
    "cancelled": ("取消、退款", ("cancelled",)),
}
"""The chips above the list: what people call them, and the statuses behind."""
_COMING: Final = ("in_use", "paid", "ready", "pending_payment")
_OVER: Final = ("completed", "cancelled")
_MOST_COMING: Final = 100
_NOW: Final = ("unpaid", "ready", "in_use")  # something is to be done there: how many


async def orders_page(
    session: AsyncSession, seen: Visit, cursor: str | None, state: str = ""
) -> OrdersPage:
    """One's own orders: those of one state where ``state`` is one; else what is to come, then the rest."""
    state = state if state in _STATES else ""
    has = await service.counts(session, seen.customer)
    statuses = _STATES[state][1] or _OVER
    found, following = await service.list_orders(
        session, seen.customer, cursor=cursor, status=statuses
    )
    if not state and not cursor:  # among all, what is to come stands first, in the order it comes
        coming, _more = await service.list_orders(
            session, seen.customer, status=_COMING, limit=_MOST_COMING
        )
        found = [*sorted(coming, key=lambda order: order.starts_at), *found]
    rooms = await _by_id(session, found)
    rows = []
    for order in found:
        store, room = rooms[order.room_id]
        here = seen.at_store(store)
        rows.append(
            OrderRow(
                href=f"/orders/{order.id}",
                word=OrderWord(word(order).value),
                room_name=room.name,
                store_name=store.name,
                art=words.art(room),
                starts_at=here.local(order.starts_at),
                ends_at=here.local(order.ends_at),
                total_fen=order.total_fen,
            )
        )
    kept = {"state": state} if state else {}
    more = urlencode({**kept, "cursor": following})
    chips = tuple(
        FilterChip(
            _(name),
            f"/orders?state={key}" if key else "/orders",
            on=key == state,
            count=(sum(has.get(one, 0) for one in statuses) or None) if key in _NOW else None,
        )
        for key, (name, statuses) in _STATES.items()
    )
    return OrdersPage(
        tuple(rows),
        more_href=f"/orders?{more}" if following else "",
        filters=chips if has else (),
    )


async def _by_id(session: AsyncSession, orders: Sequence[Order]) -> dict[str, tuple[Store, Room]]:
    query = (
        select(Store, Room)
        .join(Room, col(Room.store_id) == col(Store.id))
        .where(col(Room.id).in_({order.room_id for order in orders}))
    )
    return {room.id: (store, room) for store, room in (await session.exec(query)).all()}


async def order_page(
    session: AsyncSession, seen: Visit, order: Order, store: Store, *, fresh: bool
) -> OrderPage:
    """One order. ``seen`` is in the store's zone; ``fresh`` right after it was paid."""
    told = await views.one(session, order, seen.cloud.clocks)
    room = await stores.get_room(session, System(), order.room_id)
    opens = await door_opens(session, order, store)
    door = await door_of_room(session, store.id, room.id)
    action, label = told.next.action, told.next.label
    hrefs = {
        "pay": f"/orders/{order.id}/pay",
        "open": f"/d/{door.token}" if door is not None else "",
        "stay": f"/orders/{order.id}/stay",
        "again": book_href(room),
    }
    if action == "wait" and seen.now >= opens:
        action, label = "open", _("去开门")
    held = await grants.grant_of(session, seen.customer, order.id)
    reader = await reader_at(session, door)
    with_pass = reader.passes and held is not None and seen.now < held.expires_at
    cancel = told.cancel
    return OrderPage(
        id=order.id,
        number=order.number,
        word=OrderWord(told.word.value),
        next_line=next_line(seen, told, opens),
        store_name=store.name,
        address=store.address,
        room_name=room.name,
        art=words.art(room),
        starts_at=seen.local(order.starts_at),
        ends_at=seen.local(order.ends_at),
        fees=Fees(fee_lines(told.lines), told.total_fen),
        moves=money_moves(seen, told),
        next_text=label if hrefs.get(action) else "",
        next_href=hrefs.get(action, ""),
        pass_href=f"/orders/{order.id}/pass" if with_pass else "",
        pin=held.pin if with_pass and reader.pins and held is not None else "",
        door_word=_("现在就能进门")
        if seen.now >= opens
        else _("{time} 起可以进门").format(time=words.moment(seen.local(opens), seen.now)),
        map_href=map_href(store),
        phone=store.phone,
        can_finish=order.status == "in_use" and not order.finished_early,
        finish_back_fen=await leaving.early_back(session, order, seen.cloud.clocks.now)
        if order.status == "in_use"
        else 0,
        change_href=f"/orders/{order.id}/change" if _may_move(order, seen) else "",
        extend_href=f"/orders/{order.id}/extend" if _may_extend(order) else "",
        pending=await _pending(session, seen, order),
        cancel_fee_fen=cancel.fee_fen if cancel.allowed else None,
        cancel_back_fen=cancel.voucher_back_fen if cancel.voucher else cancel.refund_fen,
        cancel_voucher=cancel.voucher or "",
        cancel_note=cancel.message if cancel.allowed else "",
        fresh=fresh and order.status in ("paid", "ready"),
        overtime=overtime_view(seen, told),
        refund_href=_refund_href(order, told),
        refund_word="" if told.refund_request is None else told.refund_request.word,
        **await _invoice(session, seen, order),
        deposit=_deposit(seen, told),
        sooner_href=await sooner.href(session, seen, order, store),
        history=await order_history.history(session, seen, order, told),
    )


async def _invoice(session: AsyncSession, seen: Visit, order: Order) -> dict[str, str]:
    """Where an invoice is asked for once the stay is over and brought money, and what became of it."""
    if order.status != "completed":
        return {}
    found = await invoices.of_order(session, seen.customer, order.id)
    asked = found is not None and found.state != "withdrawn"
    if not asked and not (await invoices.worth(session, [order]))[order.id]:
        return {}
    word = _(invoices.STATES[found.state]) if found is not None and asked else ""
    return {"invoice_href": f"/orders/{order.id}/invoice", "invoice_word": word}


def _refund_href(order: Order, told: OrderOut) -> str:
    """Where to ask for money back: where some is left to ask for, or something was asked."""
    kept = order.paid_fen - order.refunded_fen - order.refunding_fen
    free = told.cancel.allowed and not told.cancel.fee_fen
    asks = kept > 0 and not free and order.status not in {"pending_payment", "cancelled"}
    return f"/orders/{order.id}/refund" if asks or told.refund_request is not None else ""


def _deposit(seen: Visit, told: OrderOut) -> DepositPart | None:
    """The deposit in one sentence, and what the store wants to keep of it."""
    found = told.deposit
    if found is None or found.state == "void":
        return None
    if found.state == "waiting":
        text = _("和订单一起付，结束后自动退")
    elif found.state == "held" and found.return_at is not None:
        text = _("{time} 退").format(time=words.moment(seen.local(found.return_at), seen.now))
    elif found.state == "held":
        text = _("结束后自动退")
    else:
        text = _("退了 {m}").format(m=yuan(found.returned_fen))
    kept = found.damage_fen + found.overtime_fen
    if kept:
        text += "，" + _("扣了 {m}").format(m=yuan(kept))
    return DepositPart(
        found.amount_fen,
        text,
        tuple(
            DepositClaimRow(
                claim.amount_fen,
                claim.why,
                claim.word,
                claim.photo if claim.photo.startswith("/") else "",
                claim.objection,
                f"/api/v1/orders/{told.id}/deposit/claims/{claim.id}/object"
                if claim.state == "open"
                else "",
            )
            for claim in found.claims
        ),
    )


def _may_move(order: Order, seen: Visit) -> bool:
    return order.status in {"paid", "ready"} and seen.cloud.clocks.now < order.starts_at


def _may_extend(order: Order) -> bool:
    return order.status in {"ready", "in_use"} and not order.finished_early


async def _pending(session: AsyncSession, seen: Visit, order: Order) -> tuple[tuple[str, str], ...]:
    """Changes that are not done: to be paid, or not yet heard of by the store."""
    query = (
        scoped(seen.customer, OrderChange)
        .where(
            col(OrderChange.order_id) == order.id,
            col(OrderChange.confirmed_at).is_(None),
            col(OrderChange.state) != "lapsed",
        )
        .order_by(col(OrderChange.id))
        .limit(5)
    )
    told = []
    for one in (await session.exec(query)).all():
        until = words.moment(seen.local(one.ends_at), seen.now)
        extends = one.kind == offers.EXTENSION
        if one.state == "held":
            text = _("续到 {time}，付好就生效") if extends else _("改好的时间给你留着，付好就生效")
            told.append((text.format(time=until), f"/orders/{order.id}/changes/{one.id}"))
        elif order.status in {"ready", "in_use"}:
            text = _("已续到 {time}，等门店收到") if extends else _("已改好，等门店收到")
            told.append((text.format(time=until), ""))
    return tuple(told)


def overtime_view(seen: Visit, order: OrderOut, *, can_waive: bool = False) -> Overtime | None:
    """The overtime of an order for a page; None where there was none."""
    owed = order.overtime
    if owed is None:
        return None
    return Overtime(
        state=owed.state,
        text=owed.text,
        amount_fen=owed.owed_fen if owed.state == "due" else owed.amount_fen,
        signs=tuple((seen.local(sign.at), sign.text) for sign in owed.evidence),
        waived_why=owed.waived_why or "",
        can_waive=can_waive and owed.state == "due",
    )


async def door_opens(session: AsyncSession, order: Order, store: Store) -> datetime:
    """From when the door opens for an order."""
    before = await previous_until(session, order.room_id, order.claim_id, order.starts_at)
    return opens_at(store, order.starts_at, before)


def next_line(seen: Visit, order: OrderOut, opens: datetime) -> str:
    """What is so and what comes next, in one sentence."""
    now = seen.now
    if order.state == "pending_payment":
        return _("房间给你留到 {time}，付好就订下了").format(
            time=words.moment(seen.local(order.hold_expires_at), now)
        )
    if order.state == "paid":
        return _("钱收到了，正在确认房间")
    if order.state == "ready":
        if now >= seen.local(order.ends_at):
            return _("时段已结束")
        if now >= opens:
            return _("现在就能进，扫门上的码")
        return _("{time} 起可以进门").format(time=words.moment(seen.local(opens), now))
    if order.state == "in_use":
        if order.finished_early:
            return _("已经提前结束，收拾几分钟后断电")
        until = words.moment(seen.local(order.ends_at), now)
        if now >= seen.local(order.ends_at):
            return _("{time} 到点了，你还在使用").format(time=until)
        return _("玩到 {time}").format(time=until)
    if order.state == "completed":
        ended = order.ended_at or order.ends_at
        parts = [_("{time} 结束").format(time=words.moment(seen.local(ended), now))]
        if order.used_s is not None:
            parts.append(_("用了 {span}").format(span=words.hours(order.used_s // 60)))
        if order.overtime is not None:
            parts.append(_("超时 {span}").format(span=words.hours(order.overtime.minutes)))
        return _("，").join(parts)
    return _cancelled(order)


def _cancelled(order: OrderOut) -> str:
    money = _("，") + order.refund_words if order.refund_words else ""
    why = {
        "hold_expired": _("超时没有付款，订单已取消"),
        "customer": _("你取消了订单"),
        "staff": _("店家取消了订单"),
    }
    return why.get(order.cancel_why or "", _("订单已取消")) + money


def money_moves(seen: Visit, order: OrderOut) -> tuple[MoneyMove, ...]:
    """Payments and refunds of an order in the order they happened."""
    names = {key: _(name) for key, name in LABELS.items()} | {
        w.provider: w.name for w in order.pay_with if not w.balance_fen
    }
    paid = [
        MoneyMove(
            seen.local(p.at), _payment_text(p.state, names.get(p.provider, "")), p.amount_fen,
            _STEPS[p.state],
        )
        for p in order.payments
    ]  # fmt: skip
    back = [
        MoneyMove(
            seen.local(r.arrived_at or r.at), _refund_text(r.state), -r.amount_fen, _STEPS[r.state]
        )
        for r in order.refunds
    ]
    return tuple(sorted([*paid, *back], key=lambda move: move.at))


def _payment_text(state: str, name: str) -> str:
    return {
        "succeeded": _("付款成功"),
        "closed": _("付款关闭，没有扣钱"),
        "failed": _("没有付成，没有扣钱"),
        "unknown": _("正在向收款方查结果"),
    }.get(state, _("等待付款")) + (f" · {name}" if name else "")


def _refund_text(state: str) -> str:
    return {
        "succeeded": _("退款到账"),
        "failed": _("退款没有成功，店家会处理"),
        "abnormal": _("退款遇到问题，店家正在处理"),
    }.get(state, _("退款已提交"))


async def next_visit(
    session: AsyncSession, who: Customer, now: datetime
) -> tuple[Order, Store, Room] | None:
    """The running stay, else the next paid booking within a day."""
    query = (
        scoped(who, Order)
        .where(
            col(Order.status).in_(["paid", "ready", "in_use"]),
            col(Order.starts_at) < now + _SOON,
        )
        .order_by(col(Order.starts_at))
    )
    found = (await session.exec(query)).all()
    live = [o for o in found if o.status == "in_use" or o.ends_at > now]
    if not live:
        return None
    order = next((o for o in live if o.status == "in_use"), live[0])
    store, room = (await _by_id(session, [order]))[order.room_id]
    return order, store, room


async def visit_href(session: AsyncSession, order: Order) -> str:
    """Where the door tab leads for an order: the stay that runs, else the room's door."""
    if order.status == "in_use":
        return f"/orders/{order.id}/stay"
    door = await door_of_room(session, order.store_id, order.room_id)
    return f"/d/{door.token}" if door is not None else f"/orders/{order.id}"


def stay_card(seen: Visit, order: Order, store: Store, room: Room, href: str) -> StayCard:
    """The card on top of the list of stores."""
    here = seen.at_store(store)
    return StayCard(
        href=href,
        room_name=room.name,
        store_name=store.name,
        art=words.art(room),
        starts_at=here.local(order.starts_at),
        ends_at=here.local(order.ends_at),
        running=order.status == "in_use",
    )
