"""The ways something may be paid, in the owner's order, with a balance alone or beside another way."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.money import yuan
from cloud_api.orders.schemas import PayWayOut
from cloud_api.payments.models import ProviderAccount
from cloud_api.payments.ways import Way, ways_of
from cloud_api.stored_value.paying import BALANCE


def with_balance(
    accounts: Sequence[ProviderAccount],
    amount_fen: int,
    has_fen: int,
    real: datetime,
    *,
    part: bool,
) -> list[PayWayOut]:
    """``has_fen`` of a balance pays all where it reaches; with ``part``, else what it can beside another."""
    ways = [_way(way) for way in ways_of(accounts, amount_fen, real)]
    if has_fen >= amount_fen > 0:
        ways.insert(0, _balance(has_fen))
    elif has_fen and part:
        beside = ways_of(accounts, amount_fen - has_fen, real)
        ways += [_way(way, has_fen) for way in beside if way.provider == beside[0].provider]
    return ways


def _way(way: Way, balance_fen: int = 0) -> PayWayOut:
    name = way.name
    if balance_fen:
        name = _("{name}，先用余额 {m}").format(name=name, m=yuan(balance_fen))
    return PayWayOut(
        provider=way.provider,
        channel=way.channel,
        name=name,
        note=_(way.note),
        icon=way.icon,
        balance_fen=balance_fen,
    )


def _balance(has_fen: int) -> PayWayOut:
    return PayWayOut(
        provider=BALANCE,
        channel="house",
        name=_("余额"),
        note=_("还有 {m}").format(m=yuan(has_fen)),
        icon="wallet",
    )
