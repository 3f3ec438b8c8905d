"""A process that dies at the n-th await of a flow of money, and the next one, which finds what it left.

``python -m tests.support.dying FOLDER TILL FIRST FLOW=STEP…`` runs each ``FLOW`` (create, notify, refund) in a fork
that is killed at its FIRST-th await, then at the (FIRST+STEP)-th … until one lives through it. After each a
second fork starts on the same database, with nothing else in hand, and brings the order to its end. Prints
how many awaits each flow has. The cashier at TILL is real and remembers everything.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sys
import traceback
from collections.abc import Awaitable, Callable, Coroutine, Generator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import httpx

import cloud_api.ledger.jobs
import cloud_api.orders.jobs
import cloud_api.payments.jobs  # noqa: F401  they register their handlers
from cloud_api.auth.models import Account
from cloud_api.kit import due_jobs
from cloud_api.kit.actor import Customer
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.crypto import use_vault
from cloud_api.kit.database import Database
from cloud_api.kit.models import DueJob
from cloud_api.kit.waiters import Waiters
from cloud_api.ledger.verify import verify
from cloud_api.orders import cancel, pay, place
from cloud_api.orders.models import Order
from cloud_api.orders.money import GRANT, REVOKE
from cloud_api.payments import inbox
from cloud_api.payments import service as payments
from cloud_api.pricing import service as pricing
from cloud_api.settings import Settings
from simulators.trust import trusted
from store_link.clock import ManualClock
from tests.cloud_api.databases import make_schema
from tests.cloud_api.factories import customer, make_customer, make_store
from tests.support.cashier import Till
from tests.support.catcher import Catcher, catching

NEXT_RUN: Final = timedelta(minutes=2)  # later: the leases of the dead have run out
SECRETS: Final = "11" * 32


class Countdown:
    """Counts the awaits of all tasks once it is ``armed``, and kills the process at the n-th."""

    def __init__(self, at: int) -> None:
        self.at, self.count, self.armed = at, 0, False

    def task(
        self, loop: asyncio.AbstractEventLoop, coro: Coroutine[Any, Any, Any], **more: Any
    ) -> asyncio.Task[Any]:
        """The loop's task factory."""
        return asyncio.Task(_Steps(self, coro), loop=loop, **more)

    def tick(self) -> None:
        """One await more."""
        if self.armed:
            self.count += 1
            if self.count == self.at:
                os.kill(os.getpid(), signal.SIGKILL)


class _Steps(Coroutine[Any, Any, Any]):
    """A coroutine whose every await ticks."""

    def __init__(self, countdown: Countdown, coro: Coroutine[Any, Any, Any]) -> None:
        self.countdown, self.coro = countdown, coro

    def send(self, value: Any) -> Any:
        waits_for = self.coro.send(value)
        self.countdown.tick()
        return waits_for

    def throw(self, *error: Any) -> Any:
        waits_for = self.coro.throw(*error)
        self.countdown.tick()
        return waits_for

    def close(self) -> None:
        self.coro.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        return self.coro.__await__()


class World:
    """One process's view: a database, clocks that stand still, a client; and the guest in front."""

    def __init__(self, database: Path, now: datetime, http: httpx.AsyncClient, url: str) -> None:
        settings = Settings(
            database_url=f"sqlite+aiosqlite:///{database}", secrets=SECRETS, public_url=url
        )
        self.clock = ManualClock(now)
        db = Database(settings.database_url)
        self.cloud = Cloud(
            settings,
            db,
            Clocks(self.clock, self.clock),
            http,
            Waiters("x"),
            holder=str(os.getpid()),
        )

    async def order(self, guest: Customer, room: str) -> Order:
        """A room of tomorrow, ordered and not paid."""
        starts = self.clock.now().replace(minute=0, second=0, microsecond=0) + timedelta(hours=26)
        async with self.cloud.db.write() as session:
            quote = await pricing.quote(
                session, guest, room, starts, starts + timedelta(hours=2), self.cloud.clocks
            )
            return await place.place(session, guest, quote.id, self.cloud.clocks)

    async def jobs_until(self, there: Callable[[], Awaitable[bool]]) -> None:
        """Run what is due, and let time pass, until it is so."""
        for _ in range(400):
            while await due_jobs.run_due(self.cloud):
                pass
            if await there():
                return
            self.clock.pass_time(2)
            await asyncio.sleep(0.02)  # the cashier is another process's thread
        raise AssertionError("it did not come to that")

    async def quiet(self) -> None:
        """Run what is due now."""
        while await due_jobs.run_due(self.cloud):
            pass

    async def status(self, order_id: str) -> Order:
        async with self.cloud.db.read() as session:
            return await session.get_one(Order, order_id)


async def _prepare(database: Path, till: Till, now: datetime) -> dict[str, str]:
    """A store, a guest, an account at the cashier."""
    make_schema(f"sqlite+aiosqlite:///{database}")
    async with httpx.AsyncClient(trust_env=False, verify=trusted()) as http:
        world = World(database, now, http, "http://127.0.0.1:9")
        async with world.cloud.db.write() as session:
            shop = await make_store(session, now)
            guest = await make_customer(session, now)
            account = await payments.add_account(
                session,
                merchant_id=shop.merchant.id,
                provider="cashier",
                name="收银台",
                credentials=json.dumps(till.account()),
                clocks=world.cloud.clocks,
            )
        await world.cloud.db.close()
    return {"guest": guest.id, "room": shop.room.id, "account": account.id}


async def _die(
    database: Path, till: Till, flow: str, known: dict[str, str], now: datetime, at: int
) -> int:
    """Run the flow with a countdown; comes back only where it has fewer awaits. How many it has."""
    countdown = Countdown(at)
    asyncio.get_running_loop().set_task_factory(countdown.task)  # type: ignore[arg-type]
    catcher: Catcher
    async with httpx.AsyncClient(trust_env=False, verify=trusted()) as http, catching() as catcher:
        world = World(database, now, http, catcher.url.removesuffix("/notify"))
        guest = await _guest(world, known)
        order = await world.order(guest, known["room"])
        note: dict[str, Any] = {"order": order.id, "letter": None}
        left = database.with_suffix(".json")
        left.write_text(json.dumps(note))

        async def act() -> None:
            if flow == "create":
                await pay.pay(world.cloud, guest, order.id, provider="cashier")
                return
            if flow == "notify":
                await _told(world, known, note)
            else:
                async with world.cloud.db.write() as session:
                    await cancel.cancel(session, guest, order.id, world.cloud.clocks)
            await world.quiet()

        if flow != "create":
            attempt = await pay.pay(world.cloud, guest, order.id, provider="cashier")
            till.pay(attempt.number)
            headers, raw = await catcher.next()
            note["letter"] = [dict(headers), raw.decode()]
            left.write_text(json.dumps(note))
        if flow == "refund":
            await _told(world, known, note)
            await world.quiet()
            assert (await world.status(order.id)).status == "ready"
        countdown.armed = True
        await asyncio.get_running_loop().create_task(act())
        countdown.armed = False
        await world.cloud.db.close()
    return countdown.count


async def _finish(
    database: Path, till: Till, flow: str, known: dict[str, str], now: datetime
) -> None:
    """The next run: nothing but the database, a provider that tells again, a guest who looks again."""
    note = json.loads(database.with_suffix(".json").read_text())
    async with httpx.AsyncClient(trust_env=False, verify=trusted()) as http:
        world = World(database, now, http, "http://127.0.0.1:9")
        cloud, order_id = world.cloud, note["order"]
        guest = await _guest(world, known)
        if (
            note["letter"] is not None
        ):  # not taken, so it comes again; taken, and it comes again too
            await _told(world, known, note)
        if flow == "create":
            async with cloud.db.read() as session:
                tried = await payments.payments_of(session, f"order:{order_id}")
            if not tried:  # it died before anything was written down
                await pay.pay(cloud, guest, order_id, provider="cashier")

            async def open_() -> bool:
                async with cloud.db.read() as session:
                    [one] = await payments.payments_of(session, f"order:{order_id}")
                return one.state == "pending"

            await world.jobs_until(open_)
            till.pay((await _attempts(world, order_id))[0])
        if flow == "refund":
            if (await world.status(order_id)).status == "ready":
                async with cloud.db.write() as session:
                    await cancel.cancel(session, guest, order_id, cloud.clocks)

            async def back() -> bool:
                again = await world.status(order_id)
                return again.refunded_fen == again.paid_fen == again.total_fen

            await world.jobs_until(back)
        else:

            async def ready() -> bool:
                return (await world.status(order_id)).status == "ready"

            await world.jobs_until(ready)
        await world.quiet()
        async with cloud.db.read() as session:
            order = await session.get_one(Order, order_id)
            assert await verify(session, order.merchant_id) == []
            refunds = await payments.refunds_of(session, f"order:{order_id}")
        mine = {n: p for n, p in till.payments().items() if n.startswith(order.number)}
        assert [p["state"] for p in mine.values()] == ["paid"], mine
        gone = {n: r for n, r in till.refunds().items() if n.startswith(order.number)}
        assert [r["state"] for r in gone.values()] == (["done"] if flow == "refund" else []), gone
        assert len(refunds) == len(gone)
        assert order.paid_fen == order.total_fen
        await cloud.db.close()


async def _told(world: World, known: dict[str, str], note: dict[str, Any]) -> None:
    headers, raw = note["letter"]
    reply = await inbox.receive(
        world.cloud, "cashier", known["account"], httpx.Headers(headers), raw.encode()
    )
    assert reply.status == 200, reply


async def _attempts(world: World, order_id: str) -> list[str]:
    async with world.cloud.db.read() as session:
        return [p.number for p in await payments.payments_of(session, f"order:{order_id}")]


async def _guest(world: World, known: dict[str, str]) -> Customer:
    async with world.cloud.db.read() as session:
        return customer(await session.get_one(Account, known["guest"]))


def _forked(act: Callable[[], Coroutine[Any, Any, Any]]) -> int:
    """Run it in a child; its wait status."""
    child = os.fork()
    if child == 0:
        try:
            asyncio.run(act())
        except BaseException:  # noqa: BLE001  whatever it is, it is told and the child ends
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1]


def main(folder: Path, till_url: str, first: int, steps: dict[str, int]) -> None:
    """See the module."""
    use_vault(Settings(secrets=SECRETS).vault)
    till = Till(till_url)
    trusted()  # before the forks, which all have it then

    async def nobody(_cloud: Cloud, _job: DueJob) -> None:
        """The layer above, which gives access, is not here."""

    due_jobs._handlers |= {GRANT: nobody, REVOKE: nobody}
    template = folder / "prepared.db"
    known = asyncio.run(_prepare(template, till, datetime.now(UTC)))
    for flow, step in steps.items():
        print(flow, _lives_through(template, till, flow, known, first, step))


def _lives_through(
    template: Path, till: Till, flow: str, known: dict[str, str], first: int, step: int
) -> int:
    """The first await of those tried that the flow does not have."""
    at = first
    while True:
        database = template.with_name(f"{flow}-{at}.db")
        shutil.copyfile(template, database)
        now = datetime.now(UTC)  # what the cashier signs is good for some minutes
        how = _forked(lambda: _die(database, till, flow, known, now, at))  # noqa: B023
        lived = os.WIFEXITED(how)
        if lived and os.WEXITSTATUS(how):
            raise SystemExit(f"{flow} failed before its await {at}")
        later = datetime.now(UTC) + NEXT_RUN
        if _forked(lambda: _finish(database, till, flow, known, later)):  # noqa: B023
            raise SystemExit(f"killed at await {at} of {flow}: the next run did not finish")
        for left in template.parent.glob(f"{database.name}*"):
            left.unlink()
        if lived:
            return at
        at += step


if __name__ == "__main__":
    named = (one.partition("=") for one in sys.argv[4:])
    main(
        Path(sys.argv[1]),
        sys.argv[2],
        int(sys.argv[3]),
        {flow: int(step) for flow, _, step in named},
    )
