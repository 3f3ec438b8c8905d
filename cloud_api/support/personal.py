"""What reviews and tickets keep of a person. What they said goes with them; the stars stay, as anybody's."""

from __future__ import annotations

from collections.abc import Sequence

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.kit.actor import Customer, System, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.personal import Blocker, Section, register
from cloud_api.stores.models import Store
from cloud_api.support import photos
from cloud_api.support.models import Review, Ticket, TicketMessage
from cloud_api.support.tickets import KINDS, STATES


class _Support:
    async def export(self, session: AsyncSession, account_id: str) -> list[Section]:
        who = Customer(account_id)
        reviews = (await session.exec(scoped(who, Review).order_by(col(Review.id)))).all()
        tickets = (await session.exec(scoped(who, Ticket).order_by(col(Ticket.id)))).all()
        stores = dict((await session.exec(select(col(Store.id), col(Store.name)))).all())
        said = await _messages(session, tickets)
        return [
            Section(
                "reviews",
                "评价",
                [
                    {
                        "门店": stores.get(one.store_id, ""),
                        "星": one.stars,
                        "内容": one.text,
                        "照片": len(one.photos),
                        "店家回复": one.reply,
                        "时间": one.created_at,
                    }
                    for one in reviews
                ],
            ),
            Section(
                "tickets",
                "客服",
                [
                    {
                        "门店": stores.get(one.store_id, ""),
                        "哪一类": KINDS[one.kind],
                        "状态": STATES[one.state],
                        "谁说的": "你" if message.by == who.ref else "店里",
                        "内容": message.text,
                        "照片": len(message.photos),
                        "时间": message.at,
                    }
                    for one in tickets
                    for message in said
                    if message.ticket_id == one.id and not message.inside
                ],
            ),
        ]

    async def blockers(self, session: AsyncSession, account_id: str) -> list[Blocker]:
        del session, account_id
        return []

    async def forget(self, session: AsyncSession, account_id: str, clocks: Clocks) -> None:
        who = Customer(account_id)
        for review in (await session.exec(scoped(who, Review))).all():
            await photos.give_up(session, map(str, review.photos), clocks)
            review.text, review.photos = "", []
            session.add(review)
        tickets = (await session.exec(scoped(who, Ticket))).all()
        for ticket in tickets:
            ticket.subject = ""
            if ticket.state != "closed":
                ticket.state, ticket.closed_at = "closed", clocks.now
            session.add(ticket)
        for message in await _messages(session, tickets):
            if message.by == who.ref:
                await photos.give_up(session, map(str, message.photos), clocks)
                message.text, message.photos = "", []
                session.add(message)
        await photos.forget(session, account_id, clocks)


async def _messages(session: AsyncSession, tickets: Sequence[Ticket]) -> list[TicketMessage]:
    query = scoped(System(), TicketMessage).where(
        col(TicketMessage.ticket_id).in_([one.id for one in tickets])
    )
    return list((await session.exec(query.order_by(col(TicketMessage.id)))).all())


register("support", _Support())
