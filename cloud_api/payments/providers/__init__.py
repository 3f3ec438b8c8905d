"""Payment providers behind the one port: by name, what they are and how one is made for an account."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from pydantic import BaseModel

from cloud_api.payments.providers import cashier
from cloud_api.payments.providers.base import BillHours, Channel, PaymentProvider, Surroundings


@dataclass(frozen=True, slots=True)
class ProviderKind:
    """A kind of provider. ``credentials`` says what an account needs; it is stored as its JSON."""

    label: str  # as payers read it
    make: Callable[[str, Surroundings], PaymentProvider]
    credentials: type[BaseModel]
    channels: tuple[Channel, ...]  # the first is taken where nobody chose
    bills: BillHours | None = None
    keys: bool = False  # whether there are public keys to fetch, again and again


PROVIDERS: Final[dict[str, ProviderKind]] = {
    "cashier": ProviderKind("收银台", cashier.make, cashier.CashierAccount, (Channel.PAGE,)),
}
"""A provider is added here and nowhere else."""
