"""What orders and their money keep of a person. Deleted people leave orders without a person behind."""

from __future__ import annotations

from typing import Any

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.kit import merging
from cloud_api.kit.actor import Customer, System, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.personal import Blocker, Section, register
from cloud_api.orders import guests, personal_parts
from cloud_api.orders.models import (
    BlockedCustomer,
    Deposit,
    DepositClaim,
    Order,
    OrderChange,
    OrderGuest,
    OrderLine,
    OrderShare,
    OvertimeCharge,
    RefundRequest,
    RefundWait,
    WaitEntry,
)
from cloud_api.payments.models import PaymentAttempt, RefundAttempt
from cloud_api.stored_value import topup
from cloud_api.stores.models import Room, Store

_OPEN = ("pending_payment", "paid", "ready", "in_use")
_MONEY_MOVES = ("created", "pending", "unknown", "submitted")


class _Orders:
    async def export(self, session: AsyncSession, account_id: str) -> list[Section]:
        who = Customer(account_id)
        orders = (await session.exec(scoped(who, Order).order_by(col(Order.id)))).all()
        lines: dict[str, list[dict[str, Any]]] = {}
        wanted = scoped(System(), OrderLine).where(
            col(OrderLine.order_id).in_([one.id for one in orders])
        )
        for line in (await session.exec(wanted.order_by(col(OrderLine.position)))).all():
            lines.setdefault(line.order_id, []).append(
                {"项目": line.text, "金额_分": line.amount_fen}
            )
        stores = dict((await session.exec(select(col(Store.id), col(Store.name)))).all())
        rooms = dict((await session.exec(select(col(Room.id), col(Room.name)))).all())
        payments = (
            await session.exec(scoped(who, PaymentAttempt).order_by(col(PaymentAttempt.id)))
        ).all()
        refunds = (
            await session.exec(scoped(who, RefundAttempt).order_by(col(RefundAttempt.id)))
        ).all()
        return [
            Section(
                "orders",
                "订单",
                [
                    {
                        "订单号": one.number,
                        "门店": stores.get(one.store_id),
                        "包间": rooms.get(one.room_id),
                        "状态": one.status,
                        "开始": one.starts_at,
                        "结束": one.ends_at,
                        "进门": one.entered_at,
                        "离开": one.ended_at,
                        "总价_分": one.total_fen,
                        "已付_分": one.paid_fen,
                        "已退_分": one.refunded_fen,
                        "明细": lines.get(one.id, []),
                        "下单时间": one.created_at,
                    }
                    for one in orders
                ],
            ),
            Section(
                "payments",
                "付款",
                [
                    {
                        "流水号": one.number,
                        "渠道": one.provider,
                        "金额_分": one.amount_fen,
                        "状态": one.state,
                        "时间": one.succeeded_at or one.created_at,
                    }
                    for one in payments
                ],
            ),
            Section(
                "refunds",
                "退款",
                [
                    {
                        "流水号": one.number,
                        "金额_分": one.amount_fen,
                        "状态": one.state,
                        "原因": one.reason,
                        "时间": one.succeeded_at or one.created_at,
                    }
                    for one in refunds
                ],
            ),
            *await personal_parts.sections(
                session, who, {one.id: one.number for one in orders}, rooms
            ),
        ]

    async def blockers(self, session: AsyncSession, account_id: str) -> list[Blocker]:
        who = Customer(account_id)
        found = []
        opened = (await session.exec(scoped(who, Order).where(col(Order.status).in_(_OPEN)))).all()
        if opened:
            found.append(
                Blocker(
                    "orders.open",
                    "还有没结束的订单，先用完或取消",
                    [one.number for one in opened],
                )
            )
        held = (await session.exec(scoped(who, Order).where(col(Order.refunding_fen) > 0))).all()
        moving = (
            await session.exec(
                scoped(who, PaymentAttempt).where(col(PaymentAttempt.state).in_(_MONEY_MOVES))
            )
        ).all()
        back = (
            await session.exec(
                scoped(who, RefundAttempt).where(
                    col(RefundAttempt.state).in_((*_MONEY_MOVES, "failed", "abnormal")),
                    col(RefundAttempt.replaced_by).is_(None),  # its money goes by the next number
                )
            )
        ).all()
        numbers = [one.number for one in held]
        numbers += [one.number for one in moving] + [one.number for one in back]
        if numbers:
            found.append(Blocker("money.held", "还有在路上的付款或退款，等它到了再注销", numbers))
        owed = (
            await session.exec(
                scoped(who, OvertimeCharge).where(col(OvertimeCharge.state) == "due")
            )
        ).all()
        deposits = (
            await session.exec(scoped(who, Deposit).where(col(Deposit.state) == "held"))
        ).all()
        if deposits:
            refs = [one.order_id for one in deposits]
            found.append(Blocker("money.deposit", "还有没退回的押金，等它退回再注销", refs))
        if owed:
            refs = [one.order_id for one in owed]
            found.append(Blocker("money.owed", "还有没付的超时费，先付清", refs))
        return found

    async def forget(self, session: AsyncSession, account_id: str, clocks: Clocks) -> None:
        """Orders and money stay: they hold no name and no number, and the account has none any more."""
        await personal_parts.forget(session, account_id, clocks)


register("orders", _Orders())


async def _merge(session: AsyncSession, merge: merging.Merge) -> None:
    """Orders with all that hangs on them; payments and refunds are named by who paid."""
    await merge.rows(session, Order, "orders")
    await merge.rows(session, PaymentAttempt, "payments")
    for model in (
        RefundAttempt,
        RefundRequest,
        RefundWait,
        OrderChange,
        OrderShare,
        OvertimeCharge,
        Deposit,
        DepositClaim,
        WaitEntry,
        BlockedCustomer,
    ):
        await merge.rows(session, model)
    joined = scoped(System(), OrderGuest).where(
        col(OrderGuest.merchant_id) == merge.merchant_id,
        col(OrderGuest.account_id).in_([merge.old, merge.new]),
    )
    rows = (await session.exec(joined)).all()
    there = {one.order_id for one in rows if one.account_id == merge.new}
    for one in rows:  # a friend who joined with both numbers is one friend
        if one.account_id == merge.old and one.order_id in there:
            await session.delete(one)
        elif one.account_id == merge.old:
            one.account_id = merge.new
            session.add(one)
    await session.flush()
    for account_id in (merge.old, merge.new):
        await guests.recount(session, merge.merchant_id, account_id, merge.clocks)


async def _hold_orders(session: AsyncSession, merge: merging.Merge) -> None:
    await merge.hold(session, Order)


async def _hold_payments(session: AsyncSession, merge: merging.Merge) -> None:
    """All but those of top-ups, whose balance is locked before them."""
    of_topups = col(PaymentAttempt.pays).startswith(f"{topup.KIND}:")
    await merge.hold(session, PaymentAttempt, ~of_topups)
    await merge.hold(session, RefundAttempt)


async def _hindrance(session: AsyncSession, merge: merging.Merge) -> list[Blocker]:
    query = scoped(System(), PaymentAttempt).where(
        col(PaymentAttempt.merchant_id) == merge.merchant_id,
        col(PaymentAttempt.account_id) == merge.old,
        col(PaymentAttempt.state).in_(_MONEY_MOVES),
    )
    moving = (await session.exec(query)).all()
    if not moving:
        return []
    text = "要并掉的这位还有在路上的付款，等它有结果再合并"
    return [Blocker("merge.payment", text, [one.number for one in moving])]


merging.holding("orders", _hold_orders)
merging.holding("payments", _hold_payments)
merging.register("orders", _merge, _hindrance)
