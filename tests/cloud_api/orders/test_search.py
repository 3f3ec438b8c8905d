"""Staff find an order by what they know of it; pages neither skip nor repeat, whatever comes meanwhile."""

from __future__ import annotations

import base64
import json
from datetime import date, datetime, timedelta

import pytest

from cloud_api.kit.actor import Staff
from cloud_api.kit.database import Database
from cloud_api.kit.errors import Forbidden, KaimenError, NotFound
from cloud_api.orders.models import Order
from cloud_api.orders.search import Wanted, find
from cloud_api.payments.models import PaymentAttempt, ProviderAccount
from cloud_api.staff.service import actor_of
from tests.cloud_api.factories import Shop, make_customer, make_order, make_staff, make_store


@pytest.fixture
async def owner(db: Database, shop: Shop, now: datetime) -> Staff:
    async with db.write() as session:
        return actor_of(await make_staff(session, shop, now))


async def numbers(db: Database, who: Staff, wanted: Wanted, **more: object) -> list[str]:
    async with db.read() as session:
        found, _ = await find(session, who, wanted, **more)  # type: ignore[arg-type]
    return [order.number for order in found]


async def test_by_state_day_number_and_phone(
    db: Database, shop: Shop, now: datetime, owner: Staff
) -> None:
    async with db.write() as session:
        ann = await make_customer(session, now, "+8613912345678")
        bob = await make_customer(session, now, "+8613987654321")
        soon = await make_order(session, shop, ann, now + timedelta(hours=2), now=now)
        late = await make_order(
            session, shop, bob, now + timedelta(hours=11, minutes=30), now=now, status="in_use"
        )
        past = await make_order(
            session, shop, ann, now - timedelta(hours=40), now=now, status="completed"
        )
        past.refunding_fen = 500
        session.add(past)
        other = await make_store(session, now, name="别家")
        theirs = await make_order(session, other, bob, now + timedelta(hours=2), now=now)
        foreign = other.store.id
    assert await numbers(db, owner, Wanted(group="ready")) == [soon.number]
    assert await numbers(db, owner, Wanted(group="refunding")) == [past.number]
    today = await numbers(db, owner, Wanted(day=date(2026, 11, 23), sort="starts"))
    assert today == [late.number, soon.number]
    assert await numbers(db, owner, Wanted(text=soon.number[2:9])) == [soon.number]
    assert set(await numbers(db, owner, Wanted(text="5678"))) >= {soon.number, past.number}
    assert await numbers(db, owner, Wanted(text="139 8765 4321")) == [late.number]
    assert await numbers(db, owner, Wanted(member=bob.id)) == [
        late.number
    ]  # and nobody of the same tail
    assert await numbers(db, owner, Wanted(text="%")) == []  # no pattern of the database's
    await _paid(db, shop, soon, "4200002611202611237654321098")
    await _paid(db, other, theirs, "4200002611202611237654321099")
    for receipt in (f"{soon.number}_1", f"{soon.number}-1", "4200002611202611237654321098"):
        assert await numbers(db, owner, Wanted(text=receipt)) == [soon.number], receipt
    for receipt in (f"{theirs.number}-1", "4200002611202611237654321099", "4200002611202611"):
        assert await numbers(db, owner, Wanted(text=receipt)) == [], receipt
    every = await numbers(db, owner, Wanted())
    assert len(every) == 3
    assert theirs.number not in every
    with pytest.raises(NotFound):
        await numbers(db, owner, Wanted(store_id=foreign))
    with pytest.raises(KaimenError, match=r"order\.bad_filter"):
        await numbers(db, owner, Wanted(group="everything"))


async def _paid(db: Database, shop: Shop, order: Order, txn: str) -> None:
    """A payment of ``order``, with the number that its guest reads on the receipt."""
    async with db.write() as session:
        account = ProviderAccount(
            merchant_id=shop.merchant.id, provider="wechat", name="微信支付", credentials="{}",
            created_at=order.created_at,
        )  # fmt: skip
        session.add(account)
        await session.flush()
        session.add(
            PaymentAttempt(
                merchant_id=shop.merchant.id, store_id=shop.store.id, account_id=order.account_id,
                account_ref=account.id, provider="wechat", pays=f"order:{order.id}",
                part_of=f"order:{order.id}", number=f"{order.number}-1", amount_fen=7600,
                state="succeeded", provider_txn=txn, created_at=order.created_at,
                expires_at=order.created_at,
            )
        )  # fmt: skip


async def test_pages_hold_their_place(
    db: Database, shop: Shop, now: datetime, owner: Staff
) -> None:
    """An order that comes while somebody reads on shifts nothing; equal values are told apart."""
    async with db.write() as session:
        guest = await make_customer(session, now)
        made = [
            await make_order(session, shop, guest, now + timedelta(hours=3 * n + 1), now=now)
            for n in range(5)
        ]
    seen: list[str] = []
    cursor: str | None = None
    for page in range(3):  # the new one is worth the same and stands before or after where one is
        async with db.read() as session:
            found, cursor = await find(session, owner, Wanted(sort="total"), cursor=cursor, limit=2)
        seen += [order.id for order in found]
        if page == 0:
            async with db.write() as session:
                await make_order(session, shop, guest, now + timedelta(hours=30), now=now)
    assert len(seen) == len(set(seen))
    assert {order.id for order in made} <= set(seen)
    async with db.read() as session:
        upwards, _ = await find(session, owner, Wanted(sort="starts", downwards=False))
    assert [order.id for order in upwards][:5] == [order.id for order in made]


def forged(value: object, unique: object) -> str:
    return base64.urlsafe_b64encode(json.dumps([value, unique]).encode()).decode()


@pytest.mark.parametrize(
    "cursor",
    [
        "x", "====", "bnVsbA", forged("2026-11-23T04:00:00", "a"), forged(5, "a"),
        forged("0001-01-01T00:00:00+09:00", "a"), forged("2026-11-23T04:00:00+00:00", 7),
        forged("2026-11-23T04:00:00+00:00", "\0"),
    ],
)  # fmt: skip
async def test_a_forged_cursor_is_refused(db: Database, shop: Shop, owner: Staff, cursor: str):
    async with db.read() as session:
        with pytest.raises(KaimenError, match=r"cursor\.bad"):
            await find(session, owner, Wanted(), cursor=cursor)


async def test_who_may_not_read_orders_finds_none(db: Database, shop: Shop, now: datetime) -> None:
    async with db.write() as session:
        cleaner = actor_of(await make_staff(session, shop, now, role="cleaner"))
        await make_order(session, shop, await make_customer(session, now), now, now=now)
    async with db.read() as session:
        with pytest.raises(Forbidden):
            await find(session, cleaner, Wanted())
