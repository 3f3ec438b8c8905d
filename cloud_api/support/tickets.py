"""Tickets: what a guest asks or complains about, until it is closed; answered by customer service.

States: open → answered → open …, either → closed; a guest's new message opens a closed one again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import and_
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.audit import service as audit
from cloud_api.kit.actor import Actor, Customer, Staff, System, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.errors import Conflict, KaimenError, NotFound
from cloud_api.kit.notices import notify
from cloud_api.orders.service import get_order
from cloud_api.staff import rights
from cloud_api.staff.models import Role, StaffMember
from cloud_api.staff.permissions import TICKET_HANDLE
from cloud_api.stores.service import get_store
from cloud_api.support import photos
from cloud_api.support.models import Ticket, TicketMessage

KINDS: Final = {"inquiry": "咨询", "complaint": "投诉", "repair": "报修", "dispute": "费用有疑问"}
STATES: Final = {"open": "等回复", "answered": "已回复", "closed": "已解决"}
TABLE: Final[dict[str, frozenset[str]]] = {
    "open": frozenset({"answered", "closed"}),
    "answered": frozenset({"open", "closed"}),
    "closed": frozenset({"open"}),
}
MOST_OPEN: Final = 10  # of one customer
_LISTED: Final = 100


async def ask(
    session: AsyncSession,
    customer: Customer,
    *,
    store_id: str,
    order_id: str | None,
    kind: str,
    text: str,
    clocks: Clocks,
    shots: Sequence[str] = (),
) -> Ticket:
    """Open a ticket. Raises NotFound, KaimenError ``ticket.empty``, Conflict ``ticket.too_many``."""
    if order_id is not None:
        store_id = (await get_order(session, customer, order_id)).store_id
    store = await get_store(session, customer, store_id)
    said = _said(text)
    open_ones = scoped(customer, Ticket).where(col(Ticket.state) != "closed").limit(MOST_OPEN)
    if len((await session.exec(open_ones)).all()) >= MOST_OPEN:
        raise Conflict("ticket.too_many", "你有太多没解决的问题，等客服处理几个再提")
    made = Ticket(
        merchant_id=store.merchant_id,
        store_id=store.id,
        account_id=customer.account_id,
        order_id=order_id,
        kind=kind,
        subject=said[:40],
        last_at=clocks.now,
        created_at=clocks.now,
    )
    session.add(made)
    await session.flush()
    message = await _message(session, made, customer.ref, said, clocks)
    await _show(session, customer, message, shots)
    await _tell_staff(session, made, said, clocks)
    return made


async def say(
    session: AsyncSession,
    actor: Customer | Staff,
    ticket_id: str,
    text: str,
    clocks: Clocks,
    *,
    inside: bool = False,
    shots: Sequence[str] = (),
) -> Ticket:
    """Add a message; staff's answers it, a guest's opens it again. Staff need ticket.handle.

    ``inside``: a note that the guest does not see. Raises NotFound, KaimenError ``ticket.empty``.
    """
    ticket = await _locked(session, actor, ticket_id)
    said = _said(text)
    message = await _message(session, ticket, actor.ref, said, clocks, inside=inside)
    if isinstance(actor, Customer):
        await _show(session, actor, message, shots)
        ticket.state, ticket.closed_at = "open", None
        await _tell_staff(session, ticket, said, clocks)
    elif not inside:
        ticket.state, ticket.assigned_to = "answered", actor.staff_id
        await notify(
            session,
            merchant_id=ticket.merchant_id,
            store_id=ticket.store_id,
            event="ticket.answered",
            to=f"account:{ticket.account_id}",
            subject=f"ticket:{ticket.id}",
            data={"detail": said[:80]},
            key=f"{ticket.id}.{clocks.now.isoformat()}",
            at=clocks.now,
        )
    ticket.last_at = clocks.now
    session.add(ticket)
    return ticket


async def assign(
    session: AsyncSession, actor: Staff, ticket_id: str, staff_id: str | None, clocks: Clocks
) -> bool:
    """Give it to somebody who answers in its store, or to nobody; False where it was theirs already.

    Needs ticket.handle. Raises NotFound, KaimenError ``ticket.not_theirs`` (422).
    """
    ticket = await _locked(session, actor, ticket_id)
    if ticket.assigned_to == staff_id:
        return False
    if staff_id is not None and staff_id not in {
        one.id for one in await answerers(session, actor, ticket.store_id)
    }:
        raise KaimenError(
            "ticket.not_theirs", "这位店员不管这家店的工单", status=422, field="staff_id"
        )
    before, ticket.assigned_to = ticket.assigned_to, staff_id
    session.add(ticket)
    await audit.record(
        session,
        actor,
        "ticket.assign",
        merchant_id=ticket.merchant_id,
        store_id=ticket.store_id,
        subject=f"ticket:{ticket.id}",
        before={"staff": before},
        after={"staff": staff_id},
        clocks=clocks,
    )
    return True


async def answerers(
    session: AsyncSession, actor: Staff, store_id: str | None = None
) -> list[StaffMember]:
    """Who may answer tickets, in this store or in one of the actor's. Needs ticket.handle."""
    actor.need(TICKET_HANDLE)
    query = (
        select(StaffMember, Role)
        .join(
            Role,
            and_(
                col(Role.merchant_id) == col(StaffMember.merchant_id),
                col(Role.key) == col(StaffMember.role),
            ),
            isouter=True,
        )
        .where(col(StaffMember.merchant_id) == actor.merchant_id, col(StaffMember.active))
        .order_by(col(StaffMember.name))
    )
    wanted = actor.store_ids if store_id is None else frozenset({store_id})
    return [
        member
        for member, role in (await session.exec(query)).all()
        if TICKET_HANDLE in rights.permissions_of(member.role, role)
        and (
            member.store_ids is None
            or wanted is None
            or not wanted.isdisjoint(map(str, member.store_ids))
        )
    ]


async def close(
    session: AsyncSession, actor: Customer | Staff, ticket_id: str, clocks: Clocks
) -> Ticket:
    """It is settled; again changes nothing."""
    ticket = await _locked(session, actor, ticket_id)
    if "closed" not in TABLE[ticket.state]:
        return ticket
    ticket.state, ticket.closed_at = "closed", clocks.now
    session.add(ticket)
    if isinstance(actor, Staff):
        await audit.record(
            session,
            actor,
            "ticket.close",
            merchant_id=ticket.merchant_id,
            store_id=ticket.store_id,
            subject=f"ticket:{ticket.id}",
            after={"state": "closed"},
            clocks=clocks,
        )
    return ticket


async def listed(session: AsyncSession, actor: Customer | Staff, state: str = "") -> list[Ticket]:
    """One's tickets, or those of one's stores, the latest first; at most 100."""
    if isinstance(actor, Staff):
        actor.need(TICKET_HANDLE)
    query = scoped(actor, Ticket)
    if state in STATES:
        query = query.where(col(Ticket.state) == state)
    return list(
        (await session.exec(query.order_by(col(Ticket.last_at).desc()).limit(_LISTED))).all()
    )


async def read(
    session: AsyncSession, actor: Customer | Staff, ticket_id: str
) -> tuple[Ticket, list[TicketMessage]]:
    """A ticket and what was said; the house's own notes only for staff. Raises NotFound."""
    ticket = await _find(session, actor, ticket_id)
    query = scoped(System(), TicketMessage).where(col(TicketMessage.ticket_id) == ticket.id)
    if isinstance(actor, Customer):
        query = query.where(col(TicketMessage.inside).is_(False))
    found = await session.exec(query.order_by(col(TicketMessage.id)).limit(500))
    return ticket, list(found.all())


async def _message(
    session: AsyncSession,
    ticket: Ticket,
    by: str,
    text: str,
    clocks: Clocks,
    *,
    inside: bool = False,
) -> TicketMessage:
    made = TicketMessage(
        merchant_id=ticket.merchant_id,
        store_id=ticket.store_id,
        ticket_id=ticket.id,
        by=by,
        text=text,
        inside=inside,
        at=clocks.now,
    )
    session.add(made)
    await session.flush()
    return made


async def _show(
    session: AsyncSession, customer: Customer, message: TicketMessage, shots: Sequence[str]
) -> None:
    message.photos = await photos.take(
        session, customer, message.store_id, shots, f"ticket:{message.ticket_id}"
    )
    session.add(message)


async def _tell_staff(session: AsyncSession, ticket: Ticket, said: str, clocks: Clocks) -> None:
    await notify(
        session,
        merchant_id=ticket.merchant_id,
        store_id=ticket.store_id,
        event="ticket.new",
        to=f"staff:{TICKET_HANDLE}",
        subject=f"ticket:{ticket.id}",
        data={"name": KINDS[ticket.kind], "detail": said[:80]},
        key=f"{ticket.id}.{clocks.now.isoformat()}",
        at=clocks.now,
    )


async def _find(session: AsyncSession, actor: Actor, ticket_id: str) -> Ticket:
    if isinstance(actor, Staff):
        actor.need(TICKET_HANDLE)
    query = scoped(actor, Ticket).where(col(Ticket.id) == ticket_id)
    found = (await session.exec(query)).first()
    if found is None:
        raise NotFound("ticket", "没有这个问题单")
    return found


async def _locked(session: AsyncSession, actor: Actor, ticket_id: str) -> Ticket:
    await _find(session, actor, ticket_id)
    query = scoped(actor, Ticket).where(col(Ticket.id) == ticket_id).with_for_update()
    return (await session.exec(query.execution_options(populate_existing=True))).one()


def _said(text: str) -> str:
    if not text.strip():
        raise KaimenError("ticket.empty", "写一句怎么了", status=422, field="text")
    return text.strip()
