"""Reviews and tickets: whose they are, who answers, what others see of them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from cloud_api.kit.clocks import Clocks
from cloud_api.kit.database import Database
from cloud_api.kit.errors import Conflict, Forbidden, KaimenError, NotFound
from cloud_api.staff.permissions import ALL
from cloud_api.support import reviews, tickets
from tests.cloud_api.factories import Shop, customer, make_customer, make_order, make_staff, staff


async def test_a_stay_is_reviewed_once_answered_and_hidden_for_a_reason(
    db: Database, shop: Shop, clocks: Clocks
) -> None:
    async with db.write() as session:
        guest = await make_customer(session, clocks.now)
        other = await make_customer(session, clocks.now)
        starts = clocks.now - timedelta(hours=3)
        done = await make_order(session, shop, guest, starts, now=clocks.now, status="completed")
        owner = staff(await make_staff(session, shop, clocks.now), ALL)
        cleaner = staff(await make_staff(session, shop, clocks.now), frozenset({"order.read"}))
        with pytest.raises(NotFound):
            await reviews.write(session, customer(other), done.id, 5, "不是我的", clocks)
        one = await reviews.write(session, customer(guest), done.id, 4, " 空调有点吵 ", clocks)
        with pytest.raises(Conflict) as refused:
            await reviews.write(session, customer(guest), done.id, 5, "", clocks)
        assert refused.value.code == "review.done"
        assert (await reviews.rating(session, shop.store.id)) == (4.0, 1)
        with pytest.raises(Forbidden):
            await reviews.reply(session, cleaner, one.id, "谢谢", clocks)
        await reviews.reply(session, owner, one.id, "明天就修", clocks)
        (told,), following = await reviews.shown(session, shop.store.id)
        assert (told.text, told.reply, following) == ("空调有点吵", "明天就修", None)
        await reviews.hide(session, owner, one.id, "广告", clocks)
        assert (await reviews.shown(session, shop.store.id))[0] == []
        assert (await reviews.rating(session, shop.store.id)) == (0.0, 0)
        assert len(await reviews.for_staff(session, cleaner)) == 1
        await reviews.hide(session, owner, one.id, "", clocks)
        assert len((await reviews.shown(session, shop.store.id))[0]) == 1


async def test_a_ticket_goes_back_and_forth_until_it_is_closed(
    db: Database, shop: Shop, clocks: Clocks
) -> None:
    async with db.write() as session:
        guest = await make_customer(session, clocks.now)
        other = await make_customer(session, clocks.now)
        order = await make_order(session, shop, guest, clocks.now, now=clocks.now, status="ready")
        owner = staff(await make_staff(session, shop, clocks.now), ALL)
        junior = staff(await make_staff(session, shop, clocks.now), frozenset({"order.read"}))
        who = customer(guest)
        one = await tickets.ask(
            session, who, store_id="", order_id=order.id, kind="complaint",
            text="麻将机卡牌", clocks=clocks,
        )  # fmt: skip
        assert (one.store_id, one.state, one.subject) == (order.store_id, "open", "麻将机卡牌")
        with pytest.raises(KaimenError) as refused:
            await tickets.say(session, who, one.id, "  ", clocks)
        assert refused.value.code == "ticket.empty"
        with pytest.raises(NotFound):
            await tickets.read(session, customer(other), one.id)
        with pytest.raises(Forbidden):
            await tickets.listed(session, junior)
        await tickets.say(session, owner, one.id, "这位客人常来", clocks, inside=True)
        assert (await tickets.read(session, owner, one.id))[0].state == "open"
        await tickets.say(session, owner, one.id, "师傅马上到", clocks)
        seen, said = await tickets.read(session, who, one.id)
        assert (seen.state, [m.text for m in said]) == ("answered", ["麻将机卡牌", "师傅马上到"])
        assert len((await tickets.read(session, owner, one.id))[1]) == 3
        await tickets.close(session, owner, one.id, clocks)
        await tickets.close(session, who, one.id, clocks)
        await tickets.say(session, who, one.id, "又卡了", clocks)
        assert (await tickets.read(session, who, one.id))[0].state == "open"
        assert [t.id for t in await tickets.listed(session, owner, "open")] == [one.id]
        with pytest.raises(NotFound):
            await tickets.ask(
                session, customer(other), store_id="", order_id=order.id, kind="inquiry",
                text="看看", clocks=clocks,
            )  # fmt: skip
