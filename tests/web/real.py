"""The whole cloud on a port, with a real cashier and a real SMS gateway beside it: what pages are walked on."""

from __future__ import annotations

import asyncio
import json
import re
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.app import create_app
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.crypto import use_vault
from cloud_api.kit.database import Database
from cloud_api.kit.due_jobs import worker_loop
from cloud_api.kit.process import outgoing
from cloud_api.kit.waiters import Waiters
from cloud_api.payments import service as payments
from cloud_api.settings import Settings
from simulators.sms.app import Gateway
from simulators.sms.app import create_app as create_sms
from tests.cloud_api.databases import new_sqlite
from tests.cloud_api.factories import Shop, make_store
from tests.support.cashier import Till, running_till
from tests.support.ports import free_port
from tests.support.serving import served_aside, served_here

SECRETS = "11" * 32
SMS_KEY = "sms-test-key"
ROOMS = (  # of the demonstration's look
    ("竹间", "room-moon-bamboo", 4, 25, "中式", ["雀友 T8", "新风", "茶台"]),
    ("梅间", "room-plum-branch", 4, 22, "中式", ["雀友 T8", "空调"]),
    ("听雨", "room-tea-lattice", 6, 32, "茶室", ["智能茶台", "投影", "新风"]),
)
Made = TypeVar("Made")


def monday_noon() -> datetime:
    """The next Monday, 12:00 in Shanghai: business time on every site that is walked."""
    now = datetime.now(UTC)
    noon = now.replace(hour=4, minute=0, second=0, microsecond=0)
    while noon.weekday() != 0 or noon <= now:
        noon += timedelta(days=1)
    return noon


@dataclass
class Site:
    """A running cloud as tests and people see it."""

    url: str
    cloud: Cloud
    till: Till
    gateway: Gateway
    loop: asyncio.AbstractEventLoop
    shop: Shop
    people: dict[str, Any] = field(default_factory=dict)

    def run(self, made: Awaitable[Made]) -> Made:
        """Await something in the cloud's own loop."""

        async def whole() -> Made:
            return await made

        return asyncio.run_coroutine_threadsafe(whole(), self.loop).result(30)

    def write(self, act: Callable[[AsyncSession], Awaitable[Made]]) -> Made:
        """Do something in a transaction."""

        async def whole() -> Made:
            async with self.cloud.db.write() as session:
                return await act(session)

        return self.run(whole())

    @property
    def now(self) -> datetime:
        """Business time."""
        return self.cloud.clocks.now

    def passes(self, **span: float) -> None:
        """Let business time pass, for the cloud and every open page."""
        self.cloud.clocks.business.advance(timedelta(**span).total_seconds())  # type: ignore[attr-defined]

    def code_of(self, phone: str) -> str:
        """The six digits of the newest message to a phone."""
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            for message in self.gateway.of(phone):
                if found := re.search(r"\d{6}", message.text):
                    return found[0]
            time.sleep(0.05)
        raise AssertionError(f"no message to {phone}")


@contextmanager
def running_site(folder: Path, *, public_url: str = "") -> Iterator[Site]:
    """The site until the block ends: an empty shop with three rooms, online, and its cashier."""
    use_vault(Settings(secrets=SECRETS).vault)
    database = new_sqlite(folder / "cloud.db")
    clock_file = folder / "clock.json"
    ahead = (monday_noon() - datetime.now(UTC)).total_seconds()
    clock_file.write_text(json.dumps({"offset_s": ahead}))
    port, sms_port = free_port(), free_port()
    gateway = Gateway(SMS_KEY)
    settings = Settings(
        database_url=database,
        secrets=SECRETS,
        data_dir=folder,
        clock_file=clock_file,
        public_url=public_url or f"http://127.0.0.1:{port}",
        sms_url=f"http://127.0.0.1:{sms_port}/send",
        sms_key=SMS_KEY,
        run_worker=False,
    )
    with running_till(time_factor=1.0) as till, served_aside(create_sms(gateway), sms_port):
        ready: list[Site] = []
        stop = threading.Event()
        thread = threading.Thread(
            target=lambda: asyncio.run(_serve(settings, till, gateway, port, ready, stop)),
            daemon=True,
        )
        thread.start()
        deadline = time.monotonic() + 20
        while not ready:
            if time.monotonic() > deadline or not thread.is_alive():
                raise RuntimeError("the site did not start")
            time.sleep(0.02)
        try:
            yield ready[0]
        finally:
            stop.set()
            thread.join(15)


async def _serve(
    settings: Settings,
    till: Till,
    gateway: Gateway,
    port: int,
    ready: list[Site],
    stop: threading.Event,
) -> None:
    async with outgoing(trust_env=False) as http:
        database = Database(settings.database_url)
        clocks = Clocks.of(settings.clock_file)
        cloud = Cloud(settings, database, clocks, http, Waiters("web"), holder="web")
        app = create_app(settings, clocks=clocks, cloud=cloud)
        async with database.write() as session:
            shop = await make_store(session, clocks.now)
            for room, (name, art, capacity, area, style, facilities) in zip(
                shop.rooms, ROOMS, strict=True
            ):
                room.name, room.art, room.capacity, room.area_m2 = name, art, capacity, area
                room.style, room.facilities = style, list(facilities)
                session.add(room)
            await payments.add_account(
                session,
                merchant_id=shop.merchant.id,
                provider="cashier",
                name="收银台",
                credentials=json.dumps(till.account()),
                clocks=clocks,
            )
        done = asyncio.Event()
        async with served_here(app, port, force=True, lifespan="off"):  # live pages hold on to it
            working = asyncio.create_task(worker_loop(cloud, done))
            url = f"http://127.0.0.1:{port}"
            ready.append(Site(url, cloud, till, gateway, asyncio.get_running_loop(), shop))
            while not stop.is_set():
                await asyncio.sleep(0.05)
            done.set()
        await asyncio.gather(working, return_exceptions=True)
        await database.close()
