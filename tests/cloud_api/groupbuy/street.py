"""A street: a house that takes platforms' vouchers, with both platforms running beside it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from sqlmodel import col, func, select

import cloud_api.groupbuy.jobs
import cloud_api.ledger.jobs
import cloud_api.orders.jobs
import cloud_api.platform_vouchers.jobs  # noqa: F401  they register their handlers
from cloud_api.auth.models import Account
from cloud_api.claims.models import RoomClaim
from cloud_api.groupbuy import platform
from cloud_api.kit.actor import Customer, Staff
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.due_jobs import run_due
from cloud_api.ledger.models import LedgerEntry
from cloud_api.ledger.verify import verify
from cloud_api.orders.models import Order
from cloud_api.platform_vouchers import accounts, deals
from cloud_api.platform_vouchers.models import PlatformAccount, PlatformDeal, PlatformUse
from cloud_api.platform_vouchers.schemas import AccountIn, DealIn
from cloud_api.staff.permissions import ALL
from simulators.douyin.app import POI
from simulators.meituan.app import SHOP
from simulators.meituan.receipts import MeituanDesk
from simulators.meituan.relay import STORE
from store_link.clock import ManualClock
from tests.cloud_api.factories import Shop, customer, make_customer, make_staff, staff
from tests.support.malls import Mall, running_mall

DEALS = {"douyin": "1234500001", "meituan": "993507001"}


@dataclass
class Street:
    """What a test of platform vouchers has in hand."""

    cloud: Cloud
    shop: Shop
    owner: Staff
    people: list[Account]
    malls: dict[str, Mall]

    def mall(self, kind: str) -> Mall:
        return self.malls["douyin" if kind == "douyin" else "meituan"]

    def sell(self, kind: str, **how: Any) -> str:
        """Somebody buys the deal that opens three hours here."""
        family = "douyin" if kind == "douyin" else "meituan"
        return self.malls[family].sell(DEALS[family], **how)

    async def account(self, kind: str, **values: Any) -> PlatformAccount:
        """An access, with its deal of three hours."""
        store = self.shop.store.id
        family = "douyin" if kind == "douyin" else "meituan"
        fields, place = self._fields(kind), {"relay": str(STORE), "dianping": SHOP, "douyin": POI}
        body = {
            "kind": kind,
            "name": kind,
            "store_id": store if kind in ("meituan", "manual") else None,
            "places": {store: place[kind]} if kind in place else {},
            "fields": fields,
            **values,
        }
        async with self.cloud.db.write() as session:
            made = await accounts.add(
                session,
                self.owner,
                AccountIn.model_validate(body),
                self.cloud.clocks,
                self.cloud.settings,
            )
            await self.deal(session, made, deal=DEALS[family])
        return made

    async def deal(self, session: Any, account: PlatformAccount, **values: Any) -> PlatformDeal:
        whole = {"name": "四人三小时", "minutes": 180, "worth_fen": 5000, **values}
        terms = DealIn.model_validate(whole).model_dump()
        return await deals.save(session, self.owner, account, None, terms, self.cloud.clocks)

    def _fields(self, kind: str) -> dict[str, Any]:
        if kind == "manual":
            return {"label": "美团"}
        desk = self.mall(kind).desk
        if kind in ("douyin", "meituan"):
            return desk.account()
        assert isinstance(desk, MeituanDesk)
        return desk.others[kind]

    def wish(
        self, account: PlatformAccount, code: str, room: int = 0, **more: Any
    ) -> platform.Wish:
        return platform.Wish(
            account_id=account.id, code=code, room_id=self.shop.rooms[room].id, **more
        )

    def guest(self, no: int = 0) -> Customer:
        return customer(self.people[no])

    async def redeem(
        self, account: PlatformAccount, code: str, room: int = 0, no: int = 0, **more: Any
    ) -> PlatformUse:
        guest = self.guest(no)
        nonce = more.pop("nonce", None)
        wish = self.wish(account, code, room, **more)
        return await platform.redeem(self.cloud, guest, guest, wish, nonce=nonce)

    async def use(self, use: PlatformUse | str) -> PlatformUse:
        async with self.cloud.db.read() as session:
            return await session.get_one(PlatformUse, use if isinstance(use, str) else use.id)

    async def uses(self) -> list[PlatformUse]:
        async with self.cloud.db.read() as session:
            return list(
                (await session.exec(select(PlatformUse).order_by(col(PlatformUse.id)))).all()
            )

    async def order(self, use: PlatformUse) -> Order:
        async with self.cloud.db.read() as session:
            return await session.get_one(Order, use.order_id)

    async def claims(self) -> list[str]:
        """The states of all claims, oldest first."""
        async with self.cloud.db.read() as session:
            query = select(col(RoomClaim.state)).order_by(col(RoomClaim.id))
            return list((await session.exec(query)).all())

    def passes(self, seconds: float) -> None:
        for clock in (self.cloud.clocks.business, self.cloud.clocks.wire):
            assert isinstance(clock, ManualClock)
            clock.pass_time(seconds)

    async def until(self, use: PlatformUse, *states: str) -> PlatformUse:
        """Run jobs, letting time pass, until the use has one of these states."""

        async def there() -> bool:
            return (await self.use(use)).state in states

        await self.run(there)
        return await self.use(use)

    async def run(self, there: Callable[[], Awaitable[bool]]) -> None:
        deadline = time.monotonic() + 60
        while not await there():
            assert time.monotonic() < deadline, "it did not come to that"
            if not await run_due(self.cloud):
                self.passes(5)
                await asyncio.sleep(0)

    async def owed(self) -> int:
        """What the books say that platforms owe; the books are right."""
        while await run_due(self.cloud):
            pass
        async with self.cloud.db.read() as session:
            assert await verify(session, self.shop.merchant.id) == []
            query = select(func.coalesce(func.sum(col(LedgerEntry.amount_fen)), 0))
            return int(
                (await session.exec(query.where(col(LedgerEntry.account) == "platform"))).one()
            )


@pytest.fixture(scope="module")
def mall_clock() -> ManualClock:
    """One clock for the platforms of a module; set to the test's before each."""
    from tests.cloud_api.conftest import NOON

    return ManualClock(NOON)


@pytest.fixture(scope="module")
def malls(mall_clock: ManualClock) -> Iterator[dict[str, Mall]]:
    with (
        running_mall("douyin", mall_clock) as douyin,
        running_mall("meituan", mall_clock) as meituan,
    ):
        yield {"douyin": douyin, "meituan": meituan}


@pytest.fixture
async def street(cloud: Cloud, shop: Shop, malls: dict[str, Mall], wire: ManualClock) -> Street:
    for mall in malls.values():
        mall.faults()
        mall.desk.shelf.now = lambda: wire.now().timestamp()
    cloud.settings.payment_private_hosts = True
    async with cloud.db.write() as session:
        member = await make_staff(session, shop, cloud.clocks.now)
        people = [await make_customer(session, cloud.clocks.now) for _ in range(4)]
    return Street(cloud, shop, staff(member, ALL), people, malls)
