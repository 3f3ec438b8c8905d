"""A store that has been busy for weeks: stays at the hours people come, with their money in the books."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.alarms.models import Alarm
from cloud_api.auth.models import Account
from cloud_api.kit.clocks import Clocks
from cloud_api.ledger.accounts import Account as Book
from cloud_api.ledger.service import Line, post
from cloud_api.orders.models import Order
from cloud_api.payments.models import PaymentAttempt, ProviderAccount
from tests.cloud_api.factories import Shop, make_customer, make_order

_BY_HOUR = (1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 6, 8, 9, 8, 6, 4)  # 9:00 to 24:00
_SOURCES = ("app", "app", "app", "staff", "waitlist", "series")


def at(moment: datetime, clocks: Clocks) -> Any:
    """The clocks as they stood at ``moment``: what is posted then is of that day."""
    return SimpleNamespace(now=moment, real=clocks.real, wire=clocks.wire, business=clocks.business)


async def fill(
    session: AsyncSession,
    shop: Shop,
    clocks: Clocks,
    *,
    days: int = 21,
    guests: int = 24,
    seed: int = 5,
) -> list[Order]:
    """Orders of the last ``days`` days: most used, some cancelled, one in ten after a voucher."""
    dice = random.Random(seed)
    people = [await make_customer(session, clocks.now) for _ in range(guests)]
    till = ProviderAccount(
        merchant_id=shop.merchant.id,
        provider="cashier",
        name="收银台",
        credentials="{}",
        created_at=clocks.now,
    )
    session.add(till)
    await session.flush()
    midnight = clocks.now.replace(hour=16, minute=0, second=0, microsecond=0)  # of Shanghai
    for one in (shop.store, *shop.rooms):
        one.created_at = clocks.now - timedelta(days=days + 1)
        session.add(await session.merge(one))
    made = []
    for back in range(days, 0, -1):
        morning = midnight - timedelta(days=back)
        weekend = (morning + timedelta(hours=9)).weekday() >= 4
        for room in shop.rooms:
            hour = 9 + dice.randrange(4)
            while hour < 23:
                if dice.random() * 9 < _BY_HOUR[hour - 9] * (1.3 if weekend else 0.7):
                    who = people[min(dice.randrange(guests), dice.randrange(guests))]
                    order = await _stay(
                        session,
                        shop,
                        clocks,
                        till,
                        dice,
                        room,
                        who,
                        morning + timedelta(hours=hour),
                    )
                    made.append(order)
                    hour += 2
                hour += 1 + dice.randrange(2)
        if dice.random() < 0.2:
            when = morning + timedelta(hours=20)
            session.add(
                Alarm(
                    merchant_id=shop.merchant.id,
                    store_id=shop.store.id,
                    kind="device.offline",
                    subject=f"board:{back}",
                    severity="warning",
                    state="resolved",
                    data={"room_id": dice.choice(shop.rooms).id},
                    since=when,
                    raised_at=when,
                    resolved_at=when,
                )
            )
    return made


async def _stay(
    session: AsyncSession,
    shop: Shop,
    clocks: Clocks,
    till: ProviderAccount,
    dice: random.Random,
    room: Any,
    who: Account,
    starts: datetime,
) -> Order:
    lead = timedelta(minutes=dice.choice((20, 90, 300, 900, 2000, 6000)))
    gone = dice.random() < 0.08
    minutes = dice.choice((120, 180))
    order = await make_order(
        session,
        shop,
        who,
        starts,
        now=starts - lead,
        room=room,
        minutes=minutes,
        status="completed",
    )
    order.source = dice.choice(_SOURCES)
    order.entered_at, order.ended_at = starts, order.ends_at
    if gone:
        order.status, order.refunded_fen = "cancelled", order.paid_fen
    else:
        order.used_s = minutes * 60
        order.usage = {"energy_wh": minutes * dice.choice((5, 6, 8))}
    session.add(order)
    await _money(session, shop, clocks, till, order, "refund" if gone else "used")
    return order


async def _money(
    session: AsyncSession, shop: Shop, clocks: Clocks, till: ProviderAccount, order: Order, end: str
) -> None:
    fen, subject = order.total_fen, f"order:{order.id}"
    payment = PaymentAttempt(
        merchant_id=shop.merchant.id,
        store_id=shop.store.id,
        account_id=order.account_id,
        account_ref=till.id,
        provider="cashier",
        pays=subject,
        part_of=subject,
        number=f"P{order.number}",
        amount_fen=fen,
        state="succeeded",
        expires_at=order.created_at,
        created_at=order.created_at,
        succeeded_at=order.created_at,
        applied="order",
    )
    session.add(payment)
    await session.flush()
    steps: Sequence[tuple[str, str, datetime, list[Line]]] = (
        ("payment", f"payment:{payment.id}", order.created_at,
         [Line(Book.CLEARING, fen, till.id), Line(Book.ADVANCE, -fen)]),
        ("order", f"{subject}#1", order.ends_at,
         [Line(Book.ADVANCE, fen), Line(Book.REVENUE, -fen, "room_time")]),
    )  # fmt: skip
    for kind, key, moment, lines in steps[: 1 if end == "refund" else 2]:
        await post(
            session,
            store_id=shop.store.id,
            kind=kind,
            key=key,
            subject=subject,
            lines=lines,
            clocks=at(moment, clocks),
            text=order.number,
        )
