"""Whatever is done to the log behind the guards' back is named, and by its first entry."""

from __future__ import annotations

import hashlib
import json
import re
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy.exc import DBAPIError
from sqlmodel import col, select, text

from cloud_api.audit import chain, checkpoints, export, guard, jobs
from cloud_api.audit.canonical import canonical
from cloud_api.audit.models import AuditCheckpoint, AuditEntry
from cloud_api.audit.service import record
from cloud_api.audit.signing import is_genuine
from cloud_api.audit.verify import Verdict, chains, verify
from cloud_api.kit.actor import System, scoped
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.database import Database
from cloud_api.kit.due_jobs import run_due, schedule
from cloud_api.kit.errors import KaimenError
from cloud_api.kit.models import AlarmSignal
from cloud_api.kit.recurring import plan
from cloud_api.merchants.models import Merchant
from store_link.clock import ManualClock
from tests.cloud_api.audit.test_record import OWNER


async def write(cloud: Cloud, count: int, first: int = 1, merchant: str = "m1") -> None:
    for number in range(first, first + count):
        async with cloud.db.write() as session:
            await record(
                session,
                OWNER,
                "door.unlock",
                merchant_id=merchant,
                subject=f"door:{number}",
                why="客人忘了手机",
                clocks=cloud.clocks,
            )


async def check(cloud: Cloud, merchant: str = "m1") -> Verdict:
    return await verify(cloud.db, merchant, cloud.settings.data_dir)


async def force(db: Database, *statements: str) -> None:
    """Change rows as somebody would who owns the database: the guards are taken down first."""
    async with db.engine.begin() as connection:
        for table in ("audit_entry", "audit_checkpoint"):
            if db.is_sqlite:
                for what in ("update", "delete", "replace"):
                    await connection.execute(text(f"DROP TRIGGER {table}_no_{what}"))
            else:
                await connection.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER ALL"))
        assert not await guard.present(connection)
        for statement in statements:
            await connection.execute(text(statement))
        if not db.is_sqlite:
            for table in ("audit_entry", "audit_checkpoint"):
                await connection.execute(text(f"ALTER TABLE {table} ENABLE TRIGGER ALL"))
        await guard.install(connection)
        assert await guard.present(connection)


async def test_a_whole_chain_is_whole(cloud: Cloud):
    await write(cloud, 3)
    await write(cloud, 1, merchant="m2")
    await checkpoints.sign_all(cloud)
    await write(cloud, 2, first=4)
    heard: list[tuple[int, int]] = []
    verdict = await verify(
        cloud.db,
        "m1",
        cloud.settings.data_dir,
        progress=lambda done, total: heard.append((done, total)),
    )
    assert (verdict.entries, verdict.broken, verdict.notes) == (5, "", [])
    assert heard[-1] == (5, 5)
    assert await chains(cloud.db) == ["m1", "m2"]


DAMAGE = [
    ("UPDATE audit_entry SET why = 'x' WHERE {mine} AND seq = 3", "entry 3 .* was changed"),
    ("DELETE FROM audit_entry WHERE {mine} AND seq = 2", "entry 3 .* where 2 should"),
    (
        "DELETE FROM audit_entry WHERE {mine} AND seq > 3",
        "entry 4 and those after it, up to 5, are missing",
    ),
    ("DELETE FROM audit_head WHERE {mine}", "the head of the chain is missing"),
    ("UPDATE audit_head SET hash = 'x' WHERE {mine}", "entry 5 .* head of the chain"),
    ("UPDATE audit_checkpoint SET seq = 4 WHERE {mine}", "checkpoint 1 .* not signed by our key"),
    ("DELETE FROM audit_checkpoint WHERE {mine} AND number = 1", "checkpoint 1 is missing"),
    (
        "INSERT INTO audit_checkpoint SELECT 'x', merchant_id, 3, 'prune', 4, hash, at, kid, "
        "signature FROM audit_checkpoint WHERE {mine} AND number = 1",
        "checkpoint 3 .* not signed by our key",
    ),
]


async def test_the_first_broken_thing_is_named(cloud: Cloud):
    merchants = [f"m{number}" for number in range(len(DAMAGE))]
    for merchant in merchants:
        await write(cloud, 3, merchant=merchant)
    await checkpoints.sign_all(cloud)
    for merchant in merchants:
        await write(cloud, 2, first=4, merchant=merchant)
    await checkpoints.sign_all(cloud)
    await force(
        cloud.db,
        *(
            damage.format(mine=f"merchant_id = '{merchant}'")
            for merchant, (damage, _) in zip(merchants, DAMAGE, strict=True)
        ),
    )
    for merchant, (damage, named) in zip(merchants, DAMAGE, strict=True):
        verdict = await check(cloud, merchant)
        assert re.search(named, verdict.broken), (damage, verdict.broken)


async def test_a_forged_chain_does_not_match_its_checkpoints(cloud: Cloud):
    """Who owns the database can compute all hashes anew, but not sign."""
    await write(cloud, 3)
    await checkpoints.sign_all(cloud)
    async with cloud.db.read() as session:
        rows = (await session.exec(select(AuditEntry).order_by(col(AuditEntry.seq)))).all()
    statements, last = [], chain.genesis("m1")
    for row in rows:
        row.why, row.prev = ("编的" if row.seq == 2 else row.why), last
        row.hash = last = chain.hash_of(row)
        statements.append(
            f"UPDATE audit_entry SET why = '{row.why}', prev = '{row.prev}', hash = '{row.hash}' "
            f"WHERE seq = {row.seq}"
        )
    await force(cloud.db, *statements, f"UPDATE audit_head SET hash = '{last}'")
    verdict = await check(cloud)
    assert verdict.broken.startswith("entry 3 ")
    assert "checkpoint" in verdict.broken


async def test_cutting_off_the_end_is_seen_also_when_the_checkpoints_went_with_it(cloud: Cloud):
    await write(cloud, 2)
    await checkpoints.sign_all(cloud)
    async with cloud.db.read() as session:
        second = (await session.exec(select(AuditEntry).where(col(AuditEntry.seq) == 2))).one()
    await write(cloud, 3, first=3)
    await checkpoints.sign_all(cloud)
    await force(
        cloud.db,
        "DELETE FROM audit_entry WHERE seq > 2",
        "DELETE FROM audit_checkpoint WHERE seq > 2",
        f"UPDATE audit_head SET seq = 2, hash = '{second.hash}'",
    )
    verdict = await check(cloud)
    assert (verdict.seq, "cut off" in verdict.broken) == (3, True)
    # Negative control: without the copies that are kept beside the database nothing is seen.
    (cloud.settings.data_dir / checkpoints.FILE).unlink()
    assert (await check(cloud)).broken == ""


async def test_what_a_restore_lost_is_explained_and_not_broken(cloud: Cloud, wire: ManualClock):
    await write(cloud, 2)
    async with cloud.db.read() as session:
        second = (await session.exec(select(AuditEntry).where(col(AuditEntry.seq) == 2))).one()
    await write(cloud, 3, first=3)
    await checkpoints.sign_all(cloud)
    await force(
        cloud.db,
        "DELETE FROM audit_entry WHERE seq > 2",
        "DELETE FROM audit_checkpoint",
        f"UPDATE audit_head SET seq = 2, hash = '{second.hash}'",
    )
    wire.pass_time(60)
    async with cloud.db.write() as session:
        await checkpoints.sign(session, "m1", "restore", cloud.clocks, cloud.settings.data_dir)
    await write(cloud, 2, first=3)
    verdict = await check(cloud)
    assert (verdict.entries, verdict.broken) == (4, "")
    assert "went back to entry 2" in verdict.notes[0]


async def test_pruning_needs_a_checkpoint_and_a_year(cloud: Cloud, wire: ManualClock):
    await write(cloud, 3)
    wire.pass_time(timedelta(days=300).total_seconds())
    await write(cloud, 2, first=4)
    wire.pass_time(timedelta(days=100).total_seconds())
    folder, clocks = cloud.settings.data_dir, cloud.clocks
    with pytest.raises(KaimenError) as refused:
        async with cloud.db.write() as session:
            await checkpoints.prune(
                session, "m1", clocks.real - timedelta(days=300), clocks, folder
            )
    assert refused.value.code == "audit.too_young"
    async with cloud.db.write() as session:
        before = clocks.real - timedelta(days=370)
        assert await checkpoints.prune(session, "m1", before, clocks, folder) == 3
    verdict = await check(cloud)
    assert (verdict.entries, verdict.pruned_to, verdict.broken) == (2, 3, "")
    with pytest.raises(DBAPIError) as guarded:
        async with cloud.db.write() as session:
            await session.exec(text("DELETE FROM audit_entry"))  # type: ignore[call-overload]
    assert guard.is_refusal(guarded.value)
    assert (await check(cloud)).entries == 2


async def test_each_night_signs_what_grew(cloud: Cloud, wire: ManualClock):
    await write(cloud, 2)
    for _ in range(2):
        await plan(cloud)  # any number of processes may plan
    await run_due(cloud)
    async with cloud.db.read() as session:
        (made,) = (await session.exec(select(AuditCheckpoint))).all()
    assert (made.seq, made.kind, made.number) == (2, "daily", 1)
    assert [one.signature for one in checkpoints.kept(cloud.settings.data_dir)] == [made.signature]
    wire.pass_time(86_400)
    await plan(cloud)
    await run_due(cloud)  # nothing new to sign
    await write(cloud, 1, first=3)
    wire.pass_time(86_400)
    await plan(cloud)
    await run_due(cloud)
    async with cloud.db.read() as session:
        seqs = (await session.exec(select(col(AuditCheckpoint.seq)))).all()
    assert sorted(seqs) == [2, 3]


async def test_an_export_can_be_checked_without_us(cloud: Cloud, tmp_path: Path):
    await write(cloud, 3)
    await checkpoints.sign_all(cloud)
    lines = [line async for line in export.lines(cloud.db, "m1", cloud.settings.data_dir)]
    head, *entries, last = map(json.loads, lines)
    previous = head["genesis"]
    for line in entries:
        spelled = canonical(line["entry"]).encode()
        assert line["entry"]["prev"] == previous
        previous = hashlib.sha256(spelled).hexdigest()
        assert line["hash"] == previous
    (signed,) = checkpoints.read_lines([json.dumps(last["checkpoint"])])
    assert signed.hash == previous
    assert is_genuine(signed, head["public_keys"])
    signed.seq += 1
    assert not is_genuine(signed, head["public_keys"])


async def test_each_night_every_chain_is_read_and_its_merchant_hears_of_a_broken_one(cloud: Cloud):
    async with cloud.db.write() as session:
        session.add(Merchant(id="m1", name="雀友会", created_at=cloud.clocks.real))
        session.add(Merchant(id="m2", name="听竹轩", created_at=cloud.clocks.real))
    await write(cloud, 3)
    await write(cloud, 3, merchant="m2")

    async def levels() -> list[tuple[str, str, bool]]:
        async with cloud.db.read() as session:
            found = (await session.exec(scoped(System(), AlarmSignal))).all()
        return [(one.merchant_id, one.kind, one.active) for one in found]

    async def night(day: str) -> None:
        async with cloud.db.write() as session:
            await schedule(
                session,
                merchant_id="installation",
                kind=jobs.VERIFY,
                ref=day,
                run_at=cloud.clocks.real,
                clock="wire",
            )
        while await run_due(cloud):
            pass

    await night("2026-11-22")
    assert await levels() == []
    await force(
        cloud.db, "UPDATE audit_entry SET why = '别的' WHERE seq = 2 AND merchant_id = 'm2'"
    )
    await night("2026-11-23")
    assert await levels() == [("m2", "audit.broken", True)]
    await force(cloud.db, "UPDATE audit_entry SET why = '客人忘了手机' WHERE seq = 2")
    await night("2026-11-24")
    assert await levels() == [("m2", "audit.broken", False)]
