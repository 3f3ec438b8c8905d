"""Telling people what happened: a due job in the caller's transaction, which notifications carries out.

Whoever changes something calls ``notify`` beside the change; that package above decides by which
channels, in which words and when (templates, quiet hours, limits), and never holds the change up.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any, Final

from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.kit.due_jobs import schedule

NOTICE: Final = "notice"

FOR_CUSTOMERS: Final = frozenset(
    {
        "order.paid",
        "order.ready",
        "order.starting_soon",
        "order.ending_soon",
        "order.extended",
        "order.changed",  # time or room
        "order.no_show_soon",
        "order.pay_link",  # staff booked for them
        "order.message",  # a few words of the house
        "waitlist.offer",
        "ticket.answered",
        "order.ended",
        "order.cancelled",
        "refund.asked",
        "refund.succeeded",
        "refund.failed",
        "refund.declined",  # staff said no to a request
        "invoice.issued",
        "invoice.refused",
        "overtime.due",
        "team.full",
        "team.failed",
        "voucher.expiring",
        "voucher.expired",
    }
)
FOR_STAFF: Final = frozenset(
    {
        "order.new",
        "order.confirm_wanted",
        "order.changed_house",
        "order.cancelled_house",
        "order.ended_house",
        "cleaning.wanted",
        "cleaning.assigned",
        "cleaning.to_check",
        "cleaning.rejected",
        "cleaning.late",
        "ticket.new",
        "review.new",
        "refund.requested",  # a guest asks; somebody has to decide
        "invoice.wanted",  # a guest asks; somebody makes it out
        "refund.refused",  # the provider will not give the money back; somebody has to act
        "platform.asked",  # a guest waits for staff to confirm a platform's code
        "platform.stuck",  # a platform will not take a verification back
        "alarm.raised",
        "alarm.escalated",
        "alarm.resolved",
        "login.new_device",
    }
)
EVENTS: Final = FOR_CUSTOMERS | FOR_STAFF


async def notify(
    session: AsyncSession,
    *,
    merchant_id: str,
    store_id: str | None,
    event: str,
    to: str,
    subject: str,
    data: dict[str, Any],
    key: str,
    at: datetime,
    channels: list[str] | None = None,
) -> None:
    """Tell ``to`` of ``event`` at ``at`` (business time; due at once if that is past).

    ``to`` is ``account:ID``, or ``staff:permission`` for everybody of the store who has it, or
    ``role:name`` (without ``store_id``: of the merchant). ``channels`` are kinds of channels to use
    instead of those of the event's rule. ``subject`` is ``kind:id``. ``data`` fills the template's variables:
    plain JSON, instants as ISO 8601 with offset, money as ``…_fen``; names of rooms and stores are
    looked up from ``room_id`` and ``store_id``. No phone number and no secret in it. The same ``event``,
    ``to`` and ``key`` tells once, however often it is called. Raises ValueError for an event that is
    in no list here and for a ``to`` of another form.
    """
    kind, _, who = to.partition(":")
    if event not in EVENTS:
        raise ValueError(f"no such event: {event!r}")
    if kind not in {"account", "staff", "role"} or not who:
        raise ValueError(f"to must be account:ID, staff:permission or role:name, not {to!r}")
    once = hashlib.sha256(f"{merchant_id}|{event}|{to}|{key}".encode()).hexdigest()[:32]
    await schedule(
        session,
        merchant_id=merchant_id,
        kind=NOTICE,
        ref=once,
        run_at=at,
        body={
            "store_id": store_id,
            "event": event,
            "to": to,
            "subject": subject,
            "data": data,
            "key": key,
            "channels": channels,
        },
    )
