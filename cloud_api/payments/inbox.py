"""Notifications: verify the raw bytes, keep each once, answer; what it means is done by a job."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any, Final

import structlog
from sqlalchemy import update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.kit.actor import System, scoped
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.due_jobs import Again, schedule
from cloud_api.kit.errors import NotFound
from cloud_api.kit.ids import new_id
from cloud_api.kit.upsert import insert_or_ignore
from cloud_api.payments.models import Notification, PaymentAttempt, ProviderAccount, RefundAttempt
from cloud_api.payments.providers.base import (
    Back,
    BadNotification,
    Money,
    Notice,
    PaymentView,
    ProbeNotification,
    RefundView,
    Reply,
    UnknownKey,
)
from cloud_api.payments.records import foreign_refund, record_payment, record_refund
from cloud_api.payments.service import (
    KEYS,
    foreign_ask,
    load,
    look,
    notify_path,
    provider_of,
    refund_ask,
)

NOTICE: Final = "payment.notice"  # ref: notification id
_KEYS_EVERY_S: Final = 300
_ASK_AGAIN_S: Final = 30

_log = structlog.get_logger(__name__)


async def receive(
    cloud: Cloud, provider: str, account_ref: str, headers: Mapping[str, str], raw: bytes
) -> Reply:
    """Take a notification; returns what the provider wants to hear.

    Raises NotFound for an account that is not there: nothing is ever verified with an empty key. Bytes
    that are not the provider's are refused in its own words, and change nothing.
    """
    async with cloud.db.read() as session:
        query = scoped(System(), ProviderAccount).where(
            col(ProviderAccount.id) == account_ref, col(ProviderAccount.provider) == provider
        )
        account = (await session.exec(query)).first()
    if account is None:
        raise NotFound("account")
    port = provider_of(cloud, account)
    try:
        notice = port.parse_notification(headers, raw, notify_path(provider, account_ref))
    except ProbeNotification:
        _log.info("payment.probe", account=account_ref)
        return port.notification_reply(False)
    except BadNotification as error:
        _log.warning("payment.bad_notification", account=account_ref, why=str(error))
        if isinstance(error, UnknownKey):
            await _ask_for_keys(cloud, account)
        return port.notification_reply(False)
    if notice.about is not None:
        await _keep(cloud, account, notice, notice.about)
    return port.notification_reply(True)


async def _keep(
    cloud: Cloud, account: ProviderAccount, notice: Notice, about: PaymentView | RefundView
) -> None:
    """Into the inbox, once per message; what it means is done by a job."""
    async with cloud.db.write() as session:
        notification_id = new_id()
        is_new = await insert_or_ignore(
            session,
            Notification,
            {
                "id": notification_id,
                "merchant_id": account.merchant_id,
                "source": account.id,
                "event_id": notice.event_id,
                "kind": notice.kind,
                "body": {"about": _stored(about), "told": notice.body},
                "received_at": cloud.clocks.real,
            },
        )
        if is_new:
            await schedule(
                session,
                merchant_id=account.merchant_id,
                kind=NOTICE,
                ref=notification_id,
                run_at=cloud.clocks.real,
                clock="wire",
            )


async def _ask_for_keys(cloud: Cloud, account: ProviderAccount) -> None:
    """Have the provider's public keys fetched by a job, at most every five minutes: anybody can send
    us a serial that nobody knows, so nothing is called from here.
    """
    now = cloud.clocks.real
    async with cloud.db.write() as session:
        await schedule(
            session,
            merchant_id=account.merchant_id,
            kind=KEYS,
            ref=account.id,
            run_at=now - timedelta(seconds=now.timestamp() % _KEYS_EVERY_S),
            clock="wire",
            body={"once": True},
        )


def _stored(about: PaymentView | RefundView) -> dict[str, Any]:
    """A view as JSON; its step is not of it: notifications carry none."""
    kept = {name: value for name, value in asdict(about).items() if name != "step"}
    return kept | {"at": None if about.at is None else about.at.isoformat()}


def _read(kind: str, kept: dict[str, Any]) -> PaymentView | RefundView:
    at = kept.get("at")
    values = kept | {"at": None if at is None else datetime.fromisoformat(at)}
    if kind == "payment":
        return PaymentView(**values | {"state": Money(kept["state"])})
    return RefundView(**values | {"state": Back(kept["state"])})


async def handle(cloud: Cloud, notification_id: str) -> None:
    """Do what a notification says, once; marked in the transaction of its effect."""
    async with cloud.db.read() as session:
        notification = await session.get_one(Notification, notification_id)
        attempt = await _attempt(session, notification)
    if notification.handled_at is not None:
        return
    view = _read(notification.kind, notification.body["about"])
    if isinstance(view, RefundView) and attempt is None:
        attempt, view = await _foreign_refund(cloud, notification, view)
    if attempt is None:
        await _mark(cloud, notification, "unknown_number")
    elif isinstance(view, PaymentView) and isinstance(attempt, PaymentAttempt):
        if view.state is Money.SUCCEEDED and view.amount_fen != attempt.amount_fen:
            # Not what we asked for. Whoever sent this, the provider's own books decide.
            await look(cloud, attempt.id)
            await _mark(cloud, notification, "asked_again")
            return
        async with cloud.db.write() as session:
            seen = await record_payment(session, attempt.id, view, cloud.clocks)
            await _mark_in(session, cloud, notification, seen.state)
    elif isinstance(view, RefundView) and isinstance(attempt, RefundAttempt):
        if {attempt.state, view.state.value} == {"succeeded", "failed"}:
            # It came back after it had arrived, or old news come late: the provider's books decide.
            payment, port = await load(cloud, attempt.payment_id)
            view = await port.query_refund(refund_ask(cloud, payment, attempt))
            if view.state is Back.UNKNOWN:
                raise Again(_ASK_AGAIN_S, "the provider does not say whether the refund arrived")
        async with cloud.db.write() as session:
            back = await record_refund(session, attempt.id, view, cloud.clocks)
            await _mark_in(session, cloud, notification, back.state)


async def _foreign_refund(
    cloud: Cloud, notification: Notification, view: RefundView
) -> tuple[RefundAttempt | None, RefundView]:
    """A refund that we did not ask for: somebody made it in the provider's own console.

    Where the message does not say how much, the provider is asked; the payment's own news may have
    been lost before, so it is looked at first.
    """
    async with cloud.db.read() as session:
        query = select(PaymentAttempt).where(
            col(PaymentAttempt.account_ref) == notification.source,
            col(PaymentAttempt.number) == view.payment_number,
        )
        payment = (await session.exec(query)).first()
    if payment is None:
        return None, view
    payment = await look(cloud, payment.id)
    if payment.state != "succeeded":
        return None, view
    if view.amount_fen is None:
        asked = foreign_ask(cloud, payment, view.number)
        view = await (await load(cloud, payment.id))[1].query_refund(asked)
    if view.amount_fen is None or view.state is Back.ABSENT:
        return None, view
    async with cloud.db.write() as session:
        refund = await foreign_refund(
            session, payment.id, view.number, view.amount_fen, cloud.clocks
        )
    return refund, view


async def _attempt(
    session: AsyncSession, notification: Notification
) -> PaymentAttempt | RefundAttempt | None:
    """What the notification is about, if it belongs to the account that was told."""
    number = notification.body["about"]["number"]
    payments = select(PaymentAttempt).where(col(PaymentAttempt.account_ref) == notification.source)
    if notification.kind == "payment":
        return (await session.exec(payments.where(col(PaymentAttempt.number) == number))).first()
    refunds = (
        select(RefundAttempt)
        .join(PaymentAttempt, col(PaymentAttempt.id) == col(RefundAttempt.payment_id))
        .where(
            col(PaymentAttempt.account_ref) == notification.source,
            col(RefundAttempt.number) == number,
        )
    )
    return (await session.exec(refunds)).first()


async def _mark(cloud: Cloud, notification: Notification, result: str) -> None:
    async with cloud.db.write() as session:
        await _mark_in(session, cloud, notification, result)


async def _mark_in(
    session: AsyncSession, cloud: Cloud, notification: Notification, result: str
) -> None:
    await session.exec(
        update(Notification)
        .where(col(Notification.id) == notification.id, col(Notification.handled_at).is_(None))
        .values(handled_at=cloud.clocks.real, result=result)
        .execution_options(synchronize_session=False)
    )
