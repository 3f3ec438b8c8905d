"""Who tapped a moment ago taps again without being read again, and not a moment longer than they may."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import true, update
from sqlmodel import select

from cloud_api.access import at_once
from cloud_api.audit import service as audit
from cloud_api.auth.models import Account, Login
from cloud_api.devices.models import DeviceCommand
from cloud_api.kit.actor import Staff, scoped
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.ids import new_id
from cloud_api.merchants.models import Merchant
from cloud_api.staff import remembered
from cloud_api.staff.models import Role, StaffMember
from cloud_api.stores.models import Door
from tests.cloud_api.access.test_at_once import Sends
from tests.cloud_api.answers import answering
from tests.cloud_api.factories import Shop, bearer, make_login, make_staff, make_store
from tests.support.statements import statements

pytestmark = pytest.mark.parametrize("db_url", ["postgresql"], indirect=True)


class Keeper:
    """A branch's manager who opens doors from afar; ``tap`` answers with status and code."""

    def __init__(self, cloud: Cloud, client: httpx.AsyncClient, shop: Shop) -> None:
        self.cloud, self.client, self.shop = cloud, client, shop
        self.member: StaffMember
        self.token = ""

    async def tap(self, *, door: str = "") -> tuple[int, str]:
        store = answering(self.cloud, "done")
        with statements(self.cloud.db) as self.told:
            answer = await self.client.post(
                f"/api/v1/console/doors/{door or self.shop.door.id}/unlock",
                headers=bearer(self.token) | {"Idempotency-Key": new_id()},
                json={"why": "客人忘带手机"},
            )
        if answer.status_code == 200:
            await store
        store.cancel()
        return answer.status_code, answer.json().get("code", answer.json().get("state"))

    @property
    def read_again(self) -> bool:
        """Whether the last tap asked who taps in a statement of its own."""
        return any("login.token_hash =" in one for one in self.told)

    async def commands(self) -> int:
        async with self.cloud.db.read() as session:
            return len((await session.exec(select(DeviceCommand.id))).all())


@pytest.fixture
async def keeper(cloud: Cloud, client: httpx.AsyncClient, shop: Shop) -> AsyncIterator[Keeper]:
    """Remembered: has tapped, and tapped again without being read."""
    cloud.db.express = Sends()
    made = Keeper(cloud, client, shop)
    async with cloud.db.write() as session:
        made.member = await make_staff(session, shop, cloud.clocks.now, role="manager")
        made.token = await make_login(session, made.member.account_id, cloud.clocks.real)
        await audit.lock_head(session, shop.merchant.id)
    assert await made.tap() == (200, "done")
    assert made.read_again
    assert await made.tap() == (200, "done")
    assert not made.read_again
    yield made
    cloud.db.express = None


async def _login_ended(keeper: Keeper) -> Any:
    return update(Login).values(revoked_at=keeper.cloud.clocks.real)


async def _member_left(keeper: Keeper) -> Any:
    return update(StaffMember).values(active=False)


async def _other_role(keeper: Keeper) -> Any:
    return update(StaffMember).values(role="cleaner")


async def _other_stores(keeper: Keeper) -> Any:
    async with keeper.cloud.db.write() as session:
        second = await make_store(
            session, keeper.cloud.clocks.now, merchant=keeper.shop.merchant, name="二店"
        )
    return update(StaffMember).values(store_ids=[second.store.id])


async def _role_may_less(keeper: Keeper) -> Any:
    """A role that was the preset one is the merchant's own from now on: there was no row to have a version."""
    now = keeper.cloud.clocks.now
    async with keeper.cloud.db.write() as session:
        session.add(
            Role(
                merchant_id=keeper.shop.merchant.id, key="manager", name="店长", permissions=[],
                created_at=now, updated_at=now,
            )
        )  # fmt: skip
    return None


async def _suspended(keeper: Keeper) -> Any:
    return update(Merchant).values(suspended_at=keeper.cloud.clocks.now, suspended_why="欠费")


async def _factor_wanted(keeper: Keeper) -> Any:
    return update(Merchant).values(second_factor="all")


async def _factor_set_up(keeper: Keeper) -> Any:
    return update(Account).values(second_factor_at=keeper.cloud.clocks.real)


ENDS: dict[Callable[[Keeper], Awaitable[Any]], tuple[int, str]] = {
    _login_ended: (401, "auth.token_invalid"),
    _member_left: (403, "staff.none"),
    _other_role: (403, "forbidden"),
    _other_stores: (404, "door.not_found"),
    _role_may_less: (403, "forbidden"),
    _suspended: (403, "merchant.suspended"),
    _factor_wanted: (403, "second_factor.enrol_needed"),
    _factor_set_up: (403, "second_factor.needed"),
}


async def change(keeper: Keeper, what: Callable[[Keeper], Awaitable[Any]]) -> None:
    """Through another process: nothing here hears of it."""
    statement = await what(keeper)
    if statement is not None:
        async with keeper.cloud.db.write() as session:
            await session.execute(statement)


@pytest.mark.parametrize("what", ENDS, ids=lambda what: what.__name__.strip("_"))
async def test_what_ends_a_right_ends_it_at_the_next_tap(
    keeper: Keeper, what: Callable[[Keeper], Awaitable[Any]]
) -> None:
    before = await keeper.commands()
    await change(keeper, what)
    assert await keeper.tap() == ENDS[what]
    assert await keeper.commands() == before


async def test_without_the_proof_a_login_that_was_ended_opens(
    keeper: Keeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: it is the proof that keeps them out."""
    monkeypatch.setattr(at_once, "still", true)
    at_once._tap.cache_clear()  # type: ignore[attr-defined]
    try:
        await change(keeper, _login_ended)
        assert await keeper.tap() == (200, "done")
    finally:
        at_once._tap.cache_clear()  # type: ignore[attr-defined]


async def test_a_login_that_is_over_is_over(keeper: Keeper) -> None:
    async with keeper.cloud.db.write() as session:
        over = keeper.cloud.clocks.real - timedelta(seconds=1)
        await session.execute(update(Login).values(expires_at=over))
    assert await keeper.tap() == (401, "auth.token_invalid")


async def test_what_gives_more_rights_counts_at_once(keeper: Keeper) -> None:
    await change(keeper, _other_role)
    assert (await keeper.tap())[0] == 403
    async with keeper.cloud.db.write() as session:
        await session.execute(update(StaffMember).values(role="owner"))
    assert await keeper.tap() == (200, "done")
    assert await keeper.tap() == (200, "done")
    assert not keeper.read_again


async def test_a_change_that_takes_nothing_costs_one_reading(keeper: Keeper) -> None:
    async with keeper.cloud.db.write() as session:
        await session.execute(update(StaffMember).values(name="小王"))
    assert await keeper.tap() == (200, "done")
    assert keeper.read_again
    assert await keeper.tap() == (200, "done")
    assert not keeper.read_again


async def test_what_more_stands_in_the_way_is_told_as_ever(keeper: Keeper) -> None:
    cloud = keeper.cloud
    cloud.db.express = None  # no broker here: another process sends it
    assert await keeper.tap() == (200, "done")
    cloud.db.express = Sends()
    assert await keeper.tap(door=new_id()) == (404, "door.not_found")
    headers = bearer(keeper.token) | {"Idempotency-Key": "twice"}
    url = f"/api/v1/console/doors/{keeper.shop.door.id}/unlock"
    store = answering(cloud, "done")
    first = await keeper.client.post(url, headers=headers, json={"why": "送水"})
    await store
    again = await keeper.client.post(url, headers=headers, json={"why": "送水"})
    assert again.json()["command_id"] == first.json()["command_id"]
    assert again.headers["Idempotent-Replayed"] == "true"
    async with cloud.db.write() as session:
        await session.execute(update(Login).values(revoked_at=cloud.clocks.real))
    late = await keeper.client.post(url, headers=headers, json={"why": "送水"})
    assert late.status_code == 401, "an answer that is kept is nobody's who is logged out"


async def test_it_is_kept_for_minutes_and_for_so_many(
    keeper: Keeper, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = remembered._memory(keeper.cloud)
    (known,) = memory.known.values()
    memory.known.update({key: replace_until(known, -1.0) for key in memory.known})
    assert await keeper.tap() == (200, "done")
    assert keeper.read_again
    monkeypatch.setattr(remembered, "MOST", 3)
    for number in range(5):
        memory.keep(str(number), known)
    assert list(memory.known) == ["2", "3", "4"]


def replace_until(known: remembered.Remembered, until: float) -> remembered.Remembered:
    return remembered.Remembered(known.login, known.account, known.places, known.proofs, until)


async def test_who_is_remembered_may_do_nothing_else(cloud: Cloud) -> None:
    who = Staff("s", "a", "m", frozenset(), proof={"proof_login": "1"})
    with pytest.raises(RuntimeError, match="one statement"):
        scoped(who, Door)


async def test_a_tap_without_a_key_is_by_who_was_read(keeper: Keeper) -> None:
    """Without a key it goes step by step, and nothing there proves what is remembered."""
    await change(keeper, _login_ended)
    answer = await keeper.client.post(
        f"/api/v1/console/doors/{keeper.shop.door.id}/unlock",
        headers=bearer(keeper.token),
        json={"why": "客人忘带手机"},
    )
    assert answer.status_code == 401
