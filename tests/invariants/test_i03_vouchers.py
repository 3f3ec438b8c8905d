"""I3: one voucher, one redemption, whoever races whom. With a control that shows the race is real."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest
from sqlmodel import col, func, select

from cloud_api.groupbuy import back, redeem
from cloud_api.groupbuy.jobs import expire
from cloud_api.kit.errors import KaimenError
from cloud_api.kit.models import DueJob
from cloud_api.orders.models import Order
from cloud_api.vouchers import transitions
from cloud_api.vouchers.models import Redemption, Voucher
from tests.cloud_api.factories import customer
from tests.cloud_api.groupbuy.conftest import Club, club

__all__ = ["club"]  # fixtures


async def _try(club: Club, voucher: Voucher, who: Any, room: int, said: Counter[str]) -> None:
    try:
        async with club.cloud.db.write() as session:
            await redeem.redeem(
                session,
                who,
                voucher_id=voucher.id,
                room_id=club.house.shop.rooms[room].id,
                clocks=club.cloud.clocks,
            )
        said["redeemed"] += 1
    except KaimenError as error:
        said[error.code] += 1


@pytest.mark.parametrize("guarded", [True, False], ids=["", "without_the_guard"])
async def test_desks_phones_and_doors_at_once(
    club: Club, guarded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten who try at the same time, in three rooms: one order.

    The control takes lock and condition away: each sees the voucher as it was when all began, one after
    the other (at once their other locks would meet crosswise), and each room is given away.
    """
    if not guarded:

        async def as_seen(session: Any, actor: Any, voucher_id: str) -> Voucher:
            found = await session.get(Voucher, voucher_id)
            assert found is not None
            return Voucher(**(found.model_dump() | {"state": "issued"}))

        async def blind(session: Any, voucher: Voucher, to: str, **values: Any) -> bool:
            return True

        monkeypatch.setattr(redeem, "lock_voucher", as_seen)
        monkeypatch.setattr(redeem, "move", blind)
    (voucher,) = await club.bought(await club.campaign(), club.people[0])
    guest, said = customer(club.people[0]), Counter[str]()
    if guarded:
        await asyncio.gather(
            *(_try(club, voucher, (guest, club.owner)[n % 2], n % 3, said) for n in range(10))
        )
    else:
        for n in range(3):
            await _try(club, voucher, (guest, club.owner)[n % 2], n, said)
    async with club.cloud.db.read() as session:
        orders = (await session.exec(select(func.count(col(Order.id))))).one()
        redemptions = (await session.exec(select(func.count(col(Redemption.id))))).one()
    if guarded:
        assert said["redeemed"] == orders == redemptions == 1, said
        assert set(said) <= {"redeemed", "voucher.used", "voucher.no_room"}
    else:
        assert said["redeemed"] == orders == 3, said


async def test_redeeming_races_refund_and_expiry(club: Club) -> None:
    """Whoever is first: never both a stay and the money back."""
    campaign = await club.campaign(valid_days=1)
    guest = customer(club.people[0])
    ends: Counter[tuple[str, int]] = Counter()
    for _ in range(4):
        (voucher,) = await club.bought(campaign, club.people[0])
        said = Counter[str]()

        async def give_back(voucher: Voucher = voucher) -> None:
            try:
                async with club.cloud.db.write() as session:
                    await back.give_back(session, guest, voucher.id, club.cloud.clocks)
            except KaimenError:
                pass

        await asyncio.gather(
            _try(club, voucher, guest, 0, said),
            give_back(),
            expire(club.cloud, DueJob(kind="", ref=voucher.id, merchant_id="", clock="", run_at=club.cloud.clocks.now)),
        )  # fmt: skip
        now: Voucher = await club.row(Voucher, voucher.id)
        ends[now.state, said["redeemed"]] += 1
        club.house.passes(4 * 3600)
    assert set(ends) <= {("redeemed", 1), ("refunding", 0)}, ends


def test_a_used_voucher_goes_nowhere_but_back() -> None:
    assert transitions.TABLE["redeemed"] == {"issued"}
    assert transitions.TABLE["refunded"] == set()
