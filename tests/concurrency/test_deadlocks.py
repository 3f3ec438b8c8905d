"""Two transactions that wait for each other: PostgreSQL ends one, and its request is done again once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from fastapi import APIRouter, FastAPI, Request, Response
from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.app import create_app
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.database import Database
from cloud_api.kit.idempotency import HEADER, once
from cloud_api.kit.waiters import Waiters
from cloud_api.settings import Settings
from tests.cloud_api.conftest import SECRETS
from tests.cloud_api.databases import PostgresTemplates
from tests.cloud_api.factories import make_store


class Bench:
    """Two rows, and a route that takes them in the order it is told, adding one to each."""

    def __init__(self, app: FastAPI, cloud: Cloud, rows: tuple[str, str]) -> None:
        self.cloud = cloud
        self.rows = rows
        self.tries = 0
        self.holding = 0
        self.stubborn = False  # somebody else crosses every try
        self.before = False  # something is committed before
        router = APIRouter()
        router.add_api_route("/take/{first}", self.take, methods=["POST"])
        router.add_api_route("/take-once/{first}", self.take_once, methods=["POST"])
        app.include_router(router)
        self.client = httpx.AsyncClient(
            transport=httpx.ASGITransport(app=app), base_url="http://kaimen.test"
        )

    async def take(self, first: int, request: Request) -> dict[str, str]:
        body = await request.json()
        await self._take(first)
        return {"said": body["say"]}

    async def take_once(self, first: int, request: Request) -> Response:
        async def act() -> dict[str, str]:
            await self._take(first)
            return {"said": "once"}

        return await once(self.cloud, "test", request, await request.body(), act)

    async def _take(self, first: int) -> None:
        self.tries += 1
        if self.before:
            async with self.cloud.db.write() as session:
                await _add(session, self.rows[0])
        async with self._crossed(first), self.cloud.db.write() as session:
            await session.exec(text("SET LOCAL deadlock_timeout = '20ms'"))  # type: ignore[call-overload]
            await _add(session, self.rows[first])
            self.holding += 1
            while self.holding < 2:
                await asyncio.sleep(0.001)
            await _add(session, self.rows[1 - first])

    @asynccontextmanager
    async def _crossed(self, first: int) -> AsyncIterator[None]:
        """If stubborn: another connection that takes the rows the other way round, and outlasts us."""
        if not self.stubborn:
            yield
            return
        self.holding = 0
        async with self.cloud.db.engine.connect() as other:
            await other.execute(text("SET LOCAL deadlock_timeout = '60s'"))
            add = text("UPDATE store SET hold_s = hold_s + 1 WHERE id = :id")
            await other.execute(add, {"id": self.rows[1 - first]})

            async def cross() -> None:
                while not self.holding:
                    await asyncio.sleep(0.001)
                crossing = asyncio.ensure_future(other.execute(add, {"id": self.rows[first]}))
                await asyncio.sleep(0)
                self.holding += 1
                await crossing

            task = asyncio.create_task(cross())
            try:
                yield
            finally:
                await task
                await other.rollback()

    async def post(self, path: str, **headers: str) -> httpx.Response:
        return await self.client.post(path, json={"say": "你好"}, headers=headers)

    async def sums(self) -> list[int]:
        """How often each row was added to."""
        async with self.cloud.db.engine.connect() as connection:
            found = await connection.execute(text("SELECT id, hold_s FROM store"))
            now = {row.id: row.hold_s for row in found}
        return [now[row] for row in self.rows]


async def _add(session: AsyncSession, row: str) -> None:
    connection = await session.connection()
    await connection.execute(
        text("UPDATE store SET hold_s = hold_s + 1 WHERE id = :id"), {"id": row}
    )


@pytest.fixture
async def bench(
    postgres_templates: PostgresTemplates, clocks: Clocks, tmp_path: Path
) -> AsyncIterator[Bench]:
    with postgres_templates.fresh() as url:
        settings = Settings(
            database_url=url, secrets=SECRETS, data_dir=tmp_path, run_worker=False,
            public_url="http://kaimen.test",
        )  # fmt: skip
        db = Database(url)
        async with httpx.AsyncClient(timeout=5, trust_env=False) as http:
            cloud = Cloud(settings, db, clocks, http, Waiters("test"), holder="test")
            async with db.write() as session:
                one = await make_store(session, clocks.now, rooms=1, hold_s=100)
                two = await make_store(session, clocks.now, rooms=1, hold_s=100, name="二店")
            app = create_app(settings, clocks=clocks, cloud=cloud, pages=False)
            yield Bench(app, cloud, (one.store.id, two.store.id))
        await db.close()


async def test_both_of_two_that_deadlock_are_done_once(bench: Bench) -> None:
    for turn, path in enumerate(("/take", "/take-once"), 1):
        bench.tries = bench.holding = 0
        answers = await asyncio.gather(
            bench.post(f"{path}/0", **{HEADER: "a"}), bench.post(f"{path}/1", **{HEADER: "b"})
        )
        assert [answer.status_code for answer in answers] == [200, 200]
        assert bench.tries == 3  # so one of them did lose
        assert await bench.sums() == [100 + 2 * turn, 100 + 2 * turn]


async def test_who_loses_twice_is_told_to_come_again(bench: Bench) -> None:
    ways: list[tuple[str, dict[str, str]]] = [
        ("/take/0", {}), ("/take-once/0", {}), ("/take-once/0", {HEADER: "k"})
    ]  # fmt: skip
    for turn, (path, header) in enumerate(ways):
        bench.stubborn, bench.tries = True, 0
        answer = await bench.post(path, **header)
        assert (answer.status_code, answer.json()["code"]) == (503, "busy")
        assert int(answer.headers["Retry-After"]) > 0
        assert bench.tries == 2
        assert await bench.sums() == [100 + turn, 100 + turn]
        bench.stubborn, bench.holding = False, 9
        assert (await bench.post(path, **header)).status_code == 200  # the refusal was not kept


async def test_what_committed_something_before_is_not_done_again(bench: Bench) -> None:
    """The control: what a provider was told of already must not be told twice on a guess."""
    bench.stubborn = bench.before = True
    answer = await bench.post("/take/0")
    assert answer.json()["code"] == "busy"
    assert bench.tries == 1
    assert await bench.sums() == [101, 100]
