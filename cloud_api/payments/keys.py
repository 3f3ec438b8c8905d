"""Providers' public keys that change over the years: fetched now and again, kept with the account."""

from __future__ import annotations

from typing import Final

from sqlalchemy import update
from sqlmodel import col

from cloud_api.kit.cloud import Cloud
from cloud_api.payments.models import ProviderAccount
from cloud_api.payments.service import provider_of

EVERY_S: Final = 12 * 3600  # WeChat Pay asks merchants to look for new certificates this often


async def fetch(cloud: Cloud, account_id: str) -> bool:
    """Fetch and keep them; False where the provider did not answer, and the old ones stay."""
    async with cloud.db.read() as session:
        account = await session.get(ProviderAccount, account_id)
    if account is None or not account.enabled:
        return True
    found = dict(await provider_of(cloud, account).fetch_keys())
    if not found:
        return False
    async with cloud.db.write() as session:
        await session.exec(
            update(ProviderAccount)
            .where(col(ProviderAccount.id) == account_id)
            .values(keys=found, keys_at=cloud.clocks.real)
            .execution_options(synchronize_session=False)
        )
    return True
