"""A store's live credential: whose MACs are believed, which broker users exist."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from sqlalchemy import Select, Text, type_coerce
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.devices.models import MAC_KEY, StoreCredential
from cloud_api.kit.actor import System, scoped
from cloud_api.kit.crypto import Vault, vault
from cloud_api.kit.statements import among, built, is_sqlite
from cloud_api.store_channel.mosquitto import Revoked
from store_link.signing import MacKey


@dataclass(frozen=True, slots=True)
class Trusted:
    """A store that is enrolled: whose it is and what it seals with."""

    merchant_id: str
    store_id: str
    mqtt_user: str
    mac: MacKey


async def trusted(session: AsyncSession, store_id: str) -> Trusted | None:
    """The live credential of a store; None where it has none (never enrolled, or revoked)."""
    return (await trusted_of(session, [store_id])).get(store_id)


async def trusted_of(session: AsyncSession, store_ids: Collection[str]) -> dict[str, Trusted]:
    """The live credentials of many stores by store; those that have none are left out."""
    query = _live(is_sqlite(session))
    found = (await session.execute(query, {"stores": list(store_ids)})).all()
    return {
        store_id: Trusted(merchant_id, store_id, user, _mac(vault(), kid, sealed))
        for merchant_id, store_id, user, kid, sealed in found
    }


@built
def _live(sqlite: bool) -> Select[str, str, str, str, str]:
    """Of the live ones; the key as it stands in the table, sealed."""
    return (
        scoped(System(), StoreCredential)
        .where(
            among(col(StoreCredential.store_id), "stores", sqlite=sqlite),
            col(StoreCredential.revoked_at).is_(None),
        )
        .with_only_columns(
            col(StoreCredential.merchant_id),
            col(StoreCredential.store_id),
            col(StoreCredential.mqtt_user),
            col(StoreCredential.mac_kid),
            type_coerce(col(StoreCredential.mac_key), Text),
        )
    )


@lru_cache(maxsize=20_000)
def _mac(box: Vault, kid: str, sealed: str) -> MacKey:
    """Unsealed once per process: whether it is still believed, the table is asked each time."""
    return MacKey(kid, bytes.fromhex(box.open(sealed, MAC_KEY)))


async def broker_users(session: AsyncSession) -> list[tuple[str, str]]:
    """``(mqtt_user, store_id)`` of every live credential."""
    query = scoped(System(), StoreCredential).where(col(StoreCredential.revoked_at).is_(None))
    return [(row.mqtt_user, row.store_id) for row in await session.exec(query)]


async def revoked_credentials(session: AsyncSession, now: datetime) -> list[Revoked]:
    """Certificates that were ended before their time and would still be taken at ``now``."""
    query = scoped(System(), StoreCredential).where(
        col(StoreCredential.revoked_at).is_not(None), col(StoreCredential.expires_at) > now
    )
    found = []
    for row in await session.exec(query):
        assert row.revoked_at is not None
        found.append(Revoked(row.serial, row.store_id, row.revoked_at))
        if row.earlier_serial and row.earlier_expires_at and row.earlier_expires_at > now:
            found.append(Revoked(row.earlier_serial, row.store_id, row.revoked_at))
    return found


async def enrolled_stores(session: AsyncSession) -> list[str]:
    """Ids of the stores that have a live credential."""
    return [store_id for _, store_id in await broker_users(session)]
