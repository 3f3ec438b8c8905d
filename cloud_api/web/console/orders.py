"""Orders for staff: the list that finds any of them, and one with its money and everything that happened."""

import json
from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.bulk import orders as many
from cloud_api.bulk.service import MOST
from cloud_api.devices.commands import words as command_words
from cloud_api.devices.models import DeviceCommand
from cloud_api.kit.actor import Staff, scoped
from cloud_api.kit.errors import NotFound
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.money import yuan
from cloud_api.orders import (
    cancel_rules,
    refund_requests,
    refund_rules,
    search,
    service,
    views,
)
from cloud_api.orders.models import Order
from cloud_api.orders.schemas import ConsoleOrderOut
from cloud_api.payments.house import CASH
from cloud_api.staff.deps import staff_actor
from cloud_api.staff.permissions import (
    CASH_TAKE,
    CUSTOMER_READ,
    DEVICE_CONTROL,
    DEVICE_READ,
    ORDER_CANCEL,
    ORDER_CREATE,
    ORDER_EXPORT,
    ORDER_REFUND,
    ORDER_WAIVE,
    TICKET_HANDLE,
)
from cloud_api.stored_value import office
from cloud_api.web import words
from cloud_api.web.console.frame import Frame, console_page, frame_of
from cloud_api.web.console.listing import Asked, asked
from cloud_api.web.customer.checkout import fee_lines
from cloud_api.web.customer.orders import money_moves, overtime_view
from cloud_api.web.pages import Visit, visit
from cloud_api.web.view_models import Choice, Column, Empty, Fees, Filter, Listing, OrderWord
from cloud_api.web.view_models.orders import (
    CancelPage,
    CancelRow,
    ConsoleClaim,
    ConsoleDeposit,
    ConsoleOrder,
    ConsoleOrderRow,
    ConsoleOrdersPage,
    Happened,
)

router = APIRouter(prefix="/console/orders", include_in_schema=False)
Seen = Annotated[Visit, Depends(visit)]
Who = Annotated[Staff, Depends(staff_actor)]
HERE = "orders"
PATH = "/console/orders"


@router.get("")
async def all_orders(request: Request, seen: Seen, who: Who) -> Response:
    """The list; its filters, order and page are in the URL. Needs order.read."""
    return await _orders(request, seen, who)


@router.get("/cancel")
async def cancel_many(
    seen: Seen, who: Who, ids: Annotated[str, Query(max_length=8000)] = ""
) -> Response:
    """What cancelling several would give back, one by one. Needs order.read and order.cancel."""
    wanted = [one for one in ids.split(",") if one][:MOST]
    async with seen.cloud.db.read() as session:
        frame = await frame_of(session, who)
        found = await many.foresee(session, who, wanted, seen.cloud.clocks)
        shown = await views.for_staff(session, [one.order for one in found], seen.cloud.clocks)
    here = seen.at(frame.tz)
    rows = []
    for one, told in zip(found, shown, strict=True):
        row = _row(here.at(frame.tz_of(one.order.store_id)), told, "")
        rows.append(
            CancelRow(
                row.id, row.number, row.word, row.who, f"{row.store_name} {row.room_name}",
                row.starts_at, row.ends_at, one.order.paid_fen, one.back_fen, one.rule_back_fen,
                one.rule_fee_fen, one.message, one.rule_message,
            )
        )  # fmt: skip
    model = CancelPage(tuple(rows))
    return console_page(here, who, frame, "console/orders_cancel.html", model, here=HERE)


@router.get("/{order_id}")
async def one_order(request: Request, seen: Seen, who: Who, order_id: str) -> Response:
    """The list with an order open beside it. Needs order.read."""
    return await _orders(request, seen, who, order_id)


async def _orders(request: Request, seen: Visit, who: Staff, order_id: str = "") -> Response:
    wish = asked(
        request,
        names=("state", "store", "day", "q", "member"),
        sorts=("created", "starts", "total"),
        path=PATH,
    )
    async with seen.cloud.db.read() as session:
        frame = await frame_of(session, who)
        here = seen.at(frame.tz)
        listing = await _list(session, here, who, frame, wish)
        opened = None
        if order_id:
            order = await service.get_order(session, who, order_id)
            zone = here.at(frame.tz_of(order.store_id))
            opened = await _order(session, zone, who, order, listing)
    export = _export(listing) if ORDER_EXPORT in who.permissions else ""
    acts = tuple(
        act
        for act, needs in (
            ("confirm", ORDER_CREATE),
            ("message", TICKET_HANDLE),
            ("export", ORDER_EXPORT),
            ("cancel", ORDER_CANCEL),
        )
        if needs in who.permissions
    )
    model = ConsoleOrdersPage(listing, opened, export, acts)
    return console_page(here, who, frame, "console/orders.html", model, here=HERE)


async def _list(
    session: AsyncSession, seen: Visit, who: Staff, frame: Frame, wish: Asked
) -> Listing[ConsoleOrderRow]:
    group = wish.get("state")
    wanted = search.Wanted(
        group=group if group in search.GROUPS or group == search.REFUNDING else "",
        store_id=wish.get("store") if wish.get("store") in {s.id for s in frame.stores} else "",
        day=wish.day("day"),
        text=wish.get("q"),
        member=wish.get("member"),
        sort=wish.key,
        downwards=wish.downwards,
        tz=frame.tz,
    )
    found, following = await search.find(session, who, wanted, cursor=wish.cursor or None)
    shown = await views.for_staff(session, found, seen.cloud.clocks)
    tail = shown[0].phone_tail if wanted.member and shown else ""
    made: Listing[ConsoleOrderRow] = Listing(
        path=PATH,
        caption=_("订单"),
        columns=(
            Column(_("订单")),
            Column(_("状态")),
            Column(_("包间")),
            Column(_("使用时间"), sort="starts"),
            Column(_("下单"), sort="created"),
            Column(_("金额"), sort="total", number=True),
        ),
        rows=(),
        filters=_filters(frame, wanted, wish, tail),
        query=wish.query,
        sort=wish.sort,
        cursor=wish.cursor,
        next_cursor=following or "",
        empty=Empty(
            _("顾客下单以后，订单会出现在这里。先把门贴打印出来贴上，客人扫码就能订"),
            _("去打印门贴"),
            "/console/stickers",
        ),
    )
    rows = tuple(_row(seen.at(order.store.tz), order, made.suffix) for order in shown)
    return replace(made, rows=rows)


def _export(listing: Listing[ConsoleOrderRow]) -> str:
    """The list's own filters as the body of an export."""
    names = {"state": "state", "store": "store_id", "day": "day", "q": "q", "member": "member"}
    told = {names[one.name]: one.value for one in listing.filters if one.value}
    return json.dumps(told, ensure_ascii=False)


def _filters(frame: Frame, wanted: search.Wanted, wish: Asked, tail: str) -> tuple[Filter, ...]:
    """``tail`` is of the one guest whose orders these are, where they are one guest's."""
    states = (
        ("", _("全部")),
        ("unpaid", _("待支付")),
        ("ready", _("待使用")),
        ("in_use", _("使用中")),
        ("done", _("已完成")),
        ("cancelled", _("已取消")),
        (search.REFUNDING, _("退款中")),
    )
    made = [
        Filter("state", "chips", _("状态"), wanted.group, tuple(Choice(*one) for one in states))
    ]
    if len(frame.stores) > 1:
        every = (Choice("", _("全部门店")), *(Choice(s.id, s.name) for s in frame.stores))
        made.append(Filter("store", "select", _("门店"), wanted.store_id, every))
    if wanted.member:
        whose = _("尾号 {tail}").format(tail=tail) if tail else _("一位顾客")
        guests = (Choice("", _("全部顾客")), Choice(wanted.member, whose))
        made.append(Filter("member", "select", _("顾客"), wanted.member, guests))
    day = wanted.day.isoformat() if wanted.day else ""
    made.append(Filter("day", "date", _("使用的日子"), day))
    made.append(Filter("q", "search", _("单号或手机尾号"), wish.get("q")))
    return tuple(made)


def _row(seen: Visit, order: ConsoleOrderOut, suffix: str) -> ConsoleOrderRow:
    return ConsoleOrderRow(
        id=order.id,
        href=f"{PATH}/{order.id}{suffix}",
        number=order.number,
        word=OrderWord(order.word.value),
        who=_("尾号 {tail}").format(tail=order.phone_tail),
        room_name=order.room.name,
        store_name=order.store.name,
        starts_at=seen.local(order.starts_at),
        ends_at=seen.local(order.ends_at),
        total_fen=order.total_fen,
        created_at=seen.local(order.created_at),
        refund=order.refund_words or "",
    )


async def _order(
    session: AsyncSession,
    seen: Visit,
    who: Staff,
    order: Order,
    listing: Listing[ConsoleOrderRow],
) -> ConsoleOrder:
    """``seen`` is in the zone of the order's store."""
    (told,) = await views.for_staff(session, [order], seen.cloud.clocks)
    decision = cancel_rules.decide_staff(order)
    may = ORDER_CANCEL in who.permissions
    may_refund = not decision.refund_fen or ORDER_REFUND in who.permissions
    asks = ORDER_REFUND in who.permissions and order.status != "pending_payment"
    earlier = await refund_requests.of_order(session, order.id) if asks else []
    waiting = bool(earlier) and earlier[-1].state == "open"
    why_not = ""
    if decision.allowed and not (may and may_refund):
        why_not = _("取消要退 {money}，你的岗位不能退款，请找店长").format(
            money=yuan(decision.refund_fen)
        )
    return ConsoleOrder(
        id=order.id,
        number=order.number,
        word=OrderWord(told.word.value),
        who=_("尾号 {tail}").format(tail=told.phone_tail),
        room_name=told.room.name,
        room_href=f"/console/rooms/{order.room_id}",
        store_id=order.store_id,
        store_name=told.store.name,
        art=told.room.art if told.room.art in words.ARTS else words.art(None),
        starts_at=seen.local(order.starts_at),
        ends_at=seen.local(order.ends_at),
        fees=Fees(fee_lines(told.lines), told.total_fen),
        moves=money_moves(seen, told),
        facts=_facts(seen, told),
        overtime=overtime_view(seen, told, can_waive=ORDER_WAIVE in who.permissions),
        happened=await _happened(session, seen, who, told),
        refund=told.refund_words or "",
        cancel_back_fen=decision.refund_fen if decision.allowed and may and may_refund else None,
        cancel_why_not=why_not,
        can_finish=order.status == "in_use"
        and not order.finished_early
        and DEVICE_CONTROL in who.permissions,
        can_extend=order.status in {"ready", "in_use"}
        and not order.finished_early
        and ORDER_CREATE in who.permissions,
        can_confirm=order.status == "paid" and ORDER_CREATE in who.permissions,
        can_block=ORDER_CANCEL in who.permissions,
        note=order.staff_note,
        cash_fen=told.to_pay_fen if CASH_TAKE in who.permissions else 0,
        cash_refunds=_cash_refunds(told) if CASH_TAKE in who.permissions else (),
        deposit=_deposit(told, ORDER_REFUND in who.permissions),
        refund_ask_fen=refund_rules.propose(order, seen.cloud.clocks.now).kept_fen
        if asks and not waiting
        else 0,
        refund_asked=waiting,
        balance_href=await _balance(session, who, order.account_id),
        close_href=PATH + listing.suffix,
        href=f"{PATH}/{order.id}{listing.suffix}",
    )


async def _balance(session: AsyncSession, who: Staff, account_id: str) -> str:
    """Where the guest's balance is; nowhere for one who never paid here (a voucher, a free stay)."""
    if CUSTOMER_READ not in who.permissions:
        return ""
    try:
        await office.known_member(session, who, account_id)
    except NotFound:
        return ""
    return f"/console/members/{account_id}/balance"


def _facts(seen: Visit, order: ConsoleOrderOut) -> tuple[tuple[str, str], ...]:
    """What the store measured: entry, end, length, overtime."""
    told = []
    if order.entered_at is not None:
        entered = words.moment(seen.local(order.entered_at), seen.now)
        told.append((_("进门"), entered))
    if order.ended_at is not None:
        ended = words.moment(seen.local(order.ended_at), seen.now)
        told.append((_("结束"), ended))
    if order.used_s is not None:
        told.append((_("用了"), words.hours(order.used_s // 60)))
    if order.overtime is not None:
        told.append((_("超时"), words.hours(order.overtime.minutes)))
    if order.energy_wh is not None:
        told.append((_("用电"), f"{order.energy_wh / 1000:.2f} kWh"))
    return tuple(told)


async def _happened(
    session: AsyncSession, seen: Visit, who: Staff, order: ConsoleOrderOut
) -> tuple[Happened, ...]:
    """The order's own history and what was asked of its devices, on one axis."""
    lines = [Happened(seen.local(event.at), event.text) for event in order.events]
    if DEVICE_READ in who.permissions:
        query = (
            scoped(who, DeviceCommand)
            .where(col(DeviceCommand.order_id) == order.id)
            .order_by(col(DeviceCommand.created_at))
            .limit(50)
        )
        ahead = seen.cloud.clocks.now - seen.cloud.clocks.real
        lines += [
            Happened(
                seen.local(command.created_at + ahead),
                _(_ASKED.get(command.action, command.action)),
                _(command_words(command.state, command.reason, command.action)),
            )
            for command in (await session.exec(query)).all()
        ]
    return tuple(sorted(lines, key=lambda line: line.at))


_ASKED = {"unlock": "手机开门", "set": "调设备", "clear": "结束手动", "finish": "提前结束"}


def _cash_refunds(told: ConsoleOrderOut) -> tuple[tuple[str, int], ...]:
    """Refunds of cash that nobody has handed over yet."""
    paid = {p.number for p in told.payments if p.provider == CASH}
    return tuple(
        (refund.number, refund.amount_fen)
        for refund in told.refunds
        if refund.state == "submitted" and refund.number.rpartition("-R")[0] in paid
    )


def _deposit(told: ConsoleOrderOut, may: bool) -> ConsoleDeposit | None:
    found = told.deposit
    if found is None or found.state == "void":
        return None
    base = f"/api/v1/console/orders/{told.id}/deposit/claims"
    texts = {"waiting": _("还没付"), "held": _("还押着 {m}").format(m=yuan(found.held_fen))}
    back = _("退了 {m}").format(m=yuan(found.returned_fen))
    kept = found.damage_fen + found.overtime_fen
    text = texts.get(found.state, back) + (
        "，" + _("扣了 {m}").format(m=yuan(kept)) if kept else ""
    )
    claims = tuple(
        ConsoleClaim(
            claim.amount_fen,
            claim.why,
            claim.word,
            claim.objection,
            f"{base}/{claim.id}/decide" if may and claim.state in {"open", "disputed"} else "",
        )
        for claim in found.claims
    )
    can = may and found.state == "held" and found.held_fen > 0
    return ConsoleDeposit(found.amount_fen, found.held_fen, text, claims, base if can else "")
