"""The same request twice has one effect and one answer."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from fastapi import Request, Response
from fastapi.responses import JSONResponse
from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.kit.cloud import Cloud
from cloud_api.kit.errors import Conflict, KaimenError
from cloud_api.kit.idempotency import REPLAYED, TAKE_OVER_S, Begun, once, once_begun
from cloud_api.kit.models import IdempotencyKey


def request(key: str | None, path: str = "/api/v1/orders") -> Request:
    headers = [] if key is None else [(b"idempotency-key", key.encode("latin-1"))]
    return Request(
        {"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": headers}
        | {"server": ("t", 80), "scheme": "http"}
    )


async def _written(cloud: Cloud) -> None:
    async with asyncio.timeout(30):
        while True:
            async with cloud.db.read() as session:
                if (await session.exec(select(IdempotencyKey))).first() is not None:
                    return
            await asyncio.sleep(0.01)


def body(response: Response) -> Any:
    return json.loads(bytes(response.body))


class Act:
    def __init__(self, cost: float = 0) -> None:
        self.times = 0
        self.cost = cost

    async def __call__(self) -> Any:
        self.times += 1
        await asyncio.sleep(self.cost)
        return JSONResponse({"made": self.times}, 201)


async def test_same_key_and_body_give_the_same_answer(cloud: Cloud):
    act = Act()
    first = await once(cloud, "customer:a", request("k1"), b"{}", act)
    again = await once(cloud, "customer:a", request("k1"), b"{}", act)
    assert act.times == 1
    assert (first.status_code, body(first)) == (201, {"made": 1})
    assert (again.status_code, body(again)) == (201, {"made": 1})
    assert REPLAYED not in first.headers
    assert again.headers[REPLAYED] == "true"


async def test_another_body_is_refused(cloud: Cloud):
    act = Act()
    await once(cloud, "customer:a", request("k1"), b"{}", act)
    with pytest.raises(KaimenError) as caught:
        await once(cloud, "customer:a", request("k1"), b'{"x":1}', act)
    assert (caught.value.status, caught.value.code) == (422, "idempotency.other_body")
    with pytest.raises(KaimenError):
        await once(cloud, "customer:a", request("k1", "/api/v1/quotes"), b"{}", act)
    assert act.times == 1


async def test_keys_belong_to_their_actor(cloud: Cloud):
    act = Act()
    await once(cloud, "customer:a", request("k1"), b"{}", act)
    other = await once(cloud, "customer:b", request("k1"), b"{}", act)
    assert body(other) == {"made": 2}


async def test_without_a_key_it_runs_every_time(cloud: Cloud):
    act = Act()
    await once(cloud, "customer:a", request(None), b"{}", act)
    await once(cloud, "customer:a", request(None), b"{}", act)
    assert act.times == 2


async def test_twenty_at_once_act_once(cloud: Cloud):
    act = Act(cost=0.05)

    async def one() -> str:
        try:
            return str((await once(cloud, "customer:a", request("k1"), b"{}", act)).status_code)
        except KaimenError as error:
            return error.code

    answers = await asyncio.gather(*(one() for _ in range(20)))
    assert act.times == 1
    assert set(answers) <= {"201", "idempotency.in_progress"}
    assert "201" in answers


async def test_a_refusal_is_not_kept(cloud: Cloud):
    """The room was taken, then given back: the same tap may succeed now."""
    times = 0

    async def act() -> dict[str, bool]:
        nonlocal times
        times += 1
        if times == 1:
            raise Conflict("book.taken", "taken")
        return {"ok": True}

    with pytest.raises(Conflict):
        await once(cloud, "customer:a", request("k1"), b"{}", act)
    again = await once(cloud, "customer:a", request("k1"), b"{}", act)
    assert body(again) == {"ok": True}


async def test_a_process_that_died_is_succeeded_after_a_minute(cloud: Cloud, wire):
    dead = asyncio.create_task(once(cloud, "customer:a", request("k1"), b"{}", Act(cost=60)))
    await _written(cloud)
    with pytest.raises(KaimenError) as caught:
        await once(cloud, "customer:a", request("k1"), b"{}", Act())
    assert caught.value.code == "idempotency.in_progress"
    dead.cancel()
    with pytest.raises(asyncio.CancelledError):
        await dead
    wire.pass_time(TAKE_OVER_S)
    after = await once(cloud, "customer:a", request("k1"), b"{}", Act())
    assert after.status_code == 201


@pytest.mark.parametrize("key", ["", "x" * 129, "a\tb"])
async def test_bad_keys_are_refused(cloud: Cloud, key: str):
    with pytest.raises(KaimenError) as caught:
        await once(cloud, "customer:a", request(key), b"{}", Act())
    assert caught.value.code == "idempotency.bad_key"


# ------------------------------------------------------------------------- what goes on afterwards


class Going:
    """Something that is begun in the key's transaction, and finishes when it is told."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.done = asyncio.Event()

    async def begin(self, session: AsyncSession, ref: str) -> Begun:
        self.begun.append(ref)
        return Begun(ref)

    async def finish(self, begun: Begun, now: bool) -> dict[str, Any]:
        await self.done.wait()
        return {"ref": begun.ref}

    async def tap(self, cloud: Cloud, key: str | None = "k1", raw: bytes = b"{}") -> Response:
        return await once_begun(cloud, "staff:a", request(key), raw, self.begin, self.finish)


async def test_who_repeats_it_while_it_goes_on_hears_the_same_outcome(cloud: Cloud):
    going = Going()
    first = asyncio.create_task(going.tap(cloud))
    await _written(cloud)
    second = asyncio.create_task(going.tap(cloud))
    await asyncio.sleep(0.05)
    assert not second.done()
    going.done.set()
    answers = await asyncio.gather(first, second)
    assert [body(answer) for answer in answers] == [{"ref": going.begun[0]}] * 2
    assert len(going.begun) == 1
    assert [REPLAYED in answer.headers for answer in answers] == [False, True]


async def test_a_process_that_died_after_beginning_leaves_nothing_to_begin_again(
    cloud: Cloud, wire
):
    """A door must not open a second time because its first answer was lost with a process."""
    going = Going()
    dead = asyncio.create_task(going.tap(cloud))
    await _written(cloud)
    dead.cancel()
    with pytest.raises(asyncio.CancelledError):
        await dead
    wire.pass_time(TAKE_OVER_S * 2)
    going.done.set()
    after = await going.tap(cloud)
    assert body(after) == {"ref": going.begun[0]}
    assert len(going.begun) == 1


async def test_what_was_joined_is_named_as_such_when_asked_again(cloud: Cloud):
    seen: list[Begun] = []

    async def begin(_session: AsyncSession, _ref: str) -> Begun:
        return Begun("earlier", again=True)

    async def finish(begun: Begun, _now: bool) -> dict[str, Any]:
        seen.append(begun)
        return {}

    for _ in range(2):
        await once_begun(cloud, "staff:a", request("k1"), b"{}", begin, finish)
    assert seen == [Begun("earlier", again=True)] * 2


async def test_a_key_that_is_taken_over_begins_once(cloud: Cloud, wire):
    """A row of a process that died before it could name what it began, taken over by another."""
    going = Going()
    going.done.set()
    await going.tap(cloud)
    async with cloud.db.write() as session:
        (row,) = (await session.exec(select(IdempotencyKey))).all()
        row.response = None
    wire.pass_time(TAKE_OVER_S * 2)
    taken = await going.tap(cloud)
    wire.pass_time(TAKE_OVER_S * 2)
    again = await going.tap(cloud)
    assert body(taken) == body(again) == {"ref": going.begun[1]}
    assert len(going.begun) == 2


async def test_a_refusal_in_the_beginning_keeps_no_key(cloud: Cloud):
    going = Going()
    going.done.set()

    async def refuse(_session: AsyncSession, _ref: str) -> Begun:
        raise Conflict("store.offline", "offline")

    with pytest.raises(Conflict):
        await once_begun(cloud, "staff:a", request("k1"), b"{}", refuse, going.finish)
    assert body(await going.tap(cloud)) == {"ref": going.begun[0]}
    with pytest.raises(KaimenError) as caught:
        await going.tap(cloud, raw=b'{"x":1}')
    assert caught.value.code == "idempotency.other_body"
