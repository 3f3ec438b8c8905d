"""Staff at the door with a card or a code, and how often a guest's right may be used."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from controller.readers import Shown
from store_link.messages import Desired
from store_link.staff_keys import plain_card, staff_hmac
from tests.controller.cloud import until
from tests.controller.doors import DoorWorld, new_grant
from tests.controller.world import LOCK_1, MINUTE, stay
from tests.support.nats import NatsBroker

CARD, CODE = "0100ACC94F", "73914402"
SECOND_CARD, OTHER_CARD, UNKNOWN_CARD = "0100ABCDEF", "01001234AB", "0100FFFF01"
READER = "seeed.rdm6300"


class StaffWorld(DoorWorld):
    """A door with a keypad and a card reader; ``keys`` are staff's."""

    role = "keypad"
    more = {"cards-1": ("cards", READER)}  # noqa: RUF012
    keys: tuple[dict[str, Any], ...] = ()
    entry: dict[str, int] = {}  # noqa: RUF012

    def key(self, staff: str, kind: Any, text: str, **more: Any) -> dict[str, Any]:
        verifier = staff_hmac(self.cloud.mac.secret, kind, staff, text)
        return {"staff": staff, "kind": kind, "hmac": verifier, **more}

    def document(self, *stays: dict[str, Any], **changes: Any) -> Desired:
        plain = super().document(*stays, **changes).model_dump()
        plain["boards"] += ({"id": "cards", "profile": READER, "port": "cards-1"},)
        cards = {"id": "cards1", "board": "cards", "capability": "input.card"}
        plain["bindings"] += ({**cards, "role": "reader", "rooms": ["r1"]},)
        plain["doors"][0]["cards"] = "cards1"
        plain["staff"], plain["entry"] = self.keys, self.entry
        return Desired.model_validate(plain)

    def card(self, number: str) -> None:
        """Hold a card before the reader: its bytes come over the line."""
        self.rig.scan("cards", number)

    async def told(self, number: int) -> tuple[Any, ...]:
        body = await self.access(number)
        return body["by"], body["how"], body["staff"], body["outcome"], body["reason"]


@pytest.fixture
async def shop(tmp_path: Path, nats_broker: NatsBroker) -> AsyncIterator[StaffWorld]:
    made = StaffWorld(tmp_path, nats_broker.host, nats_broker.mqtt_port)
    await made.open()
    await made.run()
    try:
        yield made
    finally:
        await made.close()


async def test_cards_and_codes_open_for_whom_they_are_and_nothing_once_taken_away(
    shop: StaffWorld,
) -> None:
    now = shop.now()
    shop.keys = (
        shop.key("ann", "card", CARD),
        shop.key("ann", "code", CODE, until=now + 60 * MINUTE),
        shop.key("ann", "card", SECOND_CARD),
        shop.key("bob", "card", OTHER_CARD, doors=["d2"]),
    )
    await shop.want()
    await shop.boards_up()
    shop.card(CARD)
    assert await shop.told(1) == ("staff", "card", "ann", "done", None)
    await asyncio.sleep(0.8)
    shop.show(CODE)
    assert await shop.told(2) == ("staff", "code", "ann", "done", None)
    await asyncio.sleep(0.8)
    shop.card(OTHER_CARD)
    assert await shop.told(3) == ("staff", "card", "bob", "refused", "other_room")
    shop.card(UNKNOWN_CARD)
    assert await shop.told(4) == ("staff", "card", None, "refused", "no_grant")
    assert shop.pulses(LOCK_1) == 2
    # Taken away while the store hears it, obeyed when it no longer hears anything.
    shop.keys = shop.keys[1:2]
    await shop.want()
    await shop.cloud.stop()
    assert shop.controller is not None
    shop.card(SECOND_CARD)
    shop.pass_time(61)
    await until(lambda: len(reasons(shop)) == 5)
    door, reader = shop.controller.state.doors["d1"], shop.controller.state.bindings["reader1"]
    await shop.controller.readers.read(door, reader, Shown(CODE))
    await until(lambda: len(reasons(shop)) == 6)
    assert reasons(shop)[4:] == ["no_grant", "over"]
    assert shop.pulses(LOCK_1) == 2
    assert plain_card(CARD) not in str(shop.cloud.events)


def reasons(shop: StaffWorld) -> list[str]:
    """Reasons of the accesses in the store's own journal."""
    query = "SELECT json_extract(body, '$.reason') FROM outbox WHERE kind = 'access' ORDER BY seq"
    return [row[0] for row in shop.rows(query)]


async def test_trying_out_codes_is_slowed_down_and_told_and_a_card_still_opens(
    shop: StaffWorld,
) -> None:
    shop.keys = (shop.key("ann", "card", CARD), shop.key("ann", "code", CODE))
    await shop.want()
    await shop.boards_up()
    assert shop.controller is not None
    door, reader = shop.controller.state.doors["d1"], shop.controller.state.bindings["reader1"]
    for number in range(5):
        await shop.controller.readers.read(door, reader, Shown(f"0000000{number}"))
    assert (await shop.told(6))[3:] == ("refused", "too_many")
    await shop.controller.readers.read(door, reader, Shown(CODE))  # right, but not now
    assert shop.pulses(LOCK_1) == 0
    shop.card(CARD)
    assert await shop.told(7) == ("staff", "card", "ann", "done", None)
    assert shop.pulses(LOCK_1) == 1


async def test_a_right_is_used_as_often_as_the_store_allows_by_whatever_way(
    shop: StaffWorld,
) -> None:
    """One rule for the phone and for the reader: a picture handed on opens nothing."""
    grant, now = new_grant(), shop.now()
    shop.entry = {"again_after_s": 60, "most": 3}
    pins = [shop.pin(grant, "424242")]
    paid = stay("s1", "r1", now - MINUTE, now + 60 * MINUTE, grant=grant)
    await shop.want(paid, pins=pins)
    await shop.boards_up()
    assert (await shop.cloud.unlock("d1", grant)).state == "done"
    shop.show(shop.make_pass(grant))
    assert (await shop.told(2))[3:] == ("refused", "used_lately")
    refused = await shop.cloud.unlock("d1", grant)
    assert (refused.state, refused.reason) == ("refused", "used_lately")
    for number in (4, 5):
        shop.pass_time(1.1)
        await asyncio.sleep(0.8)
        assert (await shop.cloud.unlock("d1", grant)).state == "done"
        await shop.access(number)  # the use is written after the answer
    shop.pass_time(1.1)
    await asyncio.sleep(0.8)
    refused = await shop.cloud.unlock("d1", grant)
    assert (refused.state, refused.reason) == ("refused", "used_up")
    assert shop.controller is not None
    door, reader = shop.controller.state.doors["d1"], shop.controller.state.bindings["reader1"]
    await shop.controller.readers.read(door, reader, Shown("424242"))
    assert (await shop.told(7))[3:] == ("refused", "used_up")
    assert shop.pulses(LOCK_1) == 3


def test_a_number_is_one_number_however_a_reader_writes_it() -> None:
    assert plain_card("04:a2-2B 91") == "04A22B91"
    for wrong in ("", "123", "04A2;2B91", "卡片1234", "1" * 33):
        with pytest.raises(ValueError, match="4 to 32"):
            plain_card(wrong)
