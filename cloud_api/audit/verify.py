"""Reading a chain from its beginning and naming the first thing that is not as it was written."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.audit import chain, checkpoints
from cloud_api.audit.models import AuditCheckpoint, AuditEntry, AuditHead
from cloud_api.audit.signing import is_genuine, load_keys
from cloud_api.kit.database import Database

BATCH = 1000


@dataclass(slots=True)
class Verdict:
    """What became of one chain. ``broken`` is empty for a chain that is whole."""

    merchant_id: str
    entries: int = 0
    broken: str = ""  # the first thing that is wrong, with the entry's seq and id
    seq: int | None = None  # of the first broken entry
    pruned_to: int = 0
    notes: list[str] = field(default_factory=list)  # what is odd, and explained


async def chains(db: Database) -> list[str]:
    """The merchants that have a chain, by head or by entry: a head may have been deleted."""
    async with db.read() as session:
        heads = (await session.exec(select(col(AuditHead.merchant_id)))).all()
        written = (await session.exec(select(col(AuditEntry.merchant_id)).distinct())).all()
        signed = (await session.exec(select(col(AuditCheckpoint.merchant_id)).distinct())).all()
    return sorted({*heads, *written, *signed})


async def verify(
    db: Database,
    merchant_id: str,
    data_dir: Path,
    *,
    against: Sequence[AuditCheckpoint] = (),
    upto: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Verdict:
    """Check every entry, the head and every checkpoint of a chain. Writes nothing.

    ``against`` are checkpoints kept elsewhere, besides the copies in ``data_dir``. ``progress`` hears
    how many entries of how many were read. What the chain grows by meanwhile is not judged. Checkpoints kept outside that
    reach beyond ``upto`` do not count: for a database that is being put back from a backup.
    """
    public = load_keys(data_dir).public()
    verdict = Verdict(merchant_id)
    async with db.read() as session:
        stored = await checkpoints.of_chain(session, merchant_id)
        head = await session.get(AuditHead, merchant_id)
        total = int(
            await session.scalar(
                select(func.count())
                .select_from(AuditEntry)
                .where(col(AuditEntry.merchant_id) == merchant_id)
            )
            or 0
        )
    outside = [
        one
        for one in (*checkpoints.kept(data_dir), *against)
        if one.merchant_id == merchant_id and (upto is None or one.seq <= upto)
    ]
    if not _checkpoints_hold(verdict, stored, outside, public):
        return verdict
    start = max((one for one in stored if one.kind == "prune"), key=lambda c: c.seq, default=None)
    seq, last = (0, chain.genesis(merchant_id)) if start is None else (start.seq, start.hash)
    verdict.pruned_to = seq
    marks = _marks(verdict, stored, outside)
    if start is not None:
        marks.pop(start.seq, None)
    async for entry in read_entries(db, merchant_id):
        if entry.seq <= verdict.pruned_to:
            continue  # a prune that was interrupted: these may go
        problem = _problem(entry, seq + 1, last)
        if not problem and entry.seq in marks and marks[entry.seq] != entry.hash:
            problem = "is not what the checkpoint of it signed"
        if not problem and head is not None and (entry.seq, entry.hash) != (head.seq, head.hash):
            problem = "is another than the head of the chain says" if entry.seq == head.seq else ""
        if problem:
            verdict.seq = entry.seq
            verdict.broken = f"entry {entry.seq} ({entry.id}, {entry.action}) {problem}"
            return verdict
        seq, last = entry.seq, entry.hash
        verdict.entries += 1
        if verdict.entries % BATCH == 0:
            progress(verdict.entries, total)
    progress(verdict.entries, max(total, verdict.entries))
    _end_holds(verdict, seq, head, marks)
    return verdict


def _problem(entry: AuditEntry, seq: int, last: str) -> str:
    if entry.seq != seq:
        return f"stands where {seq} should: entries between are missing"
    if entry.prev != last:
        return "does not follow the one before it"
    if chain.hash_of(entry) != entry.hash:
        return "was changed after it was written"
    return ""


def _end_holds(verdict: Verdict, seq: int, head: AuditHead | None, marks: dict[int, str]) -> None:
    ahead = [mark for mark in marks if mark > seq]
    if head is None:
        verdict.broken = "the head of the chain is missing"
    elif seq < head.seq:
        verdict.seq = seq + 1
        verdict.broken = f"entry {seq + 1} and those after it, up to {head.seq}, are missing"
    elif ahead:
        verdict.seq = seq + 1
        verdict.broken = f"the end was cut off: entry {seq + 1} is missing, a checkpoint signed up to {max(ahead)}"


def _checkpoints_hold(
    verdict: Verdict,
    stored: list[AuditCheckpoint],
    outside: list[AuditCheckpoint],
    public: dict[str, str],
) -> bool:
    for number, one in enumerate(stored, 1):
        if one.number != number:
            verdict.broken = f"checkpoint {number} is missing"
        elif not is_genuine(one, public):
            verdict.broken = f"checkpoint {one.number} (entry {one.seq}) is not signed by our key"
        if verdict.broken:
            return False
    false = [one for one in outside if not is_genuine(one, public)]
    if false:
        verdict.notes.append(f"{len(false)} checkpoint(s) kept outside are not of our key: ignored")
        outside[:] = [one for one in outside if one not in false]
    return True


def _marks(
    verdict: Verdict, stored: list[AuditCheckpoint], outside: list[AuditCheckpoint]
) -> dict[int, str]:
    """What must stand at which seq. A restore makes void what was signed before of later ends."""
    restores = [one for one in (*stored, *outside) if one.kind == "restore"]
    marks: dict[int, str] = {}
    lost = 0
    for one in (*stored, *outside):
        if any(back.at >= one.at and back.seq < one.seq for back in restores):
            lost = max(lost, one.seq)
        elif one.seq > 0:
            marks[one.seq] = one.hash
    if lost:
        back = min(restores, key=lambda one: one.at)
        verdict.notes.append(
            f"a restore went back to entry {back.seq}; what was signed up to entry {lost} before it "
            "was lost with the old database"
        )
    return marks


async def read_entries(db: Database, merchant_id: str) -> AsyncIterator[AuditEntry]:
    """Entries in order, a batch at a time, each in a short read."""
    after = -1
    while True:
        async with db.read() as session:
            batch = await _batch(session, merchant_id, after)
        for entry in batch:
            yield entry
        if len(batch) < BATCH:
            return
        after = batch[-1].seq


async def _batch(session: AsyncSession, merchant_id: str, after: int) -> list[AuditEntry]:
    query = (
        select(AuditEntry)
        .where(col(AuditEntry.merchant_id) == merchant_id, col(AuditEntry.seq) > after)
        .order_by(col(AuditEntry.seq))
        .limit(BATCH)
    )
    return list((await session.exec(query)).all())
