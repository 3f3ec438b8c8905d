"""Collecting money for something of an order, and giving some back: what changes and extensions call.

``collect`` opens a payment for ``"<kind>:<id>"`` beside the order; after the commit call
``payments.service.begin(cloud, payment.id)``, as ``pay.pay`` does. The kind's ``settle``, registered
with ``payments.dispatch`` in ``orders/jobs.py``, lets the money have its effect: lock the order
(``system_lock``), then the payment (``lock_payment``); return unless it is ``succeeded`` and not yet
``applied``; act; ``note_payment(applied=…)``; ``sums.recount``. Kinds in ``books.PRICE`` count as paid for
the order's price. ``give_back`` sends money back over that order's payments in the order it came.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.kit.clocks import Clocks
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.errors import Conflict, KaimenError
from cloud_api.orders.books import PRICE, part_of
from cloud_api.orders.models import Order
from cloud_api.orders.transitions import note
from cloud_api.payments import dispatch
from cloud_api.payments import service as payments
from cloud_api.payments.dispatch import kind_of
from cloud_api.payments.models import PaymentAttempt, RefundAttempt
from cloud_api.payments.providers.base import Payer
from cloud_api.payments.records import beyond
from cloud_api.payments.transitions import OPEN_PAYMENT
from cloud_api.stored_value import paying
from cloud_api.stores.models import Store

_LETTER: Final = {"order": "", "overtime": "T", "change": "C", "extension": "E", "deposit": "D"}


async def collect(
    session: AsyncSession,
    cloud: Cloud,
    order: Order,
    *,
    pays: str,
    amount_fen: int,
    subject: str,
    expires_at: datetime,
    provider: str,
    channel: str = "page",
    return_path: str | None = None,
    payer: Payer | None = None,
    balance_fen: int = 0,
) -> PaymentAttempt:
    """Open a payment for ``pays`` (``"extension:<id>"``), or give back the one that is open.

    ``order`` is locked by the caller. ``expires_at`` is business time, ``return_path`` a path of this
    site. ``balance`` as provider pays at once out of the guest's balance; ``balance_fen`` of it is held
    beside an attempt at another provider for the order itself. Raises Conflict ``balance.too_little``,
    KaimenError ``pay.balance``, Conflict ``order.not_payable`` where money for it came already,
    ``payment.pending_elsewhere`` where an attempt at another provider is open, and what opening raises.
    """
    path = local_path(return_path) or f"/orders/{order.id}/pay"
    tried = await payments.payments_in(session, part_of(order.id))
    attempts = [one for one in tried if one.pays == pays]
    done = [one for one in attempts if (one.applied or "").endswith(("_refunded", "_part"))]
    if any(one.state == "succeeded" and one not in done for one in attempts):
        raise Conflict("order.not_payable", "钱已到账，正在确认订单", status_now="paid")
    for attempt in attempts:
        if attempt.state in OPEN_PAYMENT:
            if (attempt.provider, attempt.channel) != (provider, channel):
                raise Conflict(
                    "payment.pending_elsewhere",
                    "上一次支付还没有结果，请先完成它，或等它关闭",
                    provider=attempt.provider,
                )
            return attempt
    count = 1 + sum(1 for one in tried if kind_of(one.pays) == kind_of(pays) and not one.with_id)
    number = f"{order.number}-{_LETTER.get(kind_of(pays), 'X')}{count}"
    store = await session.get_one(Store, order.store_id)
    if provider == paying.BALANCE:
        payment = await paying.pay_all(
            session,
            store=store,
            account_id=order.account_id,
            pays=pays,
            part_of=part_of(order.id),
            number=number,
            amount_fen=amount_fen,
            subject=subject,
            expires_at=expires_at,
            clocks=cloud.clocks,
        )
        await dispatch.settle(session, payment.id, cloud.clocks)
        return payment
    if balance_fen and not (kind_of(pays) == "order" and 0 < balance_fen < amount_fen):
        raise KaimenError(
            "pay.balance", "余额要付的部分不对，请重新选", status=422, field="balance_fen"
        )
    payment = await payments.open_payment(
        session,
        store=store,
        account_id=order.account_id,
        pays=pays,
        part_of=part_of(order.id),
        number=number,
        amount_fen=amount_fen - balance_fen,
        subject=subject,
        return_url=cloud.settings.public_url.rstrip("/") + path,
        expires_at=expires_at,
        provider=provider,
        channel=channel,
        clocks=cloud.clocks,
        payer=payer,
    )
    if balance_fen:
        await paying.hold(session, payment, balance_fen, cloud.clocks)
    await note(
        session,
        order,
        "payment_opened",
        by=f"customer:{order.account_id}",
        clocks=cloud.clocks,
        body={"payment": payment.number, "provider": provider},
    )
    return payment


async def give_back(
    session: AsyncSession,
    order: Order,
    amount_fen: int,
    *,
    tag: str,
    reason: str,
    by: str,
    clocks: Clocks,
    purpose: str = "price",
) -> list[RefundAttempt]:
    """Ask for ``amount_fen`` back, spread over the order's payments in the order their money came.

    ``order`` is locked by the caller. ``tag`` (letters and digits) names this giving back within the
    order: the same tag again asks for nothing more and returns what was asked. What somebody gave back
    in the provider's own console is not given twice, with an alarm. Raises Conflict ``refund.too_much``
    where less than that was paid and not yet given back.
    """
    refunds = await payments.refunds_in(session, part_of(order.id))
    known = [one for one in refunds if one.number.rpartition("-R")[2] == tag]
    if known or amount_fen == 0:
        return known
    left = amount_fen
    asked = []
    paying_it = await _paying(session, order)
    for payment, rest in left_of(paying_it, refunds):
        part = min(left, rest)
        if part > 0:
            left -= part
            asked.append(
                await payments.ask_refund(
                    session,
                    payment.id,
                    tag=tag,
                    amount_fen=part,
                    reason=reason,
                    purpose=purpose,
                    clocks=clocks,
                )
            )
    if left:
        by_id = {one.id: one for one in paying_it}
        theirs = [
            one for one in refunds if one.origin == "provider" and one.payment_id in by_id
        ]  # of what was paid for overtime nothing is given back here
        if left > sum(one.amount_fen for one in theirs):
            raise Conflict("refund.too_much", "退款金额超过了实付金额")
        await beyond(session, by_id[theirs[-1].payment_id], left, clocks)
    if asked:
        body = {"amount_fen": amount_fen - left}
        await note(session, order, "refund_asked", by=by, clocks=clocks, body=body)
    return asked


def left_of(
    paid: Sequence[PaymentAttempt], refunds: Sequence[RefundAttempt]
) -> list[tuple[PaymentAttempt, int]]:
    """What of each applied payment was not yet asked back, in fen, in the order the money came."""
    came = sorted(
        (one for one in paid if one.state == "succeeded" and one.applied is not None),
        key=lambda one: (one.succeeded_at or one.created_at, one.id),
    )
    return [
        (
            one,
            one.amount_fen
            - sum(r.amount_fen for r in refunds if r.payment_id == one.id and r.state != "failed"),
        )
        for one in came
    ]


def free_tag(refunds: Sequence[RefundAttempt], prefix: str = "") -> str:
    """The first of 1, 2, 3 … behind ``prefix`` that no refund of the order carries."""
    taken = {one.number.rpartition("-R")[2] for one in refunds}
    return next(f"{prefix}{n}" for n in range(1, len(taken) + 2) if f"{prefix}{n}" not in taken)


def local_path(path: str | None) -> str | None:
    """A path of this site to come back to. Raises KaimenError ``pay.return_path`` for anything else."""
    if path is None:
        return None
    if not path.startswith("/") or path.startswith("//") or "\\" in path or not path.isprintable():
        raise KaimenError(
            "pay.return_path", "返回地址要是本站的路径", status=422, field="return_path"
        )
    return path


async def _paying(session: AsyncSession, order: Order) -> list[PaymentAttempt]:
    tried = await payments.payments_in(session, part_of(order.id))
    return [one for one in tried if kind_of(one.pays) in PRICE]
