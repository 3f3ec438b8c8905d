"""A club: a house that takes money, with a campaign on sale."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import col, func, select

import cloud_api.groupbuy.jobs
import cloud_api.ledger.jobs  # noqa: F401  they register their handlers
from cloud_api.auth.models import Account
from cloud_api.groupbuy import buy, campaigns
from cloud_api.groupbuy.models import Campaign, GroupOrder, Team
from cloud_api.groupbuy.schemas import CampaignIn
from cloud_api.kit.actor import Staff
from cloud_api.kit.cloud import Cloud
from cloud_api.ledger.accounts import Account as BookAccount
from cloud_api.ledger.accounts import shown
from cloud_api.ledger.models import LedgerEntry
from cloud_api.ledger.verify import verify
from cloud_api.staff.permissions import ALL
from cloud_api.vouchers import service as vouchers
from cloud_api.vouchers.models import Voucher
from tests.cloud_api.factories import Shop, customer, make_customer, make_staff, staff
from tests.cloud_api.house import House, running_house
from tests.support.cashier import Till


@dataclass
class Club:
    """What a test of group-buy has in hand."""

    house: House
    owner: Staff
    people: list[Account] = field(default_factory=list)

    @property
    def cloud(self) -> Cloud:
        return self.house.cloud

    def terms(self, **values: Any) -> dict[str, Any]:
        """A campaign as a merchant writes it: 3 h for 58 yuan, once round the clock."""
        now = self.cloud.clocks.now
        whole = {
            "name": "四人三小时",
            "price_fen": 5800,
            "list_fen": 8800,
            "minutes": 180,
            "starts_at": now - timedelta(hours=1),
            "ends_at": now + timedelta(days=30),
            "store_ids": [self.house.shop.store.id],
            **values,
        }
        return CampaignIn.model_validate(whole).model_dump()

    async def campaign(self, **values: Any) -> Campaign:
        """One that is on sale."""
        async with self.cloud.db.write() as session:
            made = await campaigns.create(
                session, self.owner, self.terms(**values), self.cloud.clocks
            )
            return await campaigns.turn(
                session, self.owner, made.id, "published", self.cloud.clocks
            )

    async def buy(
        self, campaign: Campaign, who: Account, quantity: int = 1, **how: Any
    ) -> GroupOrder:
        async with self.cloud.db.write() as session:
            return await buy.buy(
                session, customer(who), campaign.id, quantity, self.cloud.clocks, **how
            )

    async def pay(self, order: GroupOrder, who: Account) -> str:
        """Open a payment and pay it at the cashier; its number."""
        payment = await buy.pay(self.cloud, customer(who), order.id, provider="cashier")
        self.house.till.pay(payment.number)
        return payment.number

    async def bought(self, campaign: Campaign, who: Account, quantity: int = 1) -> list[Voucher]:
        """Vouchers, bought and paid."""
        order = await self.buy(campaign, who, quantity)
        await self.pay(order, who)
        await self.until(order, "issued")
        return await self.vouchers(order)

    async def vouchers(self, order: GroupOrder) -> list[Voucher]:
        async with self.cloud.db.read() as session:
            return await vouchers.of_source(session, buy.pays(order.id))

    async def again(self, order: GroupOrder) -> GroupOrder:
        async with self.cloud.db.read() as session:
            return await session.get_one(GroupOrder, order.id)

    async def until(self, order: GroupOrder, *status: str) -> GroupOrder:
        """Run jobs until the order has one of these statuses."""

        async def there() -> bool:
            return (await self.again(order)).status in status

        await self.house.run(there)
        return await self.again(order)

    async def row(self, model: type[Any], key: str) -> Any:
        async with self.cloud.db.read() as session:
            return await session.get_one(model, key)

    async def team(self, order: GroupOrder) -> Team:
        found: Team = await self.row(Team, order.team_id or "")
        return found

    async def balanced(self) -> dict[str, int]:
        """Run what is due; nothing is wrong with the books. What they hold, as people read it."""
        await self.house.quiet()
        async with self.cloud.db.read() as session:
            assert await verify(session, self.house.shop.merchant.id) == []
            rows = await session.exec(
                select(
                    col(LedgerEntry.account),
                    col(LedgerEntry.detail),
                    func.sum(col(LedgerEntry.amount_fen)),
                ).group_by(col(LedgerEntry.account), col(LedgerEntry.detail))
            )
            held: dict[str, int] = {}
            for account, detail, total in rows.all():
                name = f"{account}.{detail}" if account == "revenue" else str(account)
                held[name] = held.get(name, 0) + shown(BookAccount(account), int(total))
        return {name: amount for name, amount in held.items() if amount}


@pytest.fixture
async def club(cloud: Cloud, shop: Shop, till: Till) -> AsyncIterator[Club]:
    async with running_house(cloud, shop, till) as house:
        async with cloud.db.write() as session:
            member = await make_staff(session, shop, cloud.clocks.now)
            people = [await make_customer(session, cloud.clocks.now) for _ in range(6)]
        yield Club(house, staff(member, ALL), people)
