"""What the database itself refuses, put up after every migration and every restore."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncConnection

from cloud_api.audit import guard as audit_guard
from cloud_api.claims import guard as claims_guard
from cloud_api.ledger import guard as ledger_guard


async def install(connection: AsyncConnection) -> None:
    """Put up all guards; safe to run again."""
    await claims_guard.install(connection)
    await audit_guard.install(connection)
    await ledger_guard.install(connection)


async def missing(connection: AsyncConnection) -> list[str]:
    """Which guards do not stand: ``overlap_guard``, ``audit_guard``, ``ledger_guard``."""
    gone = []
    if not await claims_guard.present(connection):
        gone.append("overlap_guard")
    if not await audit_guard.present(connection):
        gone.append("audit_guard")
    if not await ledger_guard.present(connection):
        gone.append("ledger_guard")
    return gone
