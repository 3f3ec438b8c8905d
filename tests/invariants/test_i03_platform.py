"""I3 for platforms' codes: two phones race, one verification and one stay. With a control without the guard."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from sqlmodel import col, func, select

from cloud_api.kit.errors import KaimenError
from cloud_api.kit.ids import new_id
from cloud_api.orders.models import Order
from cloud_api.platform_vouchers import service
from tests.cloud_api.groupbuy.street import Street, mall_clock, malls, street

__all__ = ["mall_clock", "malls", "street"]  # fixtures


@pytest.mark.parametrize("guarded", [True, False], ids=["", "without_the_guard"])
async def test_two_phones_and_a_platform_whose_answers_are_lost(
    street: Street, guarded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every answer of the verification is lost: whoever was sent finds the voucher verified just now.

    Without the database's guard on the code each phone takes that for its own, and has a room.
    """
    if not guarded:
        monkeypatch.setattr(service, "key_index", lambda *_: new_id())
    account = await street.account("douyin")
    code, said = street.sell("douyin"), Counter[str]()
    street.mall("douyin").faults(lose={"verify": -1})
    found: list[str] = []

    async def tap(no: int) -> None:
        try:
            use = await street.redeem(account, code, room=no, no=no)
            found.append(use.id)
            said[use.state] += 1
        except KaimenError as error:
            said[error.code] += 1

    if guarded:
        await asyncio.gather(*(tap(no) for no in range(3)))
    else:  # both looked at the code before either was sent
        first = await service.prepare(street.cloud, account, street.shop.store.id, code)
        assert first is not None

        async def as_seen(*_: object) -> object:
            return first

        monkeypatch.setattr(service, "prepare", as_seen)
        for no in range(3):
            await tap(no)
    for use_id in found:
        await street.until(await street.use(use_id), "confirmed", "refused")
    async with street.cloud.db.read() as session:
        orders = (await session.exec(select(func.count(col(Order.id))))).one()
    if guarded:
        assert (said["unknown"], orders, street.mall("douyin").times(code)) == (1, 1, 1), said
        assert set(said) <= {"unknown", "platform.busy", "platform.not_usable"}
    else:
        assert orders > 1, said
