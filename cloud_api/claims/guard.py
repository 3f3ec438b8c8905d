"""The database's own refusal of overlapping claims (I1), for both engines.

PostgreSQL: an exclusion constraint over half-open ranges. SQLite: two triggers, atomic because
every write transaction begins with BEGIN IMMEDIATE. Alembic's batch mode drops triggers without a
word, so ``install`` runs after every migration and ``/readyz`` refuses while ``present`` is false.
"""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

CONSTRAINT = "room_claim_no_overlap"
MARK = "no_double_booking"  # what the triggers raise

_POSTGRES = (
    "CREATE EXTENSION IF NOT EXISTS btree_gist",
    f"ALTER TABLE room_claim DROP CONSTRAINT IF EXISTS {CONSTRAINT}",
    f"ALTER TABLE room_claim ADD CONSTRAINT {CONSTRAINT} EXCLUDE USING gist "
    "(room_id WITH =, tstzrange(block_from, block_until, '[)') WITH &&) WHERE (state <> 'released')",
)


def _trigger(name: str, event: str) -> tuple[str, str]:
    return (
        f"DROP TRIGGER IF EXISTS {name}",
        f"""CREATE TRIGGER {name} BEFORE {event} ON room_claim
        WHEN NEW.state <> 'released' AND EXISTS (
            SELECT 1 FROM room_claim AS other
            WHERE other.room_id = NEW.room_id AND other.id <> NEW.id
              AND other.state <> 'released'
              AND other.block_from < NEW.block_until AND NEW.block_from < other.block_until)
        BEGIN SELECT RAISE(ABORT, '{MARK}'); END""",  # noqa: S608  constants only
    )


_SQLITE = (
    *_trigger("room_claim_no_overlap_insert", "INSERT"),
    *_trigger(
        "room_claim_no_overlap_update",
        "UPDATE OF id, room_id, block_from, block_until, state",
    ),
)


async def install(connection: AsyncConnection) -> None:
    """Make sure that the guard stands; safe to run again."""
    postgres = connection.dialect.name == "postgresql"
    if postgres and await present(connection):
        return
    for statement in _POSTGRES if postgres else _SQLITE:
        await connection.execute(text(statement))


async def present(connection: AsyncConnection) -> bool:
    """Whether the database refuses overlaps now."""
    if connection.dialect.name == "postgresql":
        found = await connection.scalar(
            text("SELECT count(*) FROM pg_constraint WHERE conname = :name AND contype = 'x'"),
            {"name": CONSTRAINT},
        )
        return bool(found == 1)
    found = await connection.scalar(
        text(
            "SELECT count(*) FROM sqlite_master WHERE type = 'trigger' AND name IN "
            "('room_claim_no_overlap_insert', 'room_claim_no_overlap_update')"
        )
    )
    return bool(found == 2)


def is_overlap(error: BaseException) -> bool:
    """Whether a database error is the guard's refusal (SQLSTATE 23P01, or the triggers' mark)."""
    return CONSTRAINT in str(error) or MARK in str(error)
