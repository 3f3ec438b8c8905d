"""The database's own refusal to hold books that do not balance, on both engines.

Entries are inserted first and wait for their transaction (a deferred foreign key); the transaction's
insert is refused unless they sum to zero, and after it no entry can join. Neither is ever changed or
deleted, and nothing is posted to a closed day. Put up after every migration and every restore.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

APPEND_ONLY: Final = "ledger_append_only"
UNBALANCED: Final = "ledger_unbalanced"
SEALED: Final = "ledger_sealed"
CLOSED: Final = "ledger_day_closed"

_SUM = "(SELECT COALESCE(SUM(e.amount_fen), 0) FROM ledger_entry e WHERE e.txn_id = NEW.id)"
_COUNT = "(SELECT COUNT(*) FROM ledger_entry e WHERE e.txn_id = NEW.id)"
_STRAY = (
    "(SELECT COUNT(*) FROM ledger_entry e WHERE e.txn_id = NEW.id AND "
    "(e.day <> NEW.day OR e.store_id <> NEW.store_id OR e.merchant_id <> NEW.merchant_id))"
)
_BAD = f"({_SUM} <> 0 OR {_COUNT} < 2 OR {_STRAY} > 0)"
_SHUT = (
    "EXISTS (SELECT 1 FROM ledger_day d WHERE d.store_id = NEW.store_id "
    "AND d.day = NEW.day AND d.state = 'closed')"
)
_POSTED = "EXISTS (SELECT 1 FROM ledger_txn t WHERE t.id = NEW.txn_id)"
_TABLES = ("ledger_txn", "ledger_entry")

_POSTGRES = (
    f"""CREATE OR REPLACE FUNCTION ledger_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION '{APPEND_ONLY}'; END $$""",
    f"""CREATE OR REPLACE FUNCTION ledger_txn_check() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF {_BAD} THEN RAISE EXCEPTION '{UNBALANCED}'; END IF;
        IF {_SHUT} THEN RAISE EXCEPTION '{CLOSED}'; END IF;
        RETURN NEW;
    END $$""",
    f"""CREATE OR REPLACE FUNCTION ledger_entry_check() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF {_POSTED} THEN RAISE EXCEPTION '{SEALED}'; END IF;
        RETURN NEW;
    END $$""",
    f"""CREATE OR REPLACE FUNCTION ledger_day_check() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF OLD.state = 'closed' THEN RAISE EXCEPTION '{CLOSED}'; END IF;
        IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
        RETURN NEW;
    END $$""",
    *(
        statement
        for table in _TABLES
        for statement in (
            f"CREATE OR REPLACE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION ledger_append_only()",
            f"CREATE OR REPLACE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION ledger_append_only()",
            f"CREATE OR REPLACE TRIGGER {table}_check BEFORE INSERT ON {table} "
            f"FOR EACH ROW EXECUTE FUNCTION {table}_check()",
        )
    ),
    "CREATE OR REPLACE TRIGGER ledger_day_check BEFORE UPDATE OR DELETE ON ledger_day "
    "FOR EACH ROW EXECUTE FUNCTION ledger_day_check()",
)


def _trigger(name: str, when: str, mark: str, condition: str = "") -> tuple[str, str]:
    return (
        f"DROP TRIGGER IF EXISTS {name}",
        f"CREATE TRIGGER {name} BEFORE {when} {condition} BEGIN SELECT RAISE(ABORT, '{mark}'); END",
    )


# INSERT OR REPLACE deletes without firing DELETE triggers, so an insert over a row is refused too.
_SQLITE = (
    *(
        statement
        for table in _TABLES
        for statement in (
            *_trigger(f"{table}_no_update", f"UPDATE ON {table}", APPEND_ONLY),
            *_trigger(f"{table}_no_delete", f"DELETE ON {table}", APPEND_ONLY),
            *_trigger(
                f"{table}_no_replace",
                f"INSERT ON {table}",
                APPEND_ONLY,
                f"WHEN EXISTS (SELECT 1 FROM {table} AS known WHERE known.id = NEW.id)",  # noqa: S608  ours
            ),
        )
    ),
    *_trigger("ledger_txn_balanced", "INSERT ON ledger_txn", UNBALANCED, f"WHEN {_BAD}"),
    *_trigger("ledger_txn_open_day", "INSERT ON ledger_txn", CLOSED, f"WHEN {_SHUT}"),
    *_trigger("ledger_entry_sealed", "INSERT ON ledger_entry", SEALED, f"WHEN {_POSTED}"),
    *_trigger("ledger_day_no_update", "UPDATE ON ledger_day", CLOSED, "WHEN OLD.state = 'closed'"),
    *_trigger("ledger_day_no_delete", "DELETE ON ledger_day", CLOSED, "WHEN OLD.state = 'closed'"),
)
_ON_POSTGRES = 7
_ON_SQLITE = 11


async def install(connection: AsyncConnection) -> None:
    """Make sure that the guard stands; safe to run again."""
    postgres = connection.dialect.name == "postgresql"
    if postgres and await present(connection):
        return  # replacing a trigger would wait for everybody who writes
    for statement in _POSTGRES if postgres else _SQLITE:
        await connection.execute(text(statement))


async def present(connection: AsyncConnection) -> bool:
    """Whether the database refuses now."""
    if connection.dialect.name == "postgresql":
        query = (
            "SELECT count(*) FROM pg_trigger WHERE tgenabled IN ('O', 'A') "
            "AND tgname LIKE 'ledger\\_%' AND NOT tgisinternal"
        )
        return bool(await connection.scalar(text(query)) == _ON_POSTGRES)
    query = (
        "SELECT count(*) FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'ledger\\_%' "
        "ESCAPE '\\'"
    )
    return bool(await connection.scalar(text(query)) == _ON_SQLITE)
