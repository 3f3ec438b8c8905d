"""How something can be paid for: a merchant's accounts that work, within their limits, in their order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cloud_api.kit.errors import KaimenError
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.money import yuan
from cloud_api.payments.found_out import found_out
from cloud_api.payments.house import LABELS
from cloud_api.payments.models import ProviderAccount
from cloud_api.payments.payers import can_ask
from cloud_api.payments.providers import PROVIDERS
from cloud_api.payments.setups import setup_of

_USUAL: Final = frozenset(kind.label for kind in PROVIDERS.values())


@dataclass(frozen=True, slots=True)
class Way:
    """A provider and one of its channels, as payers read them."""

    provider: str
    channel: str
    name: str
    note: str
    icon: str


def label_of(provider: str) -> str:
    """A provider as people read it; the house's own ways too."""
    return PROVIDERS[provider].label if provider in PROVIDERS else LABELS.get(provider, provider)


def name_of(account: ProviderAccount) -> str:
    """What payers read: the provider's usual name in their language, or what the owner calls it."""
    return _(account.name) if account.name in _USUAL else account.name


def works(account: ProviderAccount, real: datetime) -> bool:
    """Whether the account could take money now: its credentials are whole, its certificate is valid."""
    kind = PROVIDERS.get(account.provider)
    if kind is None or not account.enabled:
        return False
    if account.expires_at is not None and account.expires_at <= real:
        return False
    return found_out(
        f"{account.provider}: whole",
        account.credentials,
        lambda: _whole(account.provider, account.credentials),
    )


def _whole(provider: str, credentials: str) -> bool:
    try:
        PROVIDERS[provider].credentials.model_validate_json(credentials)
    except ValueError:
        return False
    return True


def channels_of(account: ProviderAccount) -> list[str]:
    """The channels that are open, in the provider's order."""
    mine = [channel.value for channel in PROVIDERS[account.provider].channels]
    return [channel for channel in mine if not account.channels or channel in account.channels]


def within(account: ProviderAccount, amount_fen: int) -> bool:
    """Whether the account takes such an amount."""
    low, high = account.min_fen or 0, account.max_fen
    return low <= amount_fen and (high is None or amount_fen <= high)


def first_of_each(accounts: Sequence[ProviderAccount], real: datetime) -> list[ProviderAccount]:
    """One account per provider, a store's own before the merchant's, in the owner's order."""
    chosen: dict[str, ProviderAccount] = {}
    for account in accounts:
        if account.provider not in chosen and works(account, real):
            chosen[account.provider] = account
    return sorted(chosen.values(), key=lambda account: (account.position, account.id))


def ways_of(accounts: Sequence[ProviderAccount], amount_fen: int, real: datetime) -> list[Way]:
    """Every way to pay ``amount_fen``."""
    return [
        Way(account.provider, channel, name_of(account), setup.hint, setup.icon)
        for account in first_of_each(accounts, real)
        if within(account, amount_fen)
        for setup in (setup_of(account.provider),)
        for channel in channels_of(account)
        if can_ask(account, channel)
    ]


def choose(
    accounts: Sequence[ProviderAccount], channel: str, amount_fen: int, real: datetime
) -> ProviderAccount:
    """The account that takes a payment. Raises KaimenError: ``payment.no_account``,
    ``payment.channel``, ``payment.amount`` (with ``min_fen`` and ``max_fen``).
    """
    found = first_of_each(accounts, real)
    if not found:
        raise KaimenError(
            "payment.no_account",
            "门店还没有开通这种支付方式，请换一种",
            status=422,
            field="provider",
        )
    account = found[0]
    if channel not in channels_of(account) or not can_ask(account, channel):
        raise KaimenError(
            "payment.channel", "这里不能这样付，请换一种方式", status=422, field="channel"
        )
    if not within(account, amount_fen):
        low, high = account.min_fen, account.max_fen
        bounds = _("，").join(
            text
            for text in (
                _("最少 {money}").format(money=yuan(low)) if low is not None else "",
                _("最多 {money}").format(money=yuan(high)) if high is not None else "",
            )
            if text
        )
        raise KaimenError(
            "payment.amount",
            _("{name}每笔{bounds}，请换一种方式").format(name=name_of(account), bounds=bounds),
            status=422,
            field="provider",
            extra={"min_fen": low, "max_fen": high},
        )
    return account
