"""A tap of staff in one statement: the same rows as step by step, all of them or none, whoever comes beside it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Select, delete, func
from sqlalchemy.exc import IntegrityError
from sqlmodel import SQLModel, col, select, update

from cloud_api.access import at_once, service
from cloud_api.audit import service as audit
from cloud_api.audit.models import AuditEntry, AuditHead
from cloud_api.audit.verify import verify
from cloud_api.devices.models import DeviceCommand, StoreStatus
from cloud_api.kit.actor import Staff
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.errors import KaimenError
from cloud_api.kit.idempotency import Claim
from cloud_api.kit.ids import new_id
from cloud_api.kit.models import IdempotencyKey, OutboxLease, OutboxRow, Throttle
from cloud_api.kit.throttle import Limit
from cloud_api.staff.permissions import DOOR_OPEN_REMOTE
from tests.cloud_api.factories import Shop, make_store

pytestmark = pytest.mark.parametrize("db_url", ["postgresql"], indirect=True)

WRITTEN: tuple[type[SQLModel], ...] = (
    DeviceCommand,
    OutboxRow,
    OutboxLease,
    AuditEntry,
    IdempotencyKey,
    Throttle,
)
WHY = "客人忘带手机😀"


class Sends:
    """Takes what was committed and is to leave at once, as the relay does; sends nothing."""

    holder = "this-process"
    ready = True

    def __init__(self) -> None:
        self.begun: list[tuple[str, datetime, Any]] = []

    def begin(self, stream: str, leased_at: datetime, found: Any = None) -> None:
        self.begun.append((stream, leased_at, found))


@pytest.fixture
def sends(cloud: Cloud) -> Sends:
    cloud.db.express = sends = Sends()
    return sends


def staff(shop: Shop, stores: frozenset[str] | None = None, number: int = 1) -> Staff:
    return Staff(
        staff_id=f"s{number}",
        account_id="a1",
        merchant_id=shop.merchant.id,
        permissions=frozenset({DOOR_OPEN_REMOTE}),
        store_ids=stores,
        login_id="l1",
        ip="203.0.113.7",
    )


def claim(cloud: Cloud, who: Staff, key: str | None = None) -> Claim:
    most = Limit(f"unlock:{who.ref}", *service.UNLOCK_LIMIT)
    return Claim(new_id(), who.ref, key or new_id(), "digest", cloud.clocks.real, most)


async def tap(cloud: Cloud, who: Staff, door: str, key: str | None = None) -> DeviceCommand | None:
    return await at_once.unlock(cloud, who, door, WHY, claim(cloud, who, key))


async def begin_chain(cloud: Cloud, shop: Shop) -> None:
    async with cloud.db.write() as session:
        await audit.lock_head(session, shop.merchant.id)


async def rows(cloud: Cloud) -> dict[str, list[dict[str, Any]]]:
    async with cloud.db.read() as session:
        return {
            model.__name__: [one.model_dump() for one in (await session.exec(select(model))).all()]
            for model in WRITTEN
        }


async def test_it_writes_what_is_written_step_by_step(
    cloud: Cloud, shop: Shop, sends: Sends, tmp_path: Path
) -> None:
    await begin_chain(cloud, shop)
    who, door = staff(shop), shop.door.id
    command = await tap(cloud, who, door)
    assert command is not None
    quick = await rows(cloud)
    stream, leased_at, found = sends.begun.pop()
    assert (stream, leased_at) == (shop.store.id, command.created_at)
    row, sent, there = found
    assert (sent, there.nonce) == (command, "n1")
    (kept,), (queued,) = quick["DeviceCommand"], quick["OutboxRow"]
    assert kept == command.model_dump()
    assert queued == row.model_dump()
    async with cloud.db.write() as session:  # the lease is given back, and another taps
        await session.delete(await session.get(OutboxLease, shop.store.id))
    async with cloud.db.write() as session:
        step = await service.staff_unlock(session, who, door, WHY, cloud.clocks, "here", new_id())
    slow = await rows(cloud)
    assert sends.begun[0][0] == stream
    changing = {"id", "seq", "instance", "created_at", "expires_at", "at", "wire_at"}
    changing |= {"body", "after", "prev", "hash", "until"}
    for name in ("DeviceCommand", "OutboxRow", "OutboxLease", "AuditEntry"):
        first, last = quick[name][-1], slow[name][-1]
        assert {k: v for k, v in first.items() if k not in changing} == {
            k: v for k, v in last.items() if k not in changing
        }, name
    assert [one["after"] for one in slow["AuditEntry"]] == [
        {"command": command.id},
        {"command": step.id},
    ]
    (key,), (count,) = quick["IdempotencyKey"], quick["Throttle"]
    assert key["response"] == {"ref": command.id, "again": False}
    assert (key["id"], key["status"], count["count"]) == (command.id, None, 1)
    verdict = await verify(cloud.db, shop.merchant.id, tmp_path)
    assert verdict.broken == "", verdict


async def test_what_stands_in_its_way_leaves_nothing_behind(
    cloud: Cloud, shop: Shop, sends: Sends, now: datetime
) -> None:
    who, door = staff(shop), shop.door.id
    assert await tap(cloud, who, door) is None  # a chain that has not begun
    await begin_chain(cloud, shop)
    async with cloud.db.write() as session:
        other = await make_store(session, now, name="别家")
        second = await make_store(session, now, merchant=shop.merchant, name="二店", online=False)
    await begin_chain(cloud, other)
    before = await rows(cloud)
    elsewhere = staff(shop, frozenset({second.store.id}))
    assert await tap(cloud, who, other.door.id) is None  # another merchant's
    assert await tap(cloud, elsewhere, door) is None  # a store that is not theirs
    assert await tap(cloud, who, "nothing") is None
    assert await tap(cloud, who, second.door.id) is None  # the store is away
    assert await rows(cloud) == before
    assert sends.begun == []
    assert await tap(cloud, who, door, key="known") is not None
    before = await rows(cloud)
    assert await tap(cloud, who, door, key="known") is None
    assert await rows(cloud) == before
    for _ in range(service.UNLOCK_LIMIT[0] - 1):
        assert await tap(cloud, who, door) is not None
    before = await rows(cloud)
    assert await tap(cloud, who, door) is None  # too many in a minute
    assert await rows(cloud) == before
    cloud.db.express = None
    assert await tap(cloud, staff(shop, number=2), door) is None  # nobody to send it from here
    assert await rows(cloud) == before


async def test_a_lease_of_another_leaves_the_sending_to_them(
    cloud: Cloud, shop: Shop, sends: Sends, now: datetime
) -> None:
    """And what waits in another store's stream is none of this one's business."""
    await begin_chain(cloud, shop)
    async with cloud.db.write() as session:
        second = await make_store(session, now, merchant=shop.merchant, name="二店")
    woken: list[str] = []
    cloud.db.listen("outbox", woken.append)
    first = await tap(cloud, staff(shop), shop.door.id)
    again = await tap(cloud, staff(shop), shop.doors[1].id)
    assert first is not None
    assert again is not None
    assert await tap(cloud, staff(shop), second.door.id) is not None
    assert [stream for stream, *_ in sends.begun] == [shop.store.id, second.store.id]
    assert all(found is not None for *_, found in sends.begun)
    assert woken == [shop.store.id]
    async with cloud.db.write() as session:
        await session.exec(delete(OutboxLease))
    assert await tap(cloud, staff(shop), shop.door.id) is not None
    assert sends.begun[-1][2] is None  # what waits is read in its order


async def crowd(cloud: Cloud, shops: list[Shop]) -> list[DeviceCommand | None]:
    """Forty taps at once at the doors of two stores, between acts that are written down as well."""

    async def act(number: int) -> None:
        async with cloud.db.write() as session:
            await audit.record(
                session, staff(shops[0]), "store.edit", merchant_id=shops[0].merchant.id,
                subject=f"store:{number}", clocks=cloud.clocks,
            )  # fmt: skip

    taps = [
        tap(cloud, staff(shops[0], number=n % 7), shops[n % 2].doors[n % 3].id) for n in range(40)
    ]
    acts = [act(number) for number in range(10)]
    return (await asyncio.gather(*taps, *acts))[: len(taps)]


async def links(cloud: Cloud, shop: Shop) -> tuple[int, int]:
    async with cloud.db.read() as session:
        entries = await session.scalar(select(func.count()).select_from(AuditEntry))
        head = await session.get(AuditHead, shop.merchant.id)
    assert head is not None
    return int(entries or 0), head.seq


@pytest.mark.parametrize("locked", [True, False])
async def test_a_crowd_is_one_chain(
    cloud: Cloud,
    shop: Shop,
    sends: Sends,
    now: datetime,
    tmp_path: Path,
    locked: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The control: without the lock of the head two take the same place in the chain."""
    if not locked:
        whole: Callable[..., Any] = at_once._tap.__wrapped__  # type: ignore[attr-defined]
        monkeypatch.setattr(at_once, "_tap", cache(whole))
        monkeypatch.setattr(Select, "with_for_update", lambda query, **_: query)
    async with cloud.db.write() as session:
        second = await make_store(session, now, merchant=shop.merchant, name="二店")
    await begin_chain(cloud, shop)
    if not locked:
        with pytest.raises(IntegrityError, match="audit_entry_merchant_id_seq_key"):
            await crowd(cloud, [shop, second])
        return
    told = await crowd(cloud, [shop, second])
    written = Counter(await commands(cloud))
    assert all(told)
    assert written == Counter(one.id for one in told if one is not None)
    assert await links(cloud, shop) == (50, 50)
    assert (await verify(cloud.db, shop.merchant.id, tmp_path)).broken == ""


async def commands(cloud: Cloud) -> list[str]:
    async with cloud.db.read() as session:
        return list((await session.exec(select(col(DeviceCommand.id)))).all())


class Jumped:
    """A clock that is astray."""

    astray = True

    def refuse(self) -> None:
        raise KaimenError("clock", "服务器的时间刚刚跳了", status=503)


async def test_a_process_whose_clock_jumped_writes_nothing(
    cloud: Cloud, shop: Shop, sends: Sends
) -> None:
    await begin_chain(cloud, shop)
    before = await rows(cloud)
    cloud.db.clock = Jumped()
    with pytest.raises(KaimenError) as refused:
        await tap(cloud, staff(shop), shop.door.id)
    assert refused.value.code == "clock"
    assert await rows(cloud) == before


async def test_the_same_key_at_once_is_one_command(cloud: Cloud, shop: Shop, sends: Sends) -> None:
    await begin_chain(cloud, shop)
    told = await asyncio.gather(
        *(tap(cloud, staff(shop), shop.door.id, key="same") for _ in range(8))
    )
    (one,) = [command for command in told if command is not None]
    assert await commands(cloud) == [one.id]
    assert await links(cloud, shop) == (1, 1)
    assert len(sends.begun) == 1


async def test_a_store_that_comes_back_on_another_connection_is_read_as_it_is(
    cloud: Cloud, shop: Shop, sends: Sends
) -> None:
    await begin_chain(cloud, shop)
    async with cloud.db.write() as session:
        await session.exec(update(StoreStatus).values(nonce="n2"))
    assert await tap(cloud, staff(shop), shop.door.id) is not None
    assert sends.begun[0][2][2].nonce == "n2"
