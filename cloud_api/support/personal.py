"""What reviews and tickets keep of a person. Deleted people leave stars, and tickets without words."""

from __future__ import annotations

from sqlalchemy import select, update
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.kit.actor import Customer, System, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.personal import Blocker, Section, register
from cloud_api.support.models import Review, Ticket, TicketMessage


class _Support:
    async def export(self, session: AsyncSession, account_id: str) -> list[Section]:
        who = Customer(account_id)
        reviews = (await session.exec(scoped(who, Review).order_by(col(Review.id)))).all()
        tickets = (await session.exec(scoped(who, Ticket).order_by(col(Ticket.id)))).all()
        said = scoped(System(), TicketMessage).where(
            col(TicketMessage.ticket_id).in_([one.id for one in tickets]),
            col(TicketMessage.inside).is_(False),
        )
        messages = (await session.exec(said.order_by(col(TicketMessage.id)))).all()
        return [
            Section(
                "reviews",
                "评价",
                [{"星": one.stars, "内容": one.text, "时间": one.created_at} for one in reviews],
            ),
            Section(
                "tickets",
                "问过客服的",
                [
                    {
                        "谁": "你" if one.by.startswith("customer:") else "客服",
                        "内容": one.text,
                        "时间": one.at,
                    }
                    for one in messages
                ],
            ),
        ]

    async def blockers(self, session: AsyncSession, account_id: str) -> list[Blocker]:
        del session, account_id
        return []

    async def forget(self, session: AsyncSession, account_id: str, clocks: Clocks) -> None:
        del clocks
        mine = select(col(Ticket.id)).where(col(Ticket.account_id) == account_id)
        await session.exec(
            update(TicketMessage)
            .where(
                col(TicketMessage.ticket_id).in_(mine),
                col(TicketMessage.by) == f"customer:{account_id}",
            )
            .values(text="", photos=[])
        )
        await session.exec(
            update(Ticket).where(col(Ticket.account_id) == account_id).values(subject="")
        )
        await session.exec(
            update(Review).where(col(Review.account_id) == account_id).values(text="", photos=[])
        )


register("support", _Support())
