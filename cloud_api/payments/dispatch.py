"""Whose money it is: each kind of what a payment pays for (``pays`` = "kind:id") says what happens then.

Payments know neither orders nor anything else that is sold. A package above registers its kind once
(in its ``jobs`` module): ``settle`` gives money that arrived its one effect, ``refund_changed`` takes
note of a refund's new state, ``closed`` hears of an attempt that ended without money. ``observe`` is
for who keeps books of all money whatever it is for (the ledger, reserved balance): observers run
first, in the same transaction. Everything here may be called again and again for the same thing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import structlog
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.kit.clocks import Clocks
from cloud_api.payments.models import PaymentAttempt, RefundAttempt

Handler = Callable[[AsyncSession, str, Clocks], Awaitable[None]]
"""Gets the id of a payment (``settle``, ``closed``) or of a refund (``refund_changed``)."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Kind:
    """What a kind does; each of them idempotent, in the caller's transaction."""

    settle: Handler | None = None
    refund_changed: Handler | None = None
    closed: Handler | None = None


_kinds: Final[dict[str, Kind]] = {}
_observers: Final[dict[str, Kind]] = {}


def register(
    kind: str,
    *,
    settle: Handler,
    refund_changed: Handler | None = None,
    closed: Handler | None = None,
) -> None:
    """Say what money for ``"<kind>:<id>"`` does. Raises ValueError for a kind that is taken."""
    _add(_kinds, kind, Kind(settle, refund_changed, closed))


def observe(
    name: str,
    *,
    settle: Handler | None = None,
    refund_changed: Handler | None = None,
    closed: Handler | None = None,
) -> None:
    """Hear of all money, before its kind does. Raises ValueError for a name that is taken."""
    _add(_observers, name, Kind(settle, refund_changed, closed))


def kind_of(pays: str) -> str:
    """``order`` of ``order:01J…``."""
    return pays.partition(":")[0]


def ref_of(pays: str) -> str:
    """``01J…`` of ``order:01J…``."""
    return pays.partition(":")[2]


async def settle(session: AsyncSession, payment_id: str, clocks: Clocks) -> None:
    """Let a payment that succeeded have its one effect; again changes nothing."""
    payment = await session.get_one(PaymentAttempt, payment_id)
    if payment.state != "succeeded":
        return
    for observer in _observers.values():
        if observer.settle is not None:
            await observer.settle(session, payment_id, clocks)
    kind = _kinds.get(kind_of(payment.pays))
    if kind is None or kind.settle is None:
        _log.error("payment.of_no_kind", number=payment.number, pays=payment.pays)
        return
    await kind.settle(session, payment_id, clocks)


async def refund_changed(session: AsyncSession, refund_id: str, clocks: Clocks) -> None:
    """Take note of a refund's new state; again changes nothing."""
    refund = await session.get_one(RefundAttempt, refund_id)
    payment = await session.get_one(PaymentAttempt, refund.payment_id)
    await _each(payment.pays, "refund_changed", session, refund_id, clocks)


async def closed(session: AsyncSession, payment_id: str, clocks: Clocks) -> None:
    """An attempt ended without money; again changes nothing. Money may still come after all."""
    payment = await session.get_one(PaymentAttempt, payment_id)
    if payment.state in {"closed", "failed"}:
        await _each(payment.pays, "closed", session, payment_id, clocks)


async def _each(pays: str, what: str, session: AsyncSession, ref: str, clocks: Clocks) -> None:
    known = [*_observers.values()]
    if (kind := _kinds.get(kind_of(pays))) is not None:
        known.append(kind)
    for one in known:
        handler: Handler | None = getattr(one, what)
        if handler is not None:
            await handler(session, ref, clocks)


def _add(into: dict[str, Kind], name: str, kind: Kind) -> None:
    if name in into and into[name] != kind:
        raise ValueError(f"{name} is registered already")
    into[name] = kind
