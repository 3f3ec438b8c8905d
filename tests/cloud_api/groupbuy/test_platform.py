"""A platform's voucher for a room: claim → verify → confirm, and back where a step fails."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlmodel import col, select

from cloud_api.groupbuy import platform, platform_hand, platform_views
from cloud_api.kit.due_jobs import run_due
from cloud_api.kit.errors import Conflict, KaimenError
from cloud_api.merchants.models import Merchant
from cloud_api.orders import cancel, views
from cloud_api.orders.models import Order
from cloud_api.platform_vouchers import accounts, books, matching, service
from cloud_api.platform_vouchers.models import PlatformDifference, PlatformUse
from tests.cloud_api.groupbuy.street import Street, mall_clock, malls, street
from tests.support.statements import statements

__all__ = ["mall_clock", "malls", "street"]  # fixtures
KINDS = ("douyin", "meituan", "dianping", "relay")


@pytest.mark.parametrize("kind", KINDS)
async def test_once_also_where_answers_are_lost(street: Street, kind: str) -> None:
    """Used once, refused the second time. An answer that was lost is looked up: the room stays held, one
    verification stands. A 502 that did nothing: the platform says unused, so it is sent once more.
    """
    account, mall = await street.account(kind), street.mall(kind)
    call = "verify" if kind == "douyin" else "consume"
    code = street.sell(kind)
    use = await street.redeem(account, code, nonce="n1")
    assert (use.state, use.label) == ("confirmed", "抖音" if kind == "douyin" else "美团")
    order = await street.order(use)
    assert (order.status, order.source, order.total_fen) == ("ready", "platform", 0)
    assert order.ends_at - order.starts_at == timedelta(hours=3)
    assert await street.owed() == use.worth_fen > 0
    again = await street.redeem(account, code, nonce="n1")  # the same tap
    assert (again.order_id, mall.times(code)) == (use.order_id, 1)
    with pytest.raises(KaimenError) as second:
        await street.redeem(account, code, room=1, no=1)
    assert second.value.code in ("platform.not_usable", "platform.used")
    assert await street.claims() == ["confirmed"]

    mall.faults(lose={call: 1})
    code = street.sell(kind)
    use = await street.redeem(account, code, room=1)
    assert (use.state, (await street.claims())[-1]) == ("unknown", "held")
    with pytest.raises(Conflict) as meanwhile:
        await street.redeem(account, code, room=2, no=1)
    assert meanwhile.value.code in ("platform.busy", "platform.not_usable")
    use = await street.until(use, "confirmed")
    assert ((await street.order(use)).status, mall.times(code)) == ("ready", 1)
    assert use.receipt

    mall.faults(fail={call: 1})
    code = street.sell(kind)
    use = await street.until(await street.redeem(account, code, room=2), "confirmed")
    assert (use.tries, mall.times(code)) == (2, 1)


async def test_a_silent_platform_keeps_the_room_until_somebody_knows(street: Street) -> None:
    """While nobody knows the room is kept. Late, an unused voucher is let go and not sent again."""
    account, mall = await street.account("meituan"), street.mall("meituan")
    code = street.sell("meituan")
    mall.faults(fail={"consume": 1, "getconsumed": -1})
    use = await street.redeem(account, code)
    for _ in range(4):
        street.passes(60)
        await run_due(street.cloud)
    assert ((await street.use(use)).state, await street.claims()) == ("unknown", ["held"])
    mall.faults()
    use = await street.until(use, "refused")
    assert (use.tries, mall.times(code), await street.claims()) == (1, 0, ["released"])


async def test_somebody_faster_at_the_platform(street: Street) -> None:
    """Staff verified it in the platform's own app meanwhile: not ours, and the room is free again."""
    for kind in ("douyin", "meituan", "relay"):
        account = await street.account(kind)
        code = street.sell(kind)
        street.mall(kind).faults(used_meanwhile=1)
        if kind == "relay":  # it tells nobody who: only that it is used
            street.mall(kind).faults()
            street.mall(kind).desk.shelf.verify(
                street.mall(kind).desk.shelf.vouchers[code], "", "app"
            )
        with pytest.raises(Conflict) as refused:
            await street.redeem(account, code)
        assert refused.value.code in ("platform.refused", "platform.not_usable")
        assert set(await street.claims()) <= {"released"}
    assert await street.owed() == 0


async def test_no_order_no_verification(street: Street) -> None:
    """What cannot be confirmed after the platform verified it is taken back there."""
    account = await street.account("douyin")
    code = street.sell("douyin")
    before = service.verify

    async def suspended(cloud: object, use_id: str) -> object:
        done = await before(street.cloud, use_id)
        async with street.cloud.db.write() as session:
            merchant = await session.get_one(Merchant, street.shop.merchant.id)
            merchant.suspended_at = street.cloud.clocks.now
            session.add(merchant)
        return done

    service.verify = suspended  # type: ignore[assignment]
    try:
        with pytest.raises(Conflict) as failed:
            await street.redeem(account, code)
    finally:
        service.verify = before
    assert failed.value.code == "platform.confirm_failed"
    (use,) = await street.uses()
    use = await street.until(use, "cancelled")
    assert (street.mall("douyin").state(code), await street.claims()) == ("whole", ["released"])
    assert await street.owed() == 0


@pytest.mark.parametrize(("kind", "late_s"), [("douyin", 3600), ("meituan", 600)])
async def test_a_cancelled_order_is_taken_back_while_the_platform_lets_us(
    street: Street, kind: str, late_s: int
) -> None:
    """A guest is told before cancelling what becomes of the voucher: whole again, the house's to settle once
    the platform takes back no more by itself, used once cancelling costs a share (it was whole then, too:
    half of a platform's voucher cannot be given back, so a late cancellation cost nothing).
    """
    account = await street.account(kind)
    later = street.cloud.clocks.now + timedelta(hours=6)

    async def fate(use: PlatformUse) -> str | None:
        async with street.cloud.db.read() as session:
            order = await session.get_one(Order, use.order_id)
            return (await views.one(session, order, street.cloud.clocks)).cancel.voucher

    soon = await street.redeem(
        account,
        street.sell(kind),
        room=1,
        starts_at=street.cloud.clocks.now + timedelta(hours=1, minutes=59),
    )
    assert await fate(soon) == "used"
    async with street.cloud.db.write() as session:
        await cancel.cancel(session, street.guest(), soon.order_id or "", street.cloud.clocks)
    await run_due(street.cloud)
    assert ((await street.use(soon)).state, await street.owed()) == ("confirmed", soon.worth_fen)
    for late in (False, True):
        code = street.sell(kind)
        use = await street.redeem(account, code, starts_at=later)
        street.mall(kind).faults(lose={("cancel" if kind == "douyin" else "reverseconsume"): 1})
        if late:
            street.passes(late_s + 60)
        assert await fate(use) == ("late" if late else "whole")
        async with street.cloud.db.write() as session:
            await cancel.cancel(session, street.guest(), use.order_id or "", street.cloud.clocks)
        assert (await street.use(use)).state == "cancelling"
        use = await street.until(use, "cancelled", "stuck")
        street.mall(kind).faults()
        if not late:
            assert (use.state, street.mall(kind).state(code)) == ("cancelled", "whole")
            again = await street.redeem(account, code, starts_at=later)  # whole: used anew
            async with street.cloud.db.write() as session:
                await cancel.cancel(
                    session, street.guest(), again.order_id or "", street.cloud.clocks
                )
            await street.until(again, "cancelled")
            assert await street.owed() == soon.worth_fen
            continue
        assert (use.state, street.mall(kind).state(code)) == ("stuck", "used")
        assert await street.owed() == use.worth_fen + soon.worth_fen
        async with street.cloud.db.write() as session:
            await platform_hand.settle_by_hand(
                session, street.owner, use.id, "在商家版里撤销了", street.cloud.clocks
            )
        assert await street.owed() == soon.worth_fen


async def test_refusals_say_what_to_do(street: Street) -> None:
    douyin = await street.account("douyin")
    meituan = await street.account("meituan")
    shelf = street.mall("douyin")
    other = street.mall("douyin").sell("1234500002")
    expired = street.sell("douyin", days=-1)
    refunded = street.sell("douyin")
    shelf.desk.shelf.refund(refunded)
    shelf.faults(fail={"prepare": 0})
    asked = [
        (douyin, "12345", "platform.bad_code"),
        (douyin, "999999999999", "platform.not_usable"),
        (meituan, "123", "platform.bad_code"),
        (douyin, other, "platform.unknown_deal"),
        (douyin, expired, "platform.not_usable"),
        (douyin, refunded, "platform.not_usable"),
        (douyin, "https://evil.example/s/x/", "platform.bad_code"),
    ]
    for account, code, want in asked:
        with pytest.raises(KaimenError) as refused:
            await street.redeem(account, code)
        assert refused.value.code == want, code
    shelf.faults(fail={"prepare": 1})
    with pytest.raises(KaimenError) as silent:
        await street.redeem(douyin, street.sell("douyin"))
    assert (silent.value.code, silent.value.status) == ("platform.silent", 503)
    assert await street.claims() == []
    await street.redeem(douyin, street.sell("douyin"))
    with pytest.raises(Conflict) as taken:
        await street.redeem(douyin, street.sell("douyin"), no=1)
    assert taken.value.code == "voucher.no_room"
    assert "券没有动" in taken.value.message
    assert taken.value.extra["next_free"] is not None  # and when there is one, which was lost


async def test_the_books_of_many_uses_are_looked_at_together(street: Street) -> None:
    """The nightly look costs by the five hundred, not by the use; what is off is found all the same."""
    account, cost = await street.account("meituan"), []
    uses: list[PlatformUse] = []
    for rooms in ((0,), (1, 2)):
        uses = [
            await street.redeem(account, street.sell("meituan"), room=room, no=room % 2)
            for room in rooms
        ]
        async with street.cloud.db.snapshot() as session:
            with statements(street.cloud.db) as told:
                assert await books.check(session, street.shop.merchant.id) == []
        cost.append(len([one for one in told if not one.startswith("BEGIN")]))
    assert cost[0] == cost[1] <= 3
    async with street.cloud.db.write() as session:
        found = await session.get_one(PlatformUse, uses[0].id)
        found.worth_fen += 1
        session.add(found)
    async with street.cloud.db.snapshot() as session:
        assert len(await books.check(session, street.shop.merchant.id)) == 1


async def test_a_scanned_link_is_the_same_voucher(street: Street) -> None:
    """By link first, by code second: one certificate, one use."""
    account = await street.account("douyin")
    code = street.sell("douyin")
    link = street.mall("douyin").link(code)
    use = await street.redeem(account, link)
    assert (use.state, street.mall("douyin").times(code)) == ("confirmed", 1)
    with pytest.raises(KaimenError):
        await street.redeem(account, code, room=1)


async def test_a_token_that_ended_is_fetched_anew(street: Street) -> None:
    account = await street.account("douyin")
    assert (await street.redeem(account, street.sell("douyin"))).state == "confirmed"
    street.mall("douyin").faults(token_ends=1)
    assert (await street.redeem(account, street.sell("douyin"), room=1)).state == "confirmed"
    assert await accounts.check(street.cloud, street.owner, account.id) == ""
    street.mall("douyin").faults(fail={"token": 1})
    street.passes(7300)
    assert "没有回话" in await accounts.check(street.cloud, street.owner, account.id)


async def test_staff_confirm_by_hand(street: Street) -> None:
    """No access to the platform: the room waits, staff decide with a reason; a code is used once here too."""
    account = await street.account("manual")
    async with street.cloud.db.read() as session:
        (way,) = await platform_views.ways(session, street.shop.store.id)
    deal = way.deals[0].id
    asked = await street.redeem(account, "123456789012", deal_id=deal)
    assert (asked.state, await street.claims()) == ("asked", ["held"])
    with pytest.raises(Conflict) as twice:
        await street.redeem(account, "1234 5678 9012", room=1, no=1, deal_id=deal)
    assert twice.value.code == "platform.busy"
    async with street.cloud.db.write() as session:
        with pytest.raises(KaimenError) as why:
            await platform_hand.confirm_by_hand(
                session, street.owner, asked.id, " ", street.cloud.clocks
            )
        assert why.value.code == "platform.why"
        done = await platform_hand.confirm_by_hand(
            session, street.owner, asked.id, "商家版核销成功", street.cloud.clocks
        )
    assert (done.state, (await street.order(done)).status) == ("confirmed", "ready")
    assert await street.owed() == 5000
    with pytest.raises(Conflict) as used:
        await street.redeem(account, "123456789012", room=1, no=1, deal_id=deal)
    assert used.value.code == "platform.used"
    assert used.value.extra["room"] == street.shop.rooms[0].name

    late = await street.redeem(account, "222233334444", room=1, no=1, deal_id=deal)
    street.passes(platform.ASK_FOR.total_seconds() + 1)
    assert (await street.until(late, "lapsed")).state == "lapsed"
    assert (await street.claims())[-1] == "released"


@pytest.mark.parametrize("kind", ["douyin", "meituan"])
async def test_the_days_records_are_compared(street: Street, kind: str) -> None:
    """What was verified in the app, what is missing there, another amount: each once, for a person."""
    account = await street.account(kind)
    mall = street.mall(kind)
    use = await street.redeem(account, street.sell(kind))
    day = street.cloud.clocks.now.date()
    assert [d for d in await matching.match(street.cloud, account.id, day) if d.use] == []
    place = str(account.places[street.shop.store.id]) or mall.desk.shop  # type: ignore[attr-defined]
    foreign = mall.desk.shelf.verify(mall.desk.shelf.vouchers[street.sell(kind)], place, "app")
    mall.faults(record_off_fen=100)
    found = await matching.match(street.cloud, account.id, day)
    receipt = foreign.id if kind == "douyin" else foreign.code
    mine = {(d.category, d.receipt) for d in found}
    assert {("missing_here", receipt), ("amount", use.receipt)} <= mine
    mall.faults(record_missing=True)
    found = await matching.match(street.cloud, account.id, day)
    assert {d.category for d in found} == {"missing_there"}
    await matching.match(street.cloud, account.id, day)
    async with street.cloud.db.write() as session:
        rows = (
            await session.exec(select(PlatformDifference).order_by(col(PlatformDifference.id)))
        ).all()
        kinds_ = [row.category for row in rows if row.use_id or row.receipt == receipt]
        assert sorted(kinds_) == ["amount", "missing_here", "missing_there"]
        solved = await matching.solve(
            session, street.owner, rows[0].id, "跟平台对过了", street.cloud.clocks
        )
        assert solved.solved_by == street.owner.ref
