"""A store that takes money: the cloud's routes on a port, a real cashier beside it, a guest in front."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import JSONResponse
from sqlmodel import col, select
from starlette.routing import BaseRoute

import cloud_api.orders.jobs  # registers its handlers
import cloud_api.payments.jobs  # noqa: F401  as above
from cloud_api.auth.models import Account
from cloud_api.claims import routes as claim_routes
from cloud_api.claims.models import RoomClaim
from cloud_api.coupons import quote_routes
from cloud_api.kit import due_jobs
from cloud_api.kit.actor import Customer
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.due_jobs import run_due
from cloud_api.kit.errors import KaimenError
from cloud_api.kit.models import DueJob
from cloud_api.kit.problems import problem
from cloud_api.orders import console_routes, pay, place, routes
from cloud_api.orders.models import Order
from cloud_api.orders.money import GRANT, REVOKE
from cloud_api.payments import routes as payment_routes
from cloud_api.payments import service as payments
from cloud_api.payments.models import PaymentAttempt, RefundAttempt
from cloud_api.pricing import service as pricing
from cloud_api.stores.models import Room
from store_link.clock import ManualClock
from tests.cloud_api.factories import Shop, customer, make_customer
from tests.support.cashier import Till
from tests.support.ports import free_port
from tests.support.serving import served_here

DEADLINE_S = 60  # the machine may be busy; what is waited for comes or never does


@dataclass
class House:
    """What a test about money has in hand. Both clocks stand still until ``passes``."""

    cloud: Cloud
    shop: Shop
    till: Till
    guest: Account
    base_url: str
    noon: datetime  # when the test began
    granted: list[str] = field(default_factory=list)  # orders that access was asked for
    revoked: list[str] = field(default_factory=list)

    @property
    def who(self) -> Customer:
        return customer(self.guest)

    def passes(self, seconds: float) -> None:
        """Let time pass on both clocks."""
        for clock in (self.cloud.clocks.business, self.cloud.clocks.wire):
            assert isinstance(clock, ManualClock)
            clock.pass_time(seconds)

    async def order(
        self,
        *,
        room: Room | None = None,
        in_h: float = 3,
        hours: float = 2,
        guest: Account | None = None,
    ) -> Order:
        """Quote and order a room, from ``in_h`` hours after the test's beginning."""
        who = customer(guest or self.guest)
        starts = self.noon + timedelta(hours=in_h)
        async with self.cloud.db.write() as session:
            quote = await pricing.quote(
                session,
                who,
                (room or self.shop.room).id,
                starts,
                starts + timedelta(hours=hours),
                self.cloud.clocks,
            )
            return await place.place(session, who, quote.id, self.cloud.clocks)

    async def pay(
        self, order: Order, provider: str = "cashier", channel: str = "page"
    ) -> PaymentAttempt:
        """Open a payment."""
        return await pay.pay(self.cloud, self.who, order.id, provider=provider, channel=channel)

    async def paid_order(self, **values: Any) -> Order:
        """An order whose money came and which is ready."""
        order = await self.order(**values)
        payment = await self.pay(order)
        self.till.pay(payment.number)
        return await self.until(order, "ready")

    async def again(self, order: Order) -> Order:
        """The order as it is now."""
        async with self.cloud.db.read() as session:
            return await session.get_one(Order, order.id)

    async def until(self, order: Order, *status: str) -> Order:
        """Run jobs until the order has one of these statuses."""

        async def there() -> bool:
            return (await self.again(order)).status in status

        await self.run(there)
        return await self.again(order)

    async def run(self, there: Callable[[], Awaitable[bool]]) -> None:
        """Run jobs, while the cashier talks to us, until ``there``."""
        deadline = time.monotonic() + DEADLINE_S
        while not await there():
            if time.monotonic() > deadline:
                raise AssertionError("it did not come to that")
            if not await run_due(self.cloud):
                await asyncio.sleep(0.01)

    async def quiet(self) -> None:
        """Run jobs until none is due."""
        while await run_due(self.cloud):
            pass

    async def finish_all(self, rounds: int = 40, step_s: float = 120) -> None:
        """Let time pass in steps until every job about money is done."""
        for _ in range(rounds):
            await self.quiet()
            async with self.cloud.db.read() as session:
                kinds = [payments.WATCH, payments.CLOSE, payments.REFUND, place.HOLD]
                open_jobs = await session.exec(
                    select(DueJob).where(
                        col(DueJob.kind).in_(kinds),
                        col(DueJob.done_at).is_(None),
                        col(DueJob.dead_at).is_(None),
                    )
                )
                if open_jobs.first() is None:
                    return
            self.passes(step_s)
            await self.cashier_at_rest()
        raise AssertionError("money jobs are still open")

    async def cashier_at_rest(self) -> None:
        """The cashier has finished the refunds that are due, and told of everything (on a round of its own)."""
        deadline = time.monotonic() + DEADLINE_S
        while True:
            now = self.cloud.clocks.real.timestamp()
            refunds = [r for r in self.till.refunds().values() if r["state"] == "processing"]
            told = [m for m in self.till.messages() if m["done"] is None and m["next_at"] <= now]
            if not told and not any(r["due_at"] and r["due_at"] <= now for r in refunds):
                return
            if time.monotonic() > deadline:
                raise AssertionError("the cashier does not come to rest")
            await asyncio.sleep(0.01)

    async def payments(self, order: Order) -> list[PaymentAttempt]:
        async with self.cloud.db.read() as session:
            return list(await payments.payments_of(session, f"order:{order.id}"))

    async def refunds(self, order: Order) -> list[RefundAttempt]:
        async with self.cloud.db.read() as session:
            return list(await payments.refunds_of(session, f"order:{order.id}"))

    async def claim(self, order: Order) -> RoomClaim:
        async with self.cloud.db.read() as session:
            return await session.get_one(RoomClaim, order.claim_id)


@cache
def _routes() -> tuple[BaseRoute, ...]:
    whole = APIRouter()
    for module in (payment_routes, routes, console_routes, quote_routes, claim_routes):
        whole.include_router(module.router, prefix="/api/v1")
    return tuple(whole.routes)


def _app(cloud: Cloud) -> FastAPI:
    app = FastAPI()
    app.state.cloud = cloud
    app.router.routes.extend(_routes())

    @app.exception_handler(KaimenError)
    async def refuse(_request: Request, error: KaimenError) -> JSONResponse:
        return problem(error)

    return app


@asynccontextmanager
async def running_house(cloud: Cloud, shop: Shop, till: Till) -> AsyncIterator[House]:
    """The house until the block ends; its routes are really served, so the cashier can call back."""
    port = free_port()
    cloud.settings.public_url = f"http://127.0.0.1:{port}"
    async with cloud.db.write() as session:
        guest = await make_customer(session, cloud.clocks.now)
        await payments.add_account(
            session,
            merchant_id=shop.merchant.id,
            provider="cashier",
            name="收银台",
            credentials=json.dumps(till.account()),
            clocks=cloud.clocks,
        )
    house = House(cloud, shop, till, guest, cloud.settings.public_url, cloud.clocks.now)
    async with served_here(_app(cloud), port):
        with _hearing_access(house):
            yield house


@contextmanager
def _hearing_access(house: House) -> Iterator[None]:
    """Stand in for the access layer above: note what it is asked to do."""

    async def grant(_cloud: Cloud, job: DueJob) -> None:
        house.granted.append(job.ref)

    async def revoke(_cloud: Cloud, job: DueJob) -> None:
        house.revoked.append(job.ref)

    before = dict(due_jobs._handlers)
    due_jobs._handlers |= {GRANT: grant, REVOKE: revoke}
    yield
    due_jobs._handlers.clear()
    due_jobs._handlers.update(before)
