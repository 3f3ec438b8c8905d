"""What a tap of staff costs its process in statements, from the request until all of it is written."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import httpx
import pytest
from sqlmodel import col, select

from cloud_api.devices.models import DeviceCommand
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.models import OutboxLease, OutboxRow
from cloud_api.store_channel import relay
from cloud_api.store_channel.worker import Channel
from tests.cloud_api.factories import Shop, bearer, make_login, make_staff
from tests.cloud_api.store_channel.store_side import DEADLINE_S, StoreSide
from tests.cloud_api.store_channel.test_end_to_end import online
from tests.support.statements import statements

# That they may still, the key with the count of taps and the door, the command with its row in the outbox and
# the lease, the audit's entry with the head of its chain: one statement until the command leaves, and nothing
# more until the door is known to be open; another for the login with where they work, where they did not tap
# through this process a moment ago. Then the mark of what was sent with the lease given back, whether more
# waits, whose answer it is, and the outcome with its line in the feed. Two are of this store's manner to say
# first that it acts, which a real one does only when a board is slow.
POSTGRESQL, SQLITE = 8, 20
UNTIL_IT_LEAVES = {"postgresql": 1, "sqlite": 11}


async def test_a_tap_takes_few_statements(
    cloud: Cloud,
    client: httpx.AsyncClient,
    shop: Shop,
    store: StoreSide,
    make_cloud: Callable[[], Awaitable[Cloud]],
    run_channel: Callable[..., Awaitable[Channel]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        relay, "FRESH", timedelta(minutes=1)
    )  # on a busy machine a commit may take longer
    now: datetime = cloud.clocks.real
    other = await make_cloud()  # the worker, which speaks to the database by itself
    await run_channel(other)
    await run_channel(cloud, acks_only=True)
    await store.connect()
    await online(cloud, store)
    async with cloud.db.write() as session:
        member = await make_staff(session, shop, cloud.clocks.now)
        headers = bearer(await make_login(session, member.account_id, now))
    url = f"/api/v1/console/doors/{shop.door.id}/unlock"

    async def quiet() -> None:
        """All that was to be sent is sent, and all commands have their end."""
        async with asyncio.timeout(DEADLINE_S):
            while True:
                async with other.db.read() as session:
                    rows = (await session.exec(select(DeviceCommand))).all()
                    leased = (await session.exec(select(col(OutboxLease.stream)))).all()
                    unsent = col(OutboxRow.sent_at).is_(None)
                    waiting = (await session.exec(select(OutboxRow.seq).where(unsent))).all()
                if not leased and not waiting and all(row.final_at for row in rows):
                    return
                await asyncio.sleep(0.02)

    async def tap(key: str) -> list[str]:
        await quiet()
        keyed = headers | {"Idempotency-Key": key}
        with statements(cloud.db) as told:
            answer = await client.post(url, headers=keyed, json={"why": "客人忘带手机"})
            assert answer.json()["state"] == "done", answer.text
            await quiet()
        # Who waits looks at the row four times a second, as the answer may come to another process.
        aside = ("BEGIN", "SAVEPOINT", "RELEASE", "SELECT device_command")
        return [one for one in told if not one.startswith(aside)]

    await tap("first")  # begins the chain of the audit and the count of taps
    sent = await tap("second")
    assert len(sent) <= (SQLITE if cloud.db.is_sqlite else POSTGRESQL), "\n".join(sent)
    assert any("DELETE FROM outbox_lease" in one for one in sent)  # it sent by itself
    left = next(at for at, one in enumerate(sent) if "UPDATE outbox SET" in one)
    assert left <= UNTIL_IT_LEAVES["sqlite" if cloud.db.is_sqlite else "postgresql"]
