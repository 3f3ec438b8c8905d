"""Sealing everything anew under the newest secret, so that an old one can be taken out.

Every encrypted column of every table is found by its type. A row is changed only if it still holds
what was read (compare-and-set), so this runs beside the living cloud, stops anywhere, and goes on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Column, MetaData, Table, Text, and_, func, select, type_coerce, update
from sqlalchemy.engine import CursorResult

from cloud_api.kit.columns import Encrypted
from cloud_api.kit.crypto import Vault
from cloud_api.kit.database import Database

BATCH = 200


@dataclass(slots=True)
class Status:
    """How many values of each encrypted column each key has sealed."""

    by_column: dict[str, Counter[str]] = field(default_factory=dict)  # "table.column": kid → count

    def of(self, kid: str) -> int:
        """How many values need this key."""
        return sum(counts[kid] for counts in self.by_column.values())

    @property
    def kids(self) -> set[str]:
        """Every key that some value needs."""
        return {kid for counts in self.by_column.values() for kid in counts}


def encrypted(metadata: MetaData) -> Iterator[tuple[Table, Column[Any], Encrypted]]:
    """Every encrypted column."""
    for table in metadata.sorted_tables:
        for column in table.columns:
            if isinstance(column.type, Encrypted):
                yield table, column, column.type


async def status(db: Database, metadata: MetaData) -> Status:
    """Who needs which key."""
    found = Status()
    async with db.read() as session:
        for table, column, _ in encrypted(metadata):
            raw = type_coerce(column, Text())
            kid = func.substr(raw, 1, 8)
            rows = await session.execute(
                select(kid, func.count()).where(raw.is_not(None)).group_by(kid)
            )
            found.by_column[f"{table.name}.{column.name}"] = Counter(dict(map(tuple, rows.all())))
    return found


async def open_all(db: Database, metadata: MetaData, vault: Vault) -> tuple[int, Counter[str]]:
    """Open every sealed value: how many opened, and how many did not, by column. Keeps none of them."""
    opened, shut = 0, Counter[str]()
    async with db.snapshot() as session:
        for table, column, kind in encrypted(metadata):
            raw = type_coerce(column, Text())
            rows = await session.stream_scalars(select(raw).where(raw.is_not(None)))
            async for value in rows:
                try:
                    vault.open(value, kind.context)
                except ValueError:
                    shut[f"{table.name}.{column.name}"] += 1
                else:
                    opened += 1
    return opened, shut


async def rotate(
    db: Database,
    metadata: MetaData,
    vault: Vault,
    progress: Callable[[str, int, int], None] = lambda _column, _done, _total: None,
) -> int:
    """Seal under the vault's first key whatever another has sealed; how many values were changed.

    ``progress`` hears the column, how many are done and how many there were to do. Raises ValueError
    for a value that none of the vault's keys opens: nothing else is lost by it, mend and run again.
    """
    newest = vault.kids[0]
    changed = 0
    for table, column, kind in encrypted(metadata):
        total = await _left(db, column, newest)
        done = 0
        after: tuple[Any, ...] | None = None
        while done < total:
            batch = await _batch(db, table, column, newest, after)
            if not batch:
                break
            fresh = [
                (*row[:-1], row[-1], vault.seal(vault.open(row[-1], kind.context), kind.context))
                for row in batch
            ]
            changed += await _write(db, table, column, fresh)
            done += len(batch)
            after = tuple(batch[-1][:-1])
            progress(f"{table.name}.{column.name}", min(done, total), total)
    return changed


async def _left(db: Database, column: Column[Any], newest: str) -> int:
    raw = type_coerce(column, Text())
    async with db.read() as session:
        count = await session.scalar(
            select(func.count()).select_from(column.table).where(raw.not_like(f"{newest}.%"))
        )
    return int(count or 0)


async def _batch(
    db: Database, table: Table, column: Column[Any], newest: str, after: tuple[Any, ...] | None
) -> list[Any]:
    raw = type_coerce(column, Text())
    keys = list(table.primary_key.columns)
    query = select(*keys, raw).where(raw.not_like(f"{newest}.%")).order_by(*keys).limit(BATCH)
    if after is not None and len(keys) == 1:
        query = query.where(keys[0] > after[0])
    async with db.read() as session:
        return list((await session.execute(query)).all())


async def _write(db: Database, table: Table, column: Column[Any], rows: list[Any]) -> int:
    raw = type_coerce(column, Text())
    keys = list(table.primary_key.columns)
    changed = 0
    async with db.write() as session:
        for row in rows:
            *values, was, now = row
            mine = and_(
                *(key == value for key, value in zip(keys, values, strict=True)), raw == was
            )
            result = await session.execute(
                update(table).where(mine).values({column: type_coerce(now, Text())})
            )
            assert isinstance(result, CursorResult)
            changed += result.rowcount
    return changed
