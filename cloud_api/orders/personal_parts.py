"""What hangs on orders and holds something of a person: changes, requests, deposits, friends, waiting lists."""

from __future__ import annotations

from typing import Any

from sqlmodel import col, delete, update
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.kit.actor import Customer, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.personal import Section
from cloud_api.orders import waitlist
from cloud_api.orders.models import (
    BlockedCustomer,
    Deposit,
    DepositClaim,
    OrderChange,
    OrderGuest,
    OrderShare,
    OvertimeCharge,
    RefundRequest,
    RefundWait,
    WaitEntry,
)


async def sections(
    session: AsyncSession, who: Customer, numbers: dict[str, str], rooms: dict[str, str]
) -> list[Section]:
    """The parts of an export; ``numbers`` are one's orders', by id."""

    async def rows(model: Any, columns: dict[str, str]) -> list[dict[str, Any]]:
        found = (await session.exec(scoped(who, model))).all()
        return [
            {
                title: numbers.get(str(one.order_id), "")
                if name == "order_id"
                else getattr(one, name)
                for title, name in columns.items()
            }
            for one in sorted(found, key=lambda row: row.created_at)
        ]

    waiting = (await session.exec(scoped(who, WaitEntry))).all()
    joined = (await session.exec(scoped(who, OrderGuest))).all()
    return [
        Section(
            "order_changes",
            "改过的订单",
            await rows(
                OrderChange,
                {
                    "订单号": "order_id",
                    "原来开始": "was_starts_at",
                    "原来结束": "was_ends_at",
                    "改成开始": "starts_at",
                    "改成结束": "ends_at",
                    "手续费_分": "fee_fen",
                    "差价_分": "diff_fen",
                },
            ),
        ),
        Section(
            "refund_requests",
            "退款申请",
            await rows(
                RefundRequest,
                {
                    "订单号": "order_id",
                    "为什么": "why",
                    "申请_分": "asked_fen",
                    "同意_分": "approved_fen",
                    "答复": "decided_why",
                    "状态": "state",
                },
            ),
        ),
        Section(
            "refund_waits",
            "等门店确认的退款",
            await rows(
                RefundWait, {"订单号": "order_id", "金额_分": "amount_fen", "状态": "state"}
            ),
        ),
        Section(
            "overtime",
            "超时费",
            await rows(
                OvertimeCharge,
                {
                    "订单号": "order_id",
                    "超时_分钟": "minutes",
                    "金额_分": "amount_fen",
                    "状态": "state",
                    "离开": "left_at",
                },
            ),
        ),
        Section(
            "deposits",
            "押金",
            await rows(
                Deposit,
                {
                    "订单号": "order_id",
                    "金额_分": "amount_fen",
                    "已退_分": "returned_fen",
                    "状态": "state",
                },
            ),
        ),
        Section(
            "deposit_claims",
            "押金扣款",
            await rows(
                DepositClaim,
                {
                    "订单号": "order_id",
                    "金额_分": "amount_fen",
                    "店家说": "why",
                    "你说": "objection",
                    "状态": "state",
                },
            ),
        ),
        Section(
            "order_shares",
            "邀请过朋友的订单",
            await rows(OrderShare, {"订单号": "order_id", "收回时间": "revoked_at"}),
        ),
        Section(
            "blocks",
            "被店家限制预订",
            await rows(BlockedCustomer, {"为什么": "why", "到什么时候": "until"}),
        ),
        Section(
            "joined",
            "和朋友一起的",
            [{"加入时间": one.joined_at, "移出时间": one.removed_at} for one in joined],
        ),
        Section(
            "waitlist",
            "候补",
            [
                {
                    "包间": rooms.get(str(one.room_id), ""),
                    "开始": one.starts_at,
                    "结束": one.ends_at,
                    "状态": one.state,
                    "时间": one.created_at,
                }
                for one in waiting
            ],
        ),
    ]


async def forget(session: AsyncSession, account_id: str, clocks: Clocks) -> None:
    """Stop waiting, take links back, clear what they wrote; sums stay with their orders.

    A block stays with an account that is nobody's any more: it holds no word of theirs.
    """
    who = Customer(account_id)
    for entry in (await session.exec(scoped(who, WaitEntry))).all():
        await waitlist.leave(session, who, entry.id, clocks)
    await session.flush()
    await session.exec(
        update(OrderShare)
        .where(col(OrderShare.account_id) == account_id, col(OrderShare.revoked_at).is_(None))
        .values(revoked_at=clocks.now)
    )
    await session.exec(
        update(RefundRequest).where(col(RefundRequest.account_id) == account_id).values(why="")
    )
    await session.exec(
        update(DepositClaim).where(col(DepositClaim.account_id) == account_id).values(objection="")
    )
    await session.exec(delete(OrderGuest).where(col(OrderGuest.account_id) == account_id))
