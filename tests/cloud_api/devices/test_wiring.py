"""A store's boards, what their channels work, its doors: only what a profile can, nothing that is in use."""

from __future__ import annotations

import pytest
from sqlmodel import select

from cloud_api.audit.models import AuditEntry
from cloud_api.devices import profiles, wiring
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.database import Database
from cloud_api.kit.errors import Forbidden, KaimenError, NotFound
from cloud_api.kit.models import OutboxRow
from cloud_api.staff.permissions import ALL, STORE_EDIT
from tests.cloud_api.factories import Shop, make_staff, make_store, staff

RELAYS = "waveshare.modbus-rtu-relay-8ch"


async def test_a_board_is_wired_as_its_profile_allows_and_taken_out_when_nothing_uses_it(
    db: Database, shop: Shop, clocks: Clocks
) -> None:
    async with db.write() as session:
        owner = staff(await make_staff(session, shop, clocks.now), ALL)
        far = await make_store(session, clocks.now, name="别家")
        stranger = staff(await make_staff(session, far, clocks.now), ALL)
        weak = staff(await make_staff(session, shop, clocks.now), ALL - {STORE_EDIT})
        board = await wiring.add_board(
            session, owner, shop.store.id, name="新板", profile=RELAYS, port="rs485-2", unit=1,
            clocks=clocks,
        )  # fmt: skip
        room = shop.rooms[1].id

        async def refused(code: str, **changes: object) -> None:
            told = {
                "name": "灯", "capability": "switch.set", "channel": 3, "role": "light",
                "rooms": [room], "clocks": clocks,
            } | changes  # fmt: skip
            with pytest.raises(KaimenError) as wrong:
                await wiring.wire(session, owner, board.id, **told)  # type: ignore[arg-type]
            assert wrong.value.code == code

        await refused("binding.cannot", channel=9)  # eight relays
        await refused("binding.cannot", capability="climate.set", role="ac")
        await refused("binding.role", role="lock")
        await refused("binding.rooms", rooms=[])
        await refused("binding.rooms", rooms=[far.rooms[0].id])
        light = await wiring.wire(
            session, owner, board.id, name="灯", capability="switch.set", channel=3, role="light",
            rooms=[room], clocks=clocks,
        )  # fmt: skip
        await refused("binding.channel_taken")
        lock = await wiring.wire(
            session, owner, board.id, name="新锁", capability="lock.pulse", channel=4, role="lock",
            rooms=[room], clocks=clocks,
        )  # fmt: skip
        door = await wiring.add_door(
            session, owner, shop.store.id, name="后门", kind="entrance", rooms=(),
            lock_binding_id=lock.id, clocks=clocks,
        )  # fmt: skip
        assert (set(door.rooms), len(door.token) > 20) == ({one.id for one in shop.rooms}, True)
        for code, act in (
            ("board.there", wiring.add_board(
                session, owner, shop.store.id, name="另一块", profile=RELAYS, port="rs485-2",
                unit=1, clocks=clocks)),
            ("board.profile", wiring.add_board(
                session, owner, shop.store.id, name="另一块", profile="no.such", port="x", unit=2,
                clocks=clocks)),
            ("door.bad_binding", wiring.add_door(
                session, owner, shop.store.id, name="门", kind="room", rooms=[room],
                lock_binding_id=light.id, clocks=clocks)),
            ("binding.used", wiring.unwire(session, owner, lock.id, clocks)),
            ("board.used", wiring.drop_board(session, owner, board.id, clocks)),
        ):  # fmt: skip
            with pytest.raises(KaimenError) as wrong:
                await act
            assert wrong.value.code == code
        with pytest.raises(NotFound):
            await wiring.unwire(session, stranger, light.id, clocks)
        with pytest.raises(Forbidden):
            await wiring.unwire(session, weak, light.id, clocks)
        await wiring.unwire(session, owner, light.id, clocks)
    async with db.read() as session:
        log = (await session.exec(select(AuditEntry.action))).all()
        assert {"board.add", "binding.add", "door.add", "binding.drop"} <= set(log)
        assert (
            await session.exec(select(OutboxRow).limit(1))
        ).first() is not None  # the store hears


def test_every_profile_of_the_catalog_can_be_picked_and_says_what_it_can() -> None:
    listed = profiles.choices()
    assert len(listed) > 30
    assert (RELAYS, profiles.name_of(RELAYS)) in listed
    assert profiles.uses(RELAYS)["switch.set"] == list(range(1, 9))
    for profile, _name in listed:  # whatever the catalog offers has a use at the console
        assert set(profiles.uses(profile)) <= set(wiring.ROLES), profile
