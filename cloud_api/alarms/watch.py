"""What nobody reports by itself: full disks, certificates that run out, jobs that died. Looked at here.

Signals are idempotent, so every worker process may look. What belongs to the installation (its disk)
is raised to the merchant who was there first: who set it up.
"""

from __future__ import annotations

import asyncio
import shutil
from datetime import timedelta
from typing import Final

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import col, select

from cloud_api.alarms.rules import RULES, rules_of
from cloud_api.devices.models import StoreCredential
from cloud_api.kit.actor import System, scoped
from cloud_api.kit.alarm_signals import Level, assert_levels
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.dates import days
from cloud_api.kit.models import DueJob
from cloud_api.merchants.models import Merchant
from cloud_api.payments.models import ProviderAccount

EVERY_S: Final = 60.0
_MANY: Final = 200  # dead jobs that get an alarm each; more say nothing new

_log = structlog.get_logger(__name__)


async def run(cloud: Cloud, stop: asyncio.Event) -> None:
    """Look every minute until ``stop``."""
    while not stop.is_set():
        try:
            await look(cloud)
        except (SQLAlchemyError, OSError):
            _log.exception("alarms.watch_failed")
        try:
            await asyncio.wait_for(stop.wait(), EVERY_S)
        except TimeoutError:
            continue


async def look(cloud: Cloud) -> None:
    """Once: the disk, then each merchant's certificates and jobs."""
    async with cloud.db.read() as session:
        merchants = (await session.exec(select(col(Merchant.id)).order_by(col(Merchant.id)))).all()
    for index, merchant_id in enumerate(merchants):
        if index == 0:
            await _disk(cloud, merchant_id)
        await _certificates(cloud, merchant_id)
        await _jobs(cloud, merchant_id)


async def _disk(cloud: Cloud, merchant_id: str) -> None:
    folder = cloud.settings.data_dir
    if not folder.exists():
        return
    usage = await asyncio.to_thread(shutil.disk_usage, folder)
    free = 100 * usage.free / usage.total
    async with cloud.db.write() as session:
        limit = (await rules_of(session, merchant_id))["disk.low"].threshold or 0.0
        data = {"detail": f"{free:.0f}%"}
        await assert_levels(
            session,
            merchant_id=merchant_id,
            store_id=None,
            kinds=("disk.low",),
            levels={("disk.low", "disk:data"): (free < limit, data)},
            at=cloud.clocks.real,
        )


async def _certificates(cloud: Cloud, merchant_id: str) -> None:
    """The controllers' client certificates, and those that payment accounts sign with.

    A store whose certificate is over is shut out; an account's is not shown to payers any more.
    """
    now = cloud.clocks.real
    async with cloud.db.read() as session:
        days = (await rules_of(session, merchant_id))["certificate.expiring"].threshold
        query = scoped(System(), StoreCredential).where(
            col(StoreCredential.merchant_id) == merchant_id,
            col(StoreCredential.revoked_at).is_(None),
        )
        live = (await session.exec(query)).all()
        paid_by = scoped(System(), ProviderAccount).where(
            col(ProviderAccount.merchant_id) == merchant_id
        )
        accounts = (await session.exec(paid_by)).all()
    ahead = timedelta(days=days or RULES["certificate.expiring"].threshold or 0)
    by_store: dict[str | None, dict[tuple[str, str], Level]] = {}
    for one in live:
        left = one.expires_at - now
        key = ("certificate.expiring", f"credential:{one.id}")
        by_store.setdefault(one.store_id, {})[key] = (left < ahead, _days(left))
    for account in accounts:
        key = ("certificate.expiring", f"payment_account:{account.id}")
        left = (account.expires_at or now + ahead) - now
        soon = account.enabled and left < ahead
        by_store.setdefault(account.store_id, {})[key] = (
            soon,
            _days(left) | {"name": account.name},
        )
    for store_id, levels in by_store.items():
        async with cloud.db.write() as session:
            await assert_levels(
                session,
                merchant_id=merchant_id,
                store_id=store_id,
                kinds=("certificate.expiring",),
                levels=levels,
                at=now,
            )


def _days(left: timedelta) -> dict[str, str]:
    return {"detail": days(max(0, left.days))}


async def _jobs(cloud: Cloud, merchant_id: str) -> None:
    query = (
        scoped(System(), DueJob)
        .where(
            col(DueJob.merchant_id) == merchant_id,
            col(DueJob.dead_at).is_not(None),
            col(DueJob.done_at).is_(None),
        )
        .order_by(col(DueJob.dead_at).desc())
        .limit(_MANY)
    )
    async with cloud.db.read() as session:
        dead = (await session.exec(query)).all()
    levels: dict[tuple[str, str], Level] = {
        ("job.dead", f"job:{job.id}"): (True, {"detail": job.kind}) for job in dead
    }
    async with cloud.db.write() as session:
        await assert_levels(
            session,
            merchant_id=merchant_id,
            store_id=None,
            kinds=("job.dead",),
            levels=levels,
            at=cloud.clocks.real,
        )
