"""Orders as they are shown: everything about many of them in a fixed number of queries."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy import bindparam, exists
from sqlalchemy.orm.util import identity_key
from sqlmodel import SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.expression import SelectOfScalar

from cloud_api.auth.models import Account
from cloud_api.claims.booking_rules import Rules, rules_by_room, rules_of
from cloud_api.claims.window import opens_at, opens_of
from cloud_api.devices.status import online
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.dates import said
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.money import yuan
from cloud_api.kit.statements import built
from cloud_api.orders import cancel_rules, kept, overtime, refund_wait, schemas
from cloud_api.orders.models import (
    Deposit,
    DepositClaim,
    Order,
    OrderEvent,
    OrderLine,
    OvertimeCharge,
    RefundRequest,
)
from cloud_api.orders.money import pays
from cloud_api.orders.money_schemas import DepositOut, RefundRequestOut
from cloud_api.orders.overtime_out import OvertimeOut
from cloud_api.orders.pay_ways import with_balance
from cloud_api.orders.placed import Beside, Placed
from cloud_api.orders.words import event_text, next_step, refund_words, word, words
from cloud_api.payments import service as payments
from cloud_api.payments.dispatch import kind_of, ref_of
from cloud_api.payments.models import PaymentAttempt, ProviderAccount, RefundAttempt
from cloud_api.stored_value.models import Wallet
from cloud_api.stores.models import Room, Store

_Row = TypeVar("_Row", bound=SQLModel)


async def one(session: AsyncSession, order: Order, clocks: Clocks) -> schemas.OrderOut:
    """One order for its customer."""
    return (await many(session, [order], clocks))[0]


async def placed(session: AsyncSession, new: Placed, clocks: Clocks) -> schemas.OrderOut:
    """What ``one`` shows of an order that was placed in this transaction; what is known is not read again."""
    if new.beside is None:
        return await one(session, new.order, clocks)
    parts = await _Parts.of_new(session, new.order, new.beside)
    return schemas.OrderOut(**parts.show(new.order, clocks))


async def many(
    session: AsyncSession, orders: Sequence[Order], clocks: Clocks
) -> list[schemas.OrderOut]:
    """Orders for their customer."""
    parts = await _Parts.load(session, orders)
    return [schemas.OrderOut(**parts.show(order, clocks)) for order in orders]


async def for_staff(
    session: AsyncSession, orders: Sequence[Order], clocks: Clocks
) -> list[schemas.ConsoleOrderOut]:
    """Orders for the console: with the tail of the phone and the store's usage report."""
    parts = await _Parts.load(session, orders)
    tails = await phone_tails(session, {order.account_id for order in orders})
    return [
        schemas.ConsoleOrderOut(
            **parts.show(order, clocks),
            phone_tail=tails.get(order.account_id, ""),
            usage=order.usage,
        )
        for order in orders
    ]


async def phone_tails(session: AsyncSession, account_ids: Iterable[str]) -> dict[str, str]:
    """The last four digits by account; nothing else of a phone leaves here."""
    query = select(col(Account.id), col(Account.phone_tail)).where(
        col(Account.id).in_(list(account_ids))
    )
    return dict((await session.exec(query)).all())


@dataclass(frozen=True, slots=True)
class _Has:
    """Which tables say anything of some orders: most orders are in few of them."""

    payments: bool
    overtime: bool
    deposits: bool
    requests: bool
    wallets: bool


async def _has(session: AsyncSession, ids: Sequence[str], accounts: Iterable[str]) -> _Has:
    values = {"parts": [pays(i) for i in ids], "ids": list(ids), "accounts": list(accounts)}
    return _Has(*(await session.execute(_asked(), values)).one())


@built
def _asked() -> Any:
    ids: Any = bindparam("ids", expanding=True)
    return sa.select(
        exists().where(col(PaymentAttempt.part_of).in_(bindparam("parts", expanding=True))),
        exists().where(col(OvertimeCharge.order_id).in_(ids)),
        exists().where(col(Deposit.order_id).in_(ids)),
        exists().where(col(RefundRequest.order_id).in_(ids)),
        exists().where(col(Wallet.account_id).in_(bindparam("accounts", expanding=True))),
    )


@built
def _lines() -> SelectOfScalar[OrderLine]:
    of = col(OrderLine.order_id).in_(bindparam("ids", expanding=True))
    return select(OrderLine).where(of).order_by(col(OrderLine.position))


@built
def _events() -> SelectOfScalar[OrderEvent]:
    of = col(OrderEvent.order_id).in_(bindparam("ids", expanding=True))
    return select(OrderEvent).where(of).order_by(col(OrderEvent.seq))


class _Parts:
    """What belongs to a set of orders, loaded at once."""

    def __init__(self) -> None:
        self.rooms: dict[str, Room] = {}
        self.stores: dict[str, Store] = {}
        self.accounts: dict[str, Sequence[ProviderAccount]] = {}
        self.lines: dict[str, list[OrderLine]] = defaultdict(list)
        self.events: dict[str, list[OrderEvent]] = defaultdict(list)
        self.payments: dict[str, list[PaymentAttempt]] = defaultdict(list)
        self.refunds: dict[str, list[RefundAttempt]] = defaultdict(list)
        self.overtime: dict[str, OvertimeCharge] = {}
        self.opens: dict[str, datetime] = {}
        self.deposits: dict[str, Deposit] = {}
        self.claims: dict[str, list[DepositClaim]] = defaultdict(list)
        self.requests: dict[str, list[RefundRequest]] = {}
        self.wallets: dict[tuple[str, str], int] = {}
        self.rules: dict[str, Rules] = {}
        self.unheard: set[str] = set()  # stores that are offline

    @classmethod
    async def load(cls, session: AsyncSession, orders: Sequence[Order]) -> _Parts:
        parts = cls()
        ids = [order.id for order in orders]
        parts.rooms = await _by_id(session, Room, {order.room_id for order in orders})
        parts.stores = await _by_id(session, Store, {order.store_id for order in orders})
        parts.rules = await rules_by_room(
            session, [*parts.stores.values()], [*parts.rooms.values()]
        )
        for line in (await session.exec(_lines(), params={"ids": ids})).all():
            parts.lines[line.order_id].append(line)
        for event in (await session.exec(_events(), params={"ids": ids})).all():
            parts.events[event.order_id].append(event)
        has = await _has(session, ids, {order.account_id for order in orders})
        if has.overtime:
            parts.overtime = await overtime.of_orders(session, ids)
        parts.opens = await opens_of(
            session,
            [(parts.stores[o.store_id], o.room_id, o.claim_id, o.starts_at) for o in orders],
        )
        ready = {order.store_id for order in orders if order.status == "ready"}
        if ready:
            parts.unheard = ready - await online(session, ready)
        if has.payments:
            await parts._money(session, ids)
        await parts._beside(session, orders, ids, has)
        waiting = {order.store_id for order in orders if parts.payable(order)}
        for store_id in waiting:
            parts.accounts[store_id] = await payments.accounts_of(session, parts.stores[store_id])
        return parts

    @classmethod
    async def of_new(cls, session: AsyncSession, order: Order, beside: Beside) -> _Parts:
        """Of an order that was placed a moment ago: nothing was paid, returned or claimed yet."""
        parts = cls()
        store = await session.get_one(Store, order.store_id)
        room = await session.get_one(Room, order.room_id)
        parts.stores, parts.rooms = {store.id: store}, {room.id: room}
        parts.rules = {room.id: await rules_of(session, store, room.id)}
        parts.lines[order.id], parts.events[order.id] = list(beside.lines), list(beside.events)
        parts.opens = {order.claim_id: opens_at(store, order.starts_at, beside.before_until)}
        parts.wallets = {(order.merchant_id, order.account_id): beside.balance_fen}
        parts.accounts = {store.id: await payments.accounts_of(session, store)}
        return parts

    async def _money(self, session: AsyncSession, ids: list[str]) -> None:
        """Payments and what went back of them."""
        wanted = [pays(i) for i in ids]
        tried = select(PaymentAttempt).where(col(PaymentAttempt.part_of).in_(wanted))
        of_payment: dict[str, str] = {}
        for payment in (await session.exec(tried.order_by(col(PaymentAttempt.id)))).all():
            order_id = ref_of(payment.part_of)
            of_payment[payment.id] = order_id
            self.payments[order_id].append(payment)
        back = select(RefundAttempt).where(col(RefundAttempt.payment_id).in_(list(of_payment)))
        for refund in (await session.exec(back.order_by(col(RefundAttempt.id)))).all():
            self.refunds[of_payment[refund.payment_id]].append(refund)

    async def _beside(
        self, session: AsyncSession, orders: Sequence[Order], ids: list[str], has: _Has
    ) -> None:
        """Deposits and what is claimed of them, requests for refunds, balances of who still has to pay."""
        if has.deposits:
            await self._deposits(session, ids)
        if has.requests:
            asked = select(RefundRequest).where(col(RefundRequest.order_id).in_(ids))
            for one in (await session.exec(asked.order_by(col(RefundRequest.id)))).all():
                self.requests.setdefault(one.order_id, []).append(one)
        who = {order.account_id for order in orders if self.payable(order)}
        if who and has.wallets:
            mine = select(Wallet).where(col(Wallet.account_id).in_(who))
            self.wallets = {
                (one.merchant_id, one.account_id): one.total_fen
                for one in (await session.exec(mine)).all()
            }

    async def _deposits(self, session: AsyncSession, ids: list[str]) -> None:
        held = select(Deposit).where(col(Deposit.order_id).in_(ids))
        self.deposits = {one.order_id: one for one in (await session.exec(held)).all()}
        if self.deposits:
            wanted = select(DepositClaim).where(col(DepositClaim.order_id).in_(ids))
            for claim in (await session.exec(wanted.order_by(col(DepositClaim.id)))).all():
                self.claims[claim.order_id].append(claim)

    def to_pay(self, order: Order) -> int:
        """What is to be paid now: the price with its deposit, or overtime; nothing where nothing is."""
        if not self.payable(order):
            return 0
        owed = self.overtime.get(order.id)
        if owed is not None and owed.state == "due":
            return owed.owed_fen
        deposit = self.deposits.get(order.id)
        extra = deposit.amount_fen if deposit is not None and not deposit.taken else 0
        return order.total_fen + extra

    def payable(self, order: Order) -> bool:
        """Whether there is something to pay: the order itself, or overtime."""
        owed = self.overtime.get(order.id)
        return order.status == "pending_payment" or (owed is not None and owed.state == "due")

    def pay_with(self, order: Order, real: datetime) -> list[schemas.PayWayOut]:
        """The ways to pay what is to be paid, in the owner's order; none where nothing is."""
        if not self.payable(order):
            return []
        amount = self.to_pay(order)
        has = self.wallets.get((order.merchant_id, order.account_id), 0)
        accounts = self.accounts.get(order.store_id, ())
        part = order.status == "pending_payment"
        return with_balance(accounts, amount, has, real, part=part)

    def show(self, order: Order, clocks: Clocks) -> dict[str, object]:
        now = clocks.now
        room, store = self.rooms[order.room_id], self.stores[order.store_id]
        owed = self.overtime.get(order.id)
        opens = self.opens[order.claim_id]
        action, label = next_step(order, store, now, opens)
        if owed is not None and owed.state == "due":
            action, label = "pay", _("付超时费 %s") % yuan(owed.owed_fen)
        decision = cancel_rules.decide(order, self.rules[room.id], now)
        voucher, back = kept.fate_of(order, self.lines[order.id], self.rules[room.id], now)
        comes_back = decision.refund_fen > 0 or voucher in ("whole", "part", "late")
        waits = comes_back and refund_wait.could_enter(
            order, store, online=store.id not in self.unheard, now=now
        )
        return {
            "id": order.id,
            "number": order.number,
            "state": order.status,
            "word": word(order),
            "words": words(order),
            "refund_words": refund_words(order),
            "room": schemas.RoomBrief(id=room.id, name=room.name, art=room.art),
            "store": schemas.StoreBrief(
                id=store.id,
                name=store.name,
                address=store.address,
                phone=store.phone,
                tz=store.tz,
            ),
            "starts_at": order.starts_at,
            "ends_at": order.ends_at,
            "opens_at": opens,
            "hold_expires_at": order.hold_expires_at,
            "created_at": order.created_at,
            "total_fen": order.total_fen,
            "paid_fen": order.paid_fen,
            "refunded_fen": order.refunded_fen,
            "refunding_fen": order.refunding_fen,
            "waiting_fen": order.waiting_fen,
            "lines": [
                schemas.LineOut(
                    kind=line.kind,
                    text=_(line.text),
                    amount_fen=line.amount_fen,
                    detail=line.detail,
                )
                for line in self.lines[order.id]
            ],
            "payments": [_payment(payment) for payment in self.payments[order.id]],
            "energy_wh": None if order.usage is None else order.usage.get("energy_wh"),
            "refunds": [_refund(refund) for refund in self.refunds[order.id]],
            "events": _history(self.events[order.id]),
            "pay_with": self.pay_with(order, clocks.real),
            "cancel": schemas.CancelOut(
                allowed=decision.allowed,
                refund_fen=decision.refund_fen,
                fee_fen=decision.fee_fen,
                code=decision.code,
                message=self._waits_words(order, store, clocks.now) if waits else decision.message,
                waits=waits,
                voucher=voucher if decision.allowed else None,
                voucher_back_fen=back,
            ),
            "cancel_why": order.cancel_why,
            "entered_at": order.entered_at,
            "ended_at": order.ended_at,
            "finished_early": order.finished_early,
            "used_s": order.used_s,
            "overtime_s": order.overtime_s,
            "to_pay_fen": self.to_pay(order),
            "balance_fen": self.wallets.get((order.merchant_id, order.account_id), 0),
            "deposit": None
            if order.id not in self.deposits
            else DepositOut.of(self.deposits[order.id], self.claims[order.id]),
            "refund_request": RefundRequestOut.of(self.requests[order.id][-1])
            if order.id in self.requests
            else None,
            "overtime": None if owed is None else OvertimeOut.of(owed, store.tz),
            "next": schemas.NextOut(action=action, label=label),
        }

    def _waits_words(self, order: Order, store: Store, now: datetime) -> str:
        """Why money would wait, and for how long, before the guest taps."""
        zone = ZoneInfo(store.tz)
        until = said(refund_wait.until(order, store).astimezone(zone), now.astimezone(zone))
        if store.id in self.unheard:
            text = _("门店现在断网，还不知道你取消。等它联网确认没有使用就退，一般不晚于 {time}")
        else:
            text = _("已经到了可以进门的时间。门店确认没有使用就退，一般不晚于 {time}")
        return text.format(time=until)


async def _by_id(session: AsyncSession, model: type[_Row], ids: set[str]) -> dict[str, _Row]:
    """Rows by id; those that this session has read already are not asked for again."""
    near = session.sync_session.identity_map
    found = {one: row for one in ids if (row := near.get(identity_key(model, one))) is not None}
    if missing := ids - found.keys():
        key = model.id  # type: ignore[attr-defined]  # every table here has one
        rows = (await session.exec(select(model).where(col(key).in_(list(missing))))).all()
        found |= {row.id: row for row in rows}  # type: ignore[attr-defined]
    return found


def _payment(payment: PaymentAttempt) -> schemas.PaymentOut:
    return schemas.PaymentOut(
        id=payment.id,
        number=payment.number,
        state=payment.state,
        provider=payment.provider,
        purpose=kind_of(payment.pays),
        amount_fen=payment.amount_fen,
        at=payment.succeeded_at or payment.created_at,
        applied=payment.applied,
        redirect_url=payment.redirect_url if payment.state == "pending" else None,
    )


def _refund(refund: RefundAttempt) -> schemas.RefundOut:
    return schemas.RefundOut(
        number=refund.number,
        state=refund.state,
        amount_fen=refund.amount_fen,
        reason=_(refund.reason),
        at=refund.created_at,
        arrived_at=refund.succeeded_at,
    )


def _history(events: Iterable[OrderEvent]) -> list[schemas.EventOut]:
    told = []
    for event in events:
        text = event_text(event)
        if text is not None:
            told.append(schemas.EventOut(at=event.at, kind=event.now or event.kind, text=text))
    return told
