"""A house that takes WeChat Pay and Alipay beside its cashier: the real simulators, on its clocks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

from sqlmodel import col, select

from cloud_api.kit.clocks import Clocks
from cloud_api.orders.models import Order
from cloud_api.payments import bills
from cloud_api.payments import service as payments
from cloud_api.payments.bill_models import BillDifference, ProviderBill
from cloud_api.payments.models import PaymentAttempt, ProviderAccount
from tests.cloud_api.house import House
from tests.support.providers import Counter, running_alipay, running_wechatpay

WAYS = {"wechat": ("native", "h5"), "alipay": ("qr", "wap")}


@dataclass
class Market:
    """``house`` with both providers; ``counters`` by provider."""

    house: House
    counters: dict[str, Counter]
    accounts: dict[str, ProviderAccount]

    async def pay(self, order: Order, provider: str, channel: str = "") -> PaymentAttempt:
        """Open a payment, and its page where that is what opens it."""
        payment = await self.house.pay(order, provider, channel or WAYS[provider][0])
        step = payment.step or {}
        if provider == "alipay" and payment.state == "pending":
            self.counters[provider].page(step.get("url") or step["text"])
        return payment

    async def paid(self, provider: str, in_h: float = 3) -> tuple[Order, PaymentAttempt]:
        """An order whose money came."""
        order = await self.house.order(in_h=in_h)
        payment = await self.pay(order, provider)
        self.counters[provider].pay(payment.number)
        return await self.house.until(order, "ready"), payment

    def today(self) -> date:
        """In the providers' calendar."""
        now: datetime = self.house.cloud.clocks.now
        return now.astimezone(ZoneInfo("Asia/Shanghai")).date()

    def to_bill_time(self) -> date:
        """Let time pass until yesterday's bills are there; that day."""
        day = self.today()
        self.house.passes(36 * 3600 - 4 * 3600)
        return day

    async def bill(self, provider: str, day: date) -> tuple[ProviderBill, list[BillDifference]]:
        """Read the bill of a day; how it is, and where it differs."""
        bill = await bills.run(self.house.cloud, self.accounts[provider].id, day)
        async with self.house.cloud.db.read() as session:
            query = select(BillDifference).where(col(BillDifference.bill_id) == bill.id)
            return bill, list((await session.exec(query)).all())


@contextmanager
def both_counters(clocks: Clocks) -> Iterator[dict[str, Counter]]:
    """Both simulators on these clocks."""
    with (
        running_wechatpay(business=clocks.business, wire=clocks.wire) as wechat,
        running_alipay(business=clocks.business, wire=clocks.wire) as alipay,
    ):
        yield {"wechat": wechat, "alipay": alipay}


async def open_market(house: House, counters: dict[str, Counter]) -> Market:
    """The house with accounts at both, their keys fetched."""
    accounts = {}
    async with house.cloud.db.write() as session:
        for provider, counter in counters.items():
            accounts[provider] = await payments.add_account(
                session,
                merchant_id=house.shop.merchant.id,
                provider=provider,
                name=provider,
                credentials=json.dumps(counter.account),
                clocks=house.cloud.clocks,
            )
    await house.quiet()
    return Market(house, counters, accounts)
