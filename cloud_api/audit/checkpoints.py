"""Signed ends of chains: made daily, before pruning, after a restore; also kept beside the database.

A copy of each goes to ``data_dir/audit-checkpoints.jsonl`` and, as one line, to the log: whoever cuts
entries and their checkpoints out of the database has not reached those.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal

import structlog
from sqlalchemy import delete
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.audit.canonical import instant
from cloud_api.audit.models import AuditCheckpoint, AuditEntry, AuditHead
from cloud_api.audit.service import lock_head
from cloud_api.audit.signing import load_keys
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.database import after_commit
from cloud_api.kit.errors import KaimenError
from cloud_api.kit.files import locked

Kind = Literal["daily", "prune", "restore"]
FILE: Final = "audit-checkpoints.jsonl"

_log = structlog.get_logger(__name__)


async def sign_all(cloud: Cloud, kind: Kind = "daily") -> int:
    """A checkpoint for every chain that grew since its last one; how many were made."""
    async with cloud.db.read() as session:
        merchants = (await session.exec(select(col(AuditHead.merchant_id)))).all()
    made = 0
    for merchant_id in sorted(merchants):
        async with cloud.db.write() as session:
            found = await sign(session, merchant_id, kind, cloud.clocks, cloud.settings.data_dir)
        made += found is not None
    return made


async def sign(
    session: AsyncSession, merchant_id: str, kind: Kind, clocks: Clocks, data_dir: Path
) -> AuditCheckpoint | None:
    """Sign the chain's present end; None for a daily one that would say nothing new."""
    head = await lock_head(session, merchant_id)
    last = await _last(session, merchant_id)
    if kind == "daily" and (head.seq == 0 or (last is not None and last.seq == head.seq)):
        return None
    return await _add(
        session, merchant_id, kind, head.seq, head.hash, clocks.real, data_dir, last=last
    )


async def prune(
    session: AsyncSession, merchant_id: str, before: datetime, clocks: Clocks, data_dir: Path
) -> int:
    """Delete the entries of ``merchant_id`` from before ``before`` (wire time); how many went.

    First signs a ``prune`` checkpoint of the last that goes: the database deletes no further than
    that, and the chain of what stays begins at it. Raises KaimenError ``audit.too_young`` (409) for
    what is less than a year old: the audit is the merchant's evidence.
    """
    if (clocks.real - before).days < 365:
        raise KaimenError("audit.too_young", "操作记录至少要保留一年", status=409)
    await lock_head(session, merchant_id)
    entries = select(AuditEntry).where(col(AuditEntry.merchant_id) == merchant_id)
    end = (
        await session.exec(
            entries.where(col(AuditEntry.wire_at) < before)
            .order_by(col(AuditEntry.seq).desc())
            .limit(1)
        )
    ).one_or_none()
    if end is None:
        return 0
    last = await _last(session, merchant_id)
    await _add(session, merchant_id, "prune", end.seq, end.hash, clocks.real, data_dir, last=last)
    gone = await session.execute(
        delete(AuditEntry)
        .where(col(AuditEntry.merchant_id) == merchant_id, col(AuditEntry.seq) <= end.seq)
        .returning(col(AuditEntry.seq))
        .execution_options(synchronize_session=False)
    )
    return len(gone.all())


async def of_chain(session: AsyncSession, merchant_id: str) -> list[AuditCheckpoint]:
    """The checkpoints of a chain, oldest first."""
    query = select(AuditCheckpoint).where(col(AuditCheckpoint.merchant_id) == merchant_id)
    return list((await session.exec(query.order_by(col(AuditCheckpoint.number)))).all())


def to_json(checkpoint: AuditCheckpoint) -> dict[str, Any]:
    """A checkpoint as a line of a file."""
    return {
        "id": checkpoint.id,
        "merchant_id": checkpoint.merchant_id,
        "number": checkpoint.number,
        "kind": checkpoint.kind,
        "seq": checkpoint.seq,
        "hash": checkpoint.hash,
        "at": instant(checkpoint.at),
        "kid": checkpoint.kid,
        "signature": checkpoint.signature,
    }


def read_lines(lines: Sequence[str]) -> list[AuditCheckpoint]:
    """Checkpoints from lines of a file; a line that a crash cut short at the end counts as none."""
    found = []
    for line in lines:
        try:
            read = json.loads(line)
            read["at"] = datetime.fromisoformat(read["at"])
            found.append(AuditCheckpoint(**read))
        except (ValueError, KeyError, TypeError):
            continue
    return found


def kept(data_dir: Path) -> list[AuditCheckpoint]:
    """The copies that are kept beside the database."""
    path = data_dir / FILE
    return read_lines(path.read_text().splitlines()) if path.exists() else []


async def _last(session: AsyncSession, merchant_id: str) -> AuditCheckpoint | None:
    query = (
        select(AuditCheckpoint)
        .where(col(AuditCheckpoint.merchant_id) == merchant_id)
        .order_by(col(AuditCheckpoint.number).desc())
        .limit(1)
    )
    return (await session.exec(query)).one_or_none()


async def _add(
    session: AsyncSession,
    merchant_id: str,
    kind: Kind,
    seq: int,
    hashed: str,
    now: datetime,
    data_dir: Path,
    *,
    last: AuditCheckpoint | None,
) -> AuditCheckpoint:
    made = AuditCheckpoint(
        merchant_id=merchant_id,
        number=1 if last is None else last.number + 1,
        kind=kind,
        seq=seq,
        hash=hashed,
        at=now,
        kid="",
        signature="",
    )
    load_keys(data_dir).sign(made)
    session.add(made)
    await session.flush()
    after_commit(session, lambda: _keep(data_dir, made))
    return made


def _keep(data_dir: Path, checkpoint: AuditCheckpoint) -> None:
    line = to_json(checkpoint)
    _log.info("audit.checkpoint", checkpoint=line)
    with locked(data_dir), (data_dir / FILE).open("a") as file:
        file.write(json.dumps(line, separators=(",", ":")) + "\n")
