"""Payment providers behind the one port: by name, how to make one from an account's credentials."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import httpx

from cloud_api.payments.providers import cashier
from cloud_api.payments.providers.base import PaymentProvider
from store_link.clock import Clock

Factory = Callable[[str, httpx.AsyncClient, Clock], PaymentProvider]

PROVIDERS: Final[dict[str, Factory]] = {"cashier": cashier.make}
"""``factory(credentials_json, http, wire_clock)``. A provider is added here and nowhere else."""
