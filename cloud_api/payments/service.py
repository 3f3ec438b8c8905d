"""Collecting money and giving it back, through whichever provider: the calls around the transactions.

Functions that take ``cloud`` call a provider, and open their own transactions before and after the
call; functions that take ``session`` work inside the caller's.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from sqlalchemy import bindparam
from sqlmodel import col, or_, select
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.expression import SelectOfScalar

from cloud_api.kit.actor import System, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.due_jobs import schedule
from cloud_api.kit.errors import Conflict, KaimenError
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.statements import built
from cloud_api.payments import house, payers, ways
from cloud_api.payments.models import PaymentAttempt, ProviderAccount, RefundAttempt
from cloud_api.payments.providers import PROVIDERS
from cloud_api.payments.providers.base import (
    Ask,
    Back,
    Channel,
    Money,
    Payer,
    PaymentProvider,
    PaymentRef,
    PaymentView,
    RefundAsk,
    Surroundings,
)
from cloud_api.payments.records import (
    REFUND_CHANGED,
    beyond,
    lock_payment,
    lock_refund,
    record_payment,
    record_refund,
)
from cloud_api.payments.transitions import GIVEN_BACK, OPEN_PAYMENT, move_payment
from cloud_api.stores.models import Store

WATCH: Final = "payment.watch"
CLOSE: Final = "payment.close"
REFUND: Final = "refund.submit"
KEYS: Final = "payment.keys"  # ref: provider account id
_IN_FLIGHT: Final = timedelta(seconds=15)  # so long a create may still be on its way
REFUND_ENDS: Final = GIVEN_BACK | {"failed"}
_SYSTEM: Final = System()


class Paid(NamedTuple):
    """What a sum of attempts comes to, in fen."""

    paid: int
    refunded: int
    refunding: int


async def add_account(
    session: AsyncSession,
    *,
    merchant_id: str,
    provider: str,
    name: str,
    credentials: str,
    clocks: Clocks,
    store_id: str | None = None,
) -> ProviderAccount:
    """Store a merchant's account at a provider. ``credentials`` is the provider's JSON.

    Raises KaimenError ``payment.unknown_provider``.
    """
    if provider not in PROVIDERS:
        raise KaimenError(
            "payment.unknown_provider",
            _("不支持的支付方式：{provider}").format(provider=provider),
            status=422,
        )
    account = ProviderAccount(
        merchant_id=merchant_id,
        store_id=store_id,
        provider=provider,
        name=name,
        credentials=credentials,
        created_at=clocks.now,
    )
    session.add(account)
    await session.flush()
    if PROVIDERS[provider].keys:
        await schedule(
            session,
            merchant_id=merchant_id,
            kind=KEYS,
            ref=account.id,
            run_at=clocks.real,
            clock="wire",
        )
    return account


async def accounts_of(
    session: AsyncSession, store: Store, provider: str | None = None
) -> Sequence[ProviderAccount]:
    """The accounts that take money for ``store``, its own before the merchant's."""
    values = {"merchant_id": store.merchant_id, "store_id": store.id}
    found = (await session.exec(_accounts(), params=values)).all()
    of = [one for one in found if provider in (None, one.provider)]
    return sorted(of, key=lambda account: (account.store_id is None, account.position))


@built
def _accounts() -> SelectOfScalar[ProviderAccount]:
    return (
        scoped(_SYSTEM, ProviderAccount)
        .where(
            col(ProviderAccount.merchant_id) == bindparam("merchant_id"),
            col(ProviderAccount.enabled).is_(True),
            or_(
                col(ProviderAccount.store_id).is_(None),
                col(ProviderAccount.store_id) == bindparam("store_id"),
            ),
        )
        .order_by(col(ProviderAccount.id))
    )


async def open_payment(
    session: AsyncSession,
    *,
    store: Store,
    account_id: str,
    pays: str,
    number: str,
    amount_fen: int,
    subject: str,
    return_url: str,
    expires_at: datetime,
    provider: str,
    channel: str,
    clocks: Clocks,
    part_of: str | None = None,
    payer: Payer | None = None,
) -> PaymentAttempt:
    """Write an attempt, before any call. ``begin`` makes the call; a watch job sees to the rest.

    ``part_of`` is what it belongs to, where that is not what it pays for.
    Raises KaimenError ``payment.no_account`` where the merchant has none at ``provider`` that works,
    ``payment.channel`` where it cannot be paid in this way, ``payment.amount`` beyond its limits, and
    Conflict ``payment.payer_unknown`` where the channel must know who pays and nobody does.
    """
    account = ways.choose(
        await accounts_of(session, store, provider), channel, amount_fen, clocks.real
    )
    payer = payers.fitting(account, channel, payer)
    window = PROVIDERS[provider].window
    if window is not None:
        expires_at = min(expires_at, clocks.now + window)
    payment = PaymentAttempt(
        merchant_id=store.merchant_id,
        store_id=store.id,
        account_id=account_id,
        account_ref=account.id,
        provider=provider,
        channel=channel,
        subject=subject,
        return_url=return_url,
        pays=pays,
        part_of=part_of or pays,
        number=number,
        amount_fen=amount_fen,
        expires_at=expires_at,
        payer=None if payer is None else json.dumps(payer.kept()),
        created_at=clocks.now,
    )
    session.add(payment)
    await session.flush()
    await schedule(
        session,
        merchant_id=store.merchant_id,
        kind=WATCH,
        ref=payment.id,
        run_at=clocks.real + timedelta(seconds=3),
        clock="wire",
    )
    return payment


async def payments_of(session: AsyncSession, pays: str) -> Sequence[PaymentAttempt]:
    """All attempts for one thing, oldest first."""
    query = scoped(_SYSTEM, PaymentAttempt).where(col(PaymentAttempt.pays) == pays)
    return (await session.exec(query.order_by(col(PaymentAttempt.id)))).all()


async def payments_in(session: AsyncSession, part_of: str) -> Sequence[PaymentAttempt]:
    """All attempts that belong to one thing, whatever of it they pay for; oldest first."""
    query = scoped(_SYSTEM, PaymentAttempt).where(col(PaymentAttempt.part_of) == part_of)
    return (await session.exec(query.order_by(col(PaymentAttempt.id)))).all()


async def refunds_in(session: AsyncSession, part_of: str) -> Sequence[RefundAttempt]:
    """All refunds of the payments that belong to one thing, oldest first."""
    ids = select(col(PaymentAttempt.id)).where(col(PaymentAttempt.part_of) == part_of)
    query = scoped(_SYSTEM, RefundAttempt).where(col(RefundAttempt.payment_id).in_(ids))
    return (await session.exec(query.order_by(col(RefundAttempt.id)))).all()


async def refunds_of(session: AsyncSession, pays: str) -> Sequence[RefundAttempt]:
    """All refunds of the payments for one thing, oldest first."""
    ids = select(col(PaymentAttempt.id)).where(col(PaymentAttempt.pays) == pays)
    query = scoped(_SYSTEM, RefundAttempt).where(col(RefundAttempt.payment_id).in_(ids))
    return (await session.exec(query.order_by(col(RefundAttempt.id)))).all()


def sums(payments: Sequence[PaymentAttempt], refunds: Sequence[RefundAttempt]) -> Paid:
    """Paid (and applied), refunded, and on its way back, counted from the attempts themselves."""
    owed = [r for r in refunds if r.replaced_by is None and r.state not in GIVEN_BACK]
    return Paid(
        paid=sum(p.amount_fen for p in payments if p.applied is not None),
        refunded=sum(r.amount_fen for r in refunds if r.state in GIVEN_BACK),
        refunding=sum(r.amount_fen for r in owed),
    )


async def begin(cloud: Cloud, payment_id: str) -> PaymentAttempt:
    """Open the payment at the provider, or open it again under the same number."""
    known = await _attempt(cloud, payment_id)
    if house.is_house(known.provider):
        return known
    payment, provider, merchant = await _load(cloud, payment_id)
    if payment.state not in {"created", "unknown"} and not _step_is_old(cloud, payment):
        return payment
    least = timedelta(seconds=PROVIDERS[payment.provider].least_life_s)
    last = max(payment.expires_at, payment.created_at + least)
    # To the second the same at every call: providers refuse a number with another end.
    offset = timedelta(seconds=round((cloud.clocks.real - cloud.clocks.now).total_seconds()))
    view = await provider.create(
        Ask(
            number=payment.number,
            amount_fen=payment.amount_fen,
            subject=payment.subject,
            merchant_name=merchant,
            expires_at=last + offset,  # the provider lives by real time
            notify_url=notify_url(cloud, payment.provider, payment.account_ref),
            return_url=payment.return_url,
            opened_at=payment.created_at,
            channel=Channel(payment.channel),
            payer=Payer() if payment.payer is None else Payer(**json.loads(payment.payer)),
        )
    )
    async with cloud.db.write() as session:
        payment = await record_payment(session, payment_id, view, cloud.clocks)
        if payment.state == "closed" and view.state is Money.PENDING:
            await close_later(session, payment, cloud.clocks)  # closed here while it opened there
    return payment


async def look(cloud: Cloud, payment_id: str) -> PaymentAttempt:
    """Ask the provider where the payment stands, and take its word."""
    known = await _attempt(cloud, payment_id)
    if known.state == "succeeded":
        return known
    payment, provider, _ = await _load(cloud, payment_id)
    view = await provider.query(ref_of(payment, cloud.clocks))
    if view.state is Money.ABSENT and payment.state in {"created", "unknown"}:
        if payment.expires_at > cloud.clocks.now:
            return await begin(cloud, payment_id)
        return payment
    async with cloud.db.write() as session:
        return await record_payment(session, payment_id, view, cloud.clocks)


async def settle_or_close(cloud: Cloud, payment_id: str) -> str:
    """Find out: ``succeeded``, or closed for good (``closed``, ``failed``), or still ``unknown``."""
    payment, provider, _ = await _load(cloud, payment_id)
    if payment.state not in OPEN_PAYMENT:
        return payment.state
    view = await provider.query(ref_of(payment, cloud.clocks))
    if view.state is Money.PENDING:
        view = await provider.close(ref_of(payment, cloud.clocks))
    young = cloud.clocks.now - payment.created_at < _IN_FLIGHT
    if view.state is Money.ABSENT and not young:
        view = PaymentView(Money.CLOSED, payment.number, detail="never reached the provider")
    async with cloud.db.write() as session:
        payment = await record_payment(session, payment_id, view, cloud.clocks)
        if view.state is Money.UNKNOWN and payment.state == "pending":
            await move_payment(session, payment, "unknown", last_error=view.detail)
    return payment.state if payment.state not in OPEN_PAYMENT else "unknown"


async def close_later(session: AsyncSession, payment: PaymentAttempt, clocks: Clocks) -> None:
    """See to it that an open attempt can no longer be paid; a success is still taken note of."""
    await schedule(
        session,
        merchant_id=payment.merchant_id,
        kind=CLOSE,
        ref=payment.id,
        run_at=clocks.real,
        clock="wire",
    )


async def ask_refund(
    session: AsyncSession,
    payment_id: str,
    *,
    tag: str,
    amount_fen: int,
    reason: str,
    clocks: Clocks,
    purpose: str = "price",
) -> RefundAttempt:
    """Write a refund, to be submitted after the commit. The same ``tag`` again is the same refund.

    Its number is ``<payment number>-R<tag>``. What somebody gave back in the provider's own console is not
    given twice: only the rest is asked for, an alarm says so, and where nothing is left the answer is
    their refund. Raises Conflict ``refund.too_much`` if our own refunds of this payment would exceed it,
    ``refund.not_paid`` if it never succeeded.
    """
    payment = await lock_payment(session, payment_id)
    number = f"{payment.number}-R{tag}"
    known = await session.exec(select(RefundAttempt).where(col(RefundAttempt.number) == number))
    if (found := known.first()) is not None:
        return found
    if payment.state != "succeeded":
        raise Conflict("refund.not_paid", "这笔支付没有成功，不能退款")
    alive = scoped(_SYSTEM, RefundAttempt).where(
        col(RefundAttempt.payment_id) == payment.id, col(RefundAttempt.state) != "failed"
    )
    given = (await session.exec(alive.order_by(col(RefundAttempt.id)))).all()
    left = max(0, payment.amount_fen - sum(one.amount_fen for one in given))
    if amount_fen > left:
        theirs = [one for one in given if one.origin == "provider"]
        if amount_fen - left > sum(one.amount_fen for one in theirs):
            raise Conflict("refund.too_much", "退款金额超过了实付金额")
        await beyond(session, payment, amount_fen - left, clocks)
        if left == 0:
            await given_already(session, theirs[-1], tag, clocks)
            return theirs[-1]
        amount_fen = left
    refund = RefundAttempt(
        merchant_id=payment.merchant_id,
        store_id=payment.store_id,
        account_id=payment.account_id,
        payment_id=payment.id,
        number=number,
        amount_fen=amount_fen,
        reason=reason,
        purpose=purpose,
        created_at=clocks.now,
    )
    session.add(refund)
    await session.flush()
    await schedule(
        session,
        merchant_id=payment.merchant_id,
        kind=REFUND,
        ref=refund.id,
        run_at=clocks.real,
        clock="wire",
    )
    return refund


async def given_already(
    session: AsyncSession, refund: RefundAttempt, tag: str, clocks: Clocks
) -> None:
    """Nothing was left to ask for under ``tag`` but what the provider gave back already (``refund``): no more
    will be heard of that, so what was sold takes note of it once more.
    """
    await schedule(
        session,
        merchant_id=refund.merchant_id,
        kind=REFUND_CHANGED,
        ref=f"{refund.id}.{refund.version}.{tag}",
        run_at=clocks.real,
        clock="wire",
    )


async def push_refund(cloud: Cloud, refund_id: str) -> RefundAttempt:
    """Submit a refund, or ask where it stands; under its one number either way.

    One that the provider is stuck with is only asked about: a person decides whether it is tried again
    (``repair.ask_again``) or paid by hand.
    """
    async with cloud.db.read() as session:
        refund = await session.get_one(RefundAttempt, refund_id)
    if refund.state in REFUND_ENDS:
        return refund
    paid = await _attempt(cloud, refund.payment_id)
    if house.is_house(paid.provider):
        async with cloud.db.write() as session:
            refund = await lock_refund(session, refund_id)
            if refund.state in REFUND_ENDS:
                return refund
            give_back = house.method_of(paid.provider).give_back
            view = await give_back(session, refund, paid, cloud.clocks)
            return await record_refund(session, refund_id, view, cloud.clocks)
    payment, provider, _ = await _load(cloud, refund.payment_id)
    ask = refund_ask(cloud, payment, refund)
    told = None
    if refund.state not in {"created", "unknown"}:
        told = await provider.query_refund(ask)
    if told is None or (told.state is Back.ABSENT and refund.state != "abnormal"):
        told = await provider.refund(ask)
    async with cloud.db.write() as session:
        return await record_refund(session, refund_id, told, cloud.clocks)


async def waits_for_people(cloud: Cloud, refund: RefundAttempt) -> bool:
    """Whether nobody but a person can bring this refund about: cash, to be handed over."""
    paid = await _attempt(cloud, refund.payment_id)
    return house.is_house(paid.provider) and refund.state == "submitted"


def notify_path(provider: str, account_ref: str) -> str:
    """The path that a provider's notifications are sent to and signed for."""
    return f"/api/v1/payments/{provider}/{account_ref}/notify"


def notify_url(cloud: Cloud, provider: str, account_ref: str) -> str:
    """The address a provider is told to notify."""
    return cloud.settings.public_url.rstrip("/") + notify_path(provider, account_ref)


def ref_of(payment: PaymentAttempt, clocks: Clocks) -> PaymentRef:
    """A payment as providers are told of it."""
    return PaymentRef(
        payment.number,
        payment.amount_fen,
        payment.created_at,
        payment.provider_txn,
        clocks.real + (payment.expires_at - clocks.now),
    )


def refund_ask(cloud: Cloud, payment: PaymentAttempt, refund: RefundAttempt) -> RefundAsk:
    """A refund as providers are told of it."""
    return RefundAsk(
        number=refund.number,
        payment=ref_of(payment, cloud.clocks),
        amount_fen=refund.amount_fen,
        reason=refund.reason,
        notify_url=notify_url(cloud, payment.provider, payment.account_ref),
        asked_at=refund.created_at,
        provider_refund=refund.provider_refund,
    )


def foreign_ask(cloud: Cloud, payment: PaymentAttempt, number: str) -> RefundAsk:
    """A refund that we did not ask for, to look it up."""
    there = notify_url(cloud, payment.provider, payment.account_ref)
    return RefundAsk(number, ref_of(payment, cloud.clocks), 0, "", there, payment.created_at)


def provider_of(cloud: Cloud, account: ProviderAccount) -> PaymentProvider:
    """The provider behind an account."""
    around = Surroundings(cloud.http, cloud.clocks.wire, account.keys)
    return PROVIDERS[account.provider].make(account.credentials, around)


async def load(cloud: Cloud, payment_id: str) -> tuple[PaymentAttempt, PaymentProvider]:
    """A payment, and the provider that it went through."""
    payment, provider, _ = await _load(cloud, payment_id)
    return payment, provider


def _step_is_old(cloud: Cloud, payment: PaymentAttempt) -> bool:
    """Whether what the payer's page was given is worth nothing any more, and another can be had."""
    until = (payment.step or {}).get("until")
    return (
        payment.state == "pending"
        and until is not None
        and datetime.fromisoformat(until) <= cloud.clocks.real
        and payment.expires_at > cloud.clocks.now
    )


async def _attempt(cloud: Cloud, payment_id: str) -> PaymentAttempt:
    async with cloud.db.read() as session:
        return await session.get_one(PaymentAttempt, payment_id)


async def _load(cloud: Cloud, payment_id: str) -> tuple[PaymentAttempt, PaymentProvider, str]:
    async with cloud.db.read() as session:
        payment = await session.get_one(PaymentAttempt, payment_id)
        account = await session.get_one(ProviderAccount, payment.account_ref)
        store = await session.get_one(Store, payment.store_id)
    return payment, provider_of(cloud, account), store.name
