"""Members: what staff write, figures that follow orders, the list, and two that are one person."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlmodel import SQLModel, col, select

import cloud_api
from cloud_api.access.models import Grant
from cloud_api.audit.models import AuditEntry
from cloud_api.coupons.models import Coupon, CouponGrant
from cloud_api.kit.actor import Staff
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.due_jobs import run_due
from cloud_api.kit.errors import Conflict, Forbidden, KaimenError, NotFound
from cloud_api.kit.merging import Merge
from cloud_api.ledger.models import LedgerEntry
from cloud_api.members import levels, merging, profiles
from cloud_api.members.models import MemberProfile, Membership
from cloud_api.migrations.tables import metadata
from cloud_api.orders import guests, limits
from cloud_api.orders.models import Order
from cloud_api.orders.transitions import move
from cloud_api.payments import service as payments
from cloud_api.payments.models import PaymentAttempt
from cloud_api.staff.permissions import ALL, CUSTOMER_READ
from cloud_api.staff.service import actor_of
from cloud_api.stored_value import office, service
from cloud_api.stored_value.models import Wallet, WalletMove
from cloud_api.stored_value.schemas import AdjustIn
from cloud_api.worker import register_jobs
from tests.cloud_api.factories import Shop, make_customer, make_order, make_staff, make_store, staff

register_jobs()

# Rows with a customer of a merchant that do not move, and why.
STAY = {
    "feed": "lines of a week that browsers follow",
    "notice": "was told to this person",
    "notice_choice": "what this person wants on their phone",
    "wechat_consent": "given by this person's WeChat",
    "staff": "who works here",
    "wallet": "stays, empty",
    "wallet_move": "the old wallet keeps its history",
    "gift_lot": "those with something left move",
    "membership": "the better level counts",
    "member_profile": "says where it went",
    "groupbuy_bought": "summed",
    "coupon_grant": "counted on",
    "order_guest": "a friend with both numbers is one",
    "report_guest": "counted again",
    "report_life": "counted again",
    "report_number": "a guest's bit; the days that are counted again use the one who stays",
}


async def test_figures_follow_orders_and_the_list_finds_everybody(cloud: Cloud, shop: Shop) -> None:
    db, clocks = cloud.db, cloud.clocks
    now = clocks.now
    async with db.write() as session:
        owner = actor_of(await make_staff(session, shop, now))
        far = await make_store(session, now, merchant=shop.merchant, name="分店")
        branch = actor_of(await make_staff(session, shop, now, store_ids=[far.store.id]))
        guest, other = [await make_customer(session, now) for _ in range(2)]
        starts = now - timedelta(hours=3)
        mine = await make_order(session, shop, guest, starts, now=now, status="in_use")
        await make_order(session, shop, guest, now + timedelta(days=1), now=now, status="ready")
        later = now + timedelta(
            days=2
        )  # given up: nobody comes then (it was shown as the last visit)
        await make_order(session, shop, guest, later, now=now, status="cancelled")
        theirs = await make_order(
            session, far, other, now - timedelta(hours=5), now=now, status="in_use"
        )
        for order in (mine, theirs):
            await move(session, order, "completed", by="store", clocks=clocks)
        assert await guests.find(session, owner, guests.Wanted(), now=now, cursor=None) == (
            [],
            None,
        )
    while await run_due(cloud):
        pass
    async with db.write() as session:
        found, more = await guests.find(
            session, owner, guests.Wanted(sort="visits"), now=now, cursor=None
        )
        assert ({one.account_id for one in found}, more) == ({guest.id, other.id}, None)
        one = await guests.one(session, owner, guest.id)
        assert (one.orders, one.visits, one.spent_fen) == (3, 1, mine.paid_fen * 2)
        assert one.last_at == now + timedelta(days=1)
        only, _ = await guests.find(session, branch, guests.Wanted(), now=now, cursor=None)
        assert [row.account_id for row in only] == [other.id]  # who booked in one's stores
        with pytest.raises(NotFound):
            await guests.one(session, branch, guest.id)
        await profiles.edit(
            session, owner, guest.id, name="老王", note="爱坐竹间",
            tags=["常客", " 打牌 ", "常客"], clocks=clocks,
        )  # fmt: skip
        with pytest.raises(KaimenError) as refused:
            await profiles.edit(
                session, owner, guest.id, name="", note="", tags=["长" * 13], clocks=clocks
            )
        assert refused.value.code == "member.tags"
        gold = await levels.save_level(session, owner, None, "金卡", 90, 2, clocks)
        await profiles.set_level(session, owner, guest.id, gold.id, clocks)
        tomorrow = now + timedelta(days=1)
        for until in (now, tomorrow):  # one that is over keeps nobody from the next
            await limits.block_account(session, owner, other.id, "逃单", until, clocks)
        assert set(await guests.blocks_of(session, owner, [other.id], now)) == {other.id}
        late = await guests.find(
            session, owner, guests.Wanted(blocked=True), now=tomorrow, cursor=None
        )
        assert late == ([], None)
        cashier = staff(
            await make_staff(session, shop, now, role="cashier"), frozenset({CUSTOMER_READ})
        )
        with pytest.raises(Forbidden):
            await profiles.edit(
                session, cashier, guest.id, name="", note="", tags=[], clocks=clocks
            )
        assert await profiles.all_tags(session, owner) == ["常客", "打牌"]
        for wanted, who in (
            (guests.Wanted(tag="常客"), {guest.id}),
            (guests.Wanted(tag="常_"), set()),
            (guests.Wanted(level_id=gold.id), {guest.id}),
            (guests.Wanted(blocked=True), {other.id}),
            (guests.Wanted(text=guest.phone_tail), {guest.id}),
            (guests.Wanted(text=theirs.number), {other.id}),
            (guests.Wanted(text=guest.phone), {guest.id}),
            (guests.Wanted(text="13800000000"), set()),
        ):
            got, _ = await guests.find(session, owner, wanted, now=now, cursor=None)
            assert {row.account_id for row in got} == who, wanted


async def test_two_become_one_with_orders_money_coupons_and_doors(cloud: Cloud, shop: Shop) -> None:
    db, clocks = cloud.db, cloud.clocks
    now = clocks.now
    async with db.write() as session:
        owner = actor_of(await make_staff(session, shop, now))
        old, new = [await make_customer(session, now) for _ in range(2)]
        first = await make_order(
            session, shop, old, now + timedelta(hours=1), now=now, status="ready"
        )
        await make_order(session, shop, new, now + timedelta(days=1), now=now, status="ready")
        coupon = Coupon(
            merchant_id=shop.merchant.id, name="减十", kind="off", off_fen=1000, created_at=now
        )
        session.add(coupon)
        await session.flush()
        for account in (old, new):
            session.add(
                CouponGrant(
                    merchant_id=shop.merchant.id, coupon_id=coupon.id, account_id=account.id,
                    nth=1, by="system", created_at=now,
                )
            )  # fmt: skip
            await guests.count(session, shop.merchant.id, account.id, clocks)
        give = AdjustIn(store_id=shop.store.id, amount_fen=3000, why="赔礼")
        await office.adjust(session, owner, old.id, give, clocks)
        await office.adjust(session, owner, new.id, give, clocks)
        silver = await levels.save_level(session, owner, None, "银卡", 95, 1, clocks)
        gold = await levels.save_level(session, owner, None, "金卡", 90, 2, clocks)
        await profiles.set_level(session, owner, old.id, gold.id, clocks)
        await profiles.set_level(session, owner, new.id, silver.id, clocks)
        await profiles.edit(
            session, owner, old.id, name="老王", note="", tags=["常客"], clocks=clocks
        )

    async def go(who: Staff, confirm: str, why: str = "换了手机号") -> Merge:
        async with db.write() as session:
            return await merging.merge(
                session, who, old.id, new.id, confirm=confirm, why=why, clocks=clocks
            )

    for who, confirm, why, wrong in (
        (owner, "0000", "换了手机号", "member.confirm"),
        (owner, old.phone_tail, "", "why.missing"),
    ):
        with pytest.raises(KaimenError) as refused:
            await go(who, confirm, why)
        assert refused.value.code == wrong
    async with db.write() as session:  # money on its way is waited for
        till = await payments.add_account(
            session, merchant_id=shop.merchant.id, provider="cashier", name="收银台",
            credentials="{}", clocks=clocks,
        )  # fmt: skip
        attempt = PaymentAttempt(
            merchant_id=shop.merchant.id, store_id=shop.store.id, account_id=old.id,
            pays="order:x", part_of="order:x", provider="cashier", account_ref=till.id, channel="page", number="P1",
            amount_fen=100, state="pending", created_at=now, expires_at=now,
        )  # fmt: skip
        session.add(attempt)
    with pytest.raises(Conflict) as blocked:
        await go(owner, old.phone_tail)
    assert blocked.value.code == "member.merge_blocked"
    async with db.write() as session:
        (paying,) = (await session.exec(select(PaymentAttempt))).all()
        await session.delete(paying)
    done = await go(owner, old.phone_tail)
    assert done.moved == {"orders": 1, "balance_fen": 3000, "coupons": 1}
    while await run_due(cloud):
        pass
    async with db.read() as session:
        assert {o.account_id for o in (await session.exec(select(Order))).all()} == {new.id}
        grant = (await session.exec(select(Grant).where(col(Grant.order_id) == first.id))).one()
        assert grant.account_id == new.id  # the new number opens the door
        wallets = {w.account_id: w for w in (await session.exec(select(Wallet))).all()}
        assert (wallets[old.id].total_fen, wallets[new.id].total_fen) == (0, 6000)
        assert await office.check(session, shop.merchant.id) == []  # I9
        moves = (
            await session.exec(select(WalletMove).where(col(WalletMove.kind) == "merge"))
        ).all()
        assert sorted(m.gift_fen for m in moves) == [-3000, 3000]
        entries = (await session.exec(select(LedgerEntry))).all()
        assert sum(one.amount_fen for one in entries) == 0
        grants = (await session.exec(select(CouponGrant))).all()
        assert sorted((g.account_id, g.nth) for g in grants) == [(new.id, 1), (new.id, 2)]
        (member,) = (await session.exec(select(Membership))).all()
        assert (member.account_id, member.level_id) == (new.id, gold.id)  # the better one
        known = {p.account_id: p for p in (await session.exec(select(MemberProfile))).all()}
        assert known[old.id].merged_into == new.id
        assert (known[new.id].name, known[new.id].tags, known[new.id].orders) == (
            "老王",
            ["常客"],
            2,
        )
        shown, _ = await guests.find(session, owner, guests.Wanted(), now=now, cursor=None)
        assert [row.account_id for row in shown] == [new.id]
        log = (await session.exec(select(AuditEntry))).all()
        assert [one.why for one in log if one.action == "member.merge"] == ["换了手机号"]
        assert await service.wallet_of(session, shop.merchant.id, old.id) is not None
        weak = replace(owner, permissions=ALL - {"customer.merge"})
        with pytest.raises(Forbidden):
            await merging.look(session, weak, old.id, new.id, clocks)


def test_every_table_with_a_customer_of_a_merchant_moves_or_says_why_not() -> None:
    """A table that is forgotten would leave its rows with a number that is nobody's any more."""
    source = "\n".join(
        path.read_text()
        for path in Path(cloud_api.__file__).parent.glob("*/*.py")
        if path.name in ("personal.py", "jobs.py", "merging.py")
    )
    classes = {
        str(mapper.local_table): mapper.class_.__name__ for mapper in SQLModel._sa_registry.mappers
    }
    for table in metadata().sorted_tables:
        if {"account_id", "merchant_id"} <= set(table.c.keys()) and table.name not in STAY:
            name = classes[table.name]
            assert f"session, {name}" in source or f"        {name},\n" in source, table.name
