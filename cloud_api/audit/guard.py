"""The database's own refusal to change what was written down, on both engines.

Entries and checkpoints can be added, never changed. Entries may be deleted only as far as a ``prune``
checkpoint of their chain reaches; whether that checkpoint is genuine, its signature tells
(audit/verify.py). Like claims/guard.py this is put up after every migration and every restore.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

MARK: Final = "audit_append_only"  # what the triggers raise
_PRUNED = (
    "EXISTS (SELECT 1 FROM audit_checkpoint AS allowed WHERE allowed.kind = 'prune' "
    "AND allowed.merchant_id = OLD.merchant_id AND allowed.seq >= OLD.seq)"
)

_POSTGRES = (
    f"""CREATE OR REPLACE FUNCTION audit_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'DELETE' AND TG_TABLE_NAME = 'audit_entry' THEN
            IF {_PRUNED} THEN RETURN OLD; END IF;
        END IF;
        RAISE EXCEPTION '{MARK}';
    END $$""",
    *(
        statement
        for table in ("audit_entry", "audit_checkpoint")
        for statement in (
            f"CREATE OR REPLACE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION audit_append_only()",
            f"CREATE OR REPLACE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION audit_append_only()",
        )
    ),
)


def _trigger(name: str, when: str, condition: str = "") -> tuple[str, str]:
    return (
        f"DROP TRIGGER IF EXISTS {name}",
        f"CREATE TRIGGER {name} BEFORE {when} {condition} BEGIN SELECT RAISE(ABORT, '{MARK}'); END",
    )


# INSERT OR REPLACE deletes without firing DELETE triggers, so an insert over a row is refused too.
_SQLITE = (
    *_trigger("audit_entry_no_update", "UPDATE ON audit_entry"),
    *_trigger("audit_entry_no_delete", "DELETE ON audit_entry", f"WHEN NOT {_PRUNED}"),
    *_trigger(
        "audit_entry_no_replace",
        "INSERT ON audit_entry",
        "WHEN EXISTS (SELECT 1 FROM audit_entry AS known WHERE known.id = NEW.id "
        "OR (known.merchant_id = NEW.merchant_id AND known.seq = NEW.seq))",
    ),
    *_trigger("audit_checkpoint_no_update", "UPDATE ON audit_checkpoint"),
    *_trigger("audit_checkpoint_no_delete", "DELETE ON audit_checkpoint"),
    *_trigger(
        "audit_checkpoint_no_replace",
        "INSERT ON audit_checkpoint",
        "WHEN EXISTS (SELECT 1 FROM audit_checkpoint AS known WHERE known.id = NEW.id "
        "OR (known.merchant_id = NEW.merchant_id AND known.number = NEW.number))",
    ),
)
_ON_POSTGRES = 4
_ON_SQLITE = 6


async def install(connection: AsyncConnection) -> None:
    """Make sure that the guard stands; safe to run again."""
    postgres = connection.dialect.name == "postgresql"
    if postgres and await present(connection):
        return  # replacing a trigger would wait for everybody who writes
    for statement in _POSTGRES if postgres else _SQLITE:
        await connection.execute(text(statement))


async def present(connection: AsyncConnection) -> bool:
    """Whether the database refuses changes now."""
    if connection.dialect.name == "postgresql":
        found = await connection.scalar(
            text(
                "SELECT count(*) FROM pg_trigger WHERE tgenabled IN ('O', 'A') AND tgname IN "
                "('audit_entry_append_only', 'audit_entry_no_truncate', "
                "'audit_checkpoint_append_only', 'audit_checkpoint_no_truncate')"
            )
        )
        return bool(found == _ON_POSTGRES)
    found = await connection.scalar(
        text(
            "SELECT count(*) FROM sqlite_master WHERE type = 'trigger' "
            "AND (name LIKE 'audit_entry_no_%' OR name LIKE 'audit_checkpoint_no_%')"
        )
    )
    return bool(found == _ON_SQLITE)


def is_refusal(error: BaseException) -> bool:
    """Whether a database error is this guard's."""
    return MARK in str(error)
