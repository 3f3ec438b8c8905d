"""What group-buy keeps of a person: orders and vouchers. Deleted people leave their money's rows behind."""

from __future__ import annotations

from sqlalchemy import update
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.groupbuy.models import Bought, GroupOrder
from cloud_api.kit import merging
from cloud_api.kit.actor import Customer, System, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.personal import Blocker, Section, register
from cloud_api.vouchers.models import Voucher


class _GroupBuy:
    async def export(self, session: AsyncSession, account_id: str) -> list[Section]:
        who = Customer(account_id)
        orders = (await session.exec(scoped(who, GroupOrder).order_by(col(GroupOrder.id)))).all()
        vouchers = (await session.exec(scoped(who, Voucher).order_by(col(Voucher.id)))).all()
        return [
            Section(
                "group_orders",
                "团购订单",
                [
                    {
                        "订单号": one.number,
                        "状态": one.status,
                        "数量": one.quantity,
                        "总价_分": one.total_fen,
                        "已退_分": one.refunded_fen,
                        "下单时间": one.created_at,
                        "付款时间": one.paid_at,
                    }
                    for one in orders
                ],
            ),
            Section(
                "vouchers",
                "团购券",
                [
                    {
                        "名称": one.name,
                        "状态": one.state,
                        "面值_分": one.value_fen,
                        "有效期至": one.valid_until,
                    }
                    for one in vouchers
                ],
            ),
        ]

    async def blockers(self, session: AsyncSession, account_id: str) -> list[Blocker]:
        who = Customer(account_id)
        whole = scoped(who, Voucher).where(col(Voucher.state).in_(("issued", "refunding")))
        moving = scoped(who, GroupOrder).where(
            col(GroupOrder.status).in_(("pending_payment", "paid", "refunding"))
        )
        found = []
        if vouchers := (await session.exec(whole)).all():
            found.append(
                Blocker(
                    "voucher.whole",
                    "你还有没用完的团购券，用掉或退掉再注销",
                    [one.name for one in vouchers],
                )
            )
        if orders := (await session.exec(moving)).all():
            found.append(
                Blocker(
                    "group_order.open",
                    "你有没结束的团购订单，等它结束再注销",
                    [one.number for one in orders],
                )
            )
        return found

    async def forget(self, session: AsyncSession, account_id: str, clocks: Clocks) -> None:
        await session.exec(
            update(Voucher)
            .where(col(Voucher.account_id) == account_id)
            .values(gift_hash=None)
            .execution_options(synchronize_session=False)
        )


register("groupbuy", _GroupBuy())


_SEATED = ("pending_payment", "paid", "issued")


async def _merge(session: AsyncSession, merge: merging.Merge) -> None:
    """Vouchers and what was bought follow; how many of a campaign somebody bought is their sum."""
    await merge.rows(session, Voucher, "vouchers")
    await merge.rows(session, GroupOrder, "group_orders")
    query = scoped(System(), Bought).where(
        col(Bought.merchant_id) == merge.merchant_id,
        col(Bought.account_id).in_([merge.old, merge.new]),
    )
    rows = (await session.exec(query)).all()
    beside = {one.campaign_id: one for one in rows if one.account_id == merge.new}
    for one in rows:
        if one.account_id != merge.old:
            continue
        known = beside.get(one.campaign_id)
        if known is None:
            known = Bought(
                campaign_id=one.campaign_id, account_id=merge.new, merchant_id=one.merchant_id
            )
        known.count += one.count
        session.add(known)
        await session.delete(one)
    await session.flush()


async def _hold_orders(session: AsyncSession, merge: merging.Merge) -> None:
    await merge.hold(session, GroupOrder)


async def _hold_vouchers(session: AsyncSession, merge: merging.Merge) -> None:
    await merge.hold(session, Voucher)


async def _hindrance(session: AsyncSession, merge: merging.Merge) -> list[Blocker]:
    query = scoped(System(), GroupOrder).where(
        col(GroupOrder.merchant_id) == merge.merchant_id,
        col(GroupOrder.account_id).in_([merge.old, merge.new]),
        col(GroupOrder.team_id).is_not(None),
        col(GroupOrder.status).in_(_SEATED),
    )
    rows = (await session.exec(query)).all()
    teams = {one.team_id for one in rows if one.account_id == merge.old}
    if not teams & {one.team_id for one in rows if one.account_id == merge.new}:
        return []
    return [Blocker("merge.team", "两个号在同一个团里各有一份，等这个团结束再合并")]


merging.holding("group_orders", _hold_orders)
merging.holding("vouchers", _hold_vouchers)
merging.register("groupbuy", _merge, _hindrance)
