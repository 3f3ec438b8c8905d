"""Notifications: verify the raw bytes, keep each once, answer; what it means is done by a job."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import structlog
from sqlalchemy import update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.kit.actor import System, scoped
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.due_jobs import schedule
from cloud_api.kit.errors import KaimenError, NotFound
from cloud_api.kit.ids import new_id
from cloud_api.kit.upsert import insert_or_ignore
from cloud_api.payments.models import Notification, PaymentAttempt, ProviderAccount, RefundAttempt
from cloud_api.payments.providers.base import Back, BadNotification, Money, PaymentView, RefundView
from cloud_api.payments.records import record_payment, record_refund
from cloud_api.payments.service import look, notify_path, provider_of

NOTICE = "payment.notice"  # ref: notification id

_log = structlog.get_logger(__name__)


async def receive(
    cloud: Cloud, provider: str, account_ref: str, headers: Mapping[str, str], raw: bytes
) -> dict[str, Any]:
    """Take a notification; returns what the provider wants to hear.

    Raises NotFound for an account that is not there (nothing is ever verified with an empty key), and
    KaimenError ``payment.bad_notification`` (401) for bytes that are not the provider's.
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
    except BadNotification as error:
        _log.warning("payment.bad_notification", account=account_ref, why=str(error))
        raise KaimenError("payment.bad_notification", "签名不符", status=401) from error
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
                "body": {"about": asdict(notice.about), "told": notice.body},
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
    return port.notification_answer()


async def handle(cloud: Cloud, notification_id: str) -> None:
    """Do what a notification says, once; marked in the transaction of its effect."""
    async with cloud.db.read() as session:
        notification = await session.get_one(Notification, notification_id)
        attempt = await _attempt(session, notification)
    if notification.handled_at is not None:
        return
    about = notification.body["about"]
    if attempt is None:
        await _mark(cloud, notification, "unknown_number")
    elif isinstance(attempt, PaymentAttempt):
        payment = PaymentView(**{**about, "state": Money(about["state"])})
        if payment.state is Money.SUCCEEDED and payment.amount_fen != attempt.amount_fen:
            # Not what we asked for. Whoever sent this, the provider's own books decide.
            await look(cloud, attempt.id)
            await _mark(cloud, notification, "asked_again")
            return
        async with cloud.db.write() as session:
            seen = await record_payment(session, attempt.id, payment, cloud.clocks)
            await _mark_in(session, cloud, notification, seen.state)
    else:
        refund = RefundView(**{**about, "state": Back(about["state"])})
        async with cloud.db.write() as session:
            back = await record_refund(session, attempt.id, refund, cloud.clocks)
            await _mark_in(session, cloud, notification, back.state)


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
