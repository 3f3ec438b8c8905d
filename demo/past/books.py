"""Books that are written after the fact: rows of many tables, collected in memory and inserted at once.

What is posted comes from the product's own rules (``ledger.service.moves``, ``orders.books.targets`` …), so
the books of a past that was only told agree with those of one that happened.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from random import Random
from typing import Any, Final, TypeVar
from zoneinfo import ZoneInfo

from sqlalchemy import insert
from sqlmodel import SQLModel
from sqlmodel.ext.asyncio.session import AsyncSession
from ulid import ULID

from cloud_api.kit.actor import System
from cloud_api.kit.writing import made
from cloud_api.ledger.days import CLOSE_AFTER, business_day, ends_at
from cloud_api.ledger.models import LedgerDay, LedgerEntry, LedgerTxn
from cloud_api.ledger.service import Line, Slot, moves
from cloud_api.orders.models import OrderEvent
from cloud_api.stores.models import Store

_ROWS: Final = 400  # of a statement: both engines bound the parameters
_Row = TypeVar("_Row", bound=SQLModel)


class Pages:
    """Rows to be inserted, table by table in the order in which the first of each came."""

    def __init__(self, store: Store, dice: Random) -> None:
        self.store = store
        self.dice = dice
        self.zone = ZoneInfo(store.tz)
        self._rows: dict[type[SQLModel], list[SQLModel]] = {}
        self._held: dict[str, dict[Slot, int]] = defaultdict(dict)
        self._posted: Counter[str] = Counter()
        self._numbers: set[str] = set()

    def id_at(self, at: datetime) -> str:
        """The id of a row that was made then: lists are in the order of ids."""
        ms = int(at.timestamp() * 1000)
        return str(ULID.from_bytes(ms.to_bytes(6, "big") + self.dice.randbytes(10)))

    def number_at(self, at: datetime) -> str:
        """A number for people, as ``kit.ids.new_number`` makes them."""
        while True:
            tail = self.dice.randrange(1_000_000)
            number = f"{at.astimezone(self.zone):%y%m%d%H%M}{tail:06d}"
            if number not in self._numbers:
                self._numbers.add(number)
                return number

    @property
    def own(self) -> dict[str, Any]:
        """The columns that say whose a row is."""
        return {"merchant_id": self.store.merchant_id, "store_id": self.store.id}

    def add(self, model: type[_Row], at: datetime, /, **columns: Any) -> _Row:
        """A row made at ``at``, with an id of then."""
        row = made(model, id=self.id_at(at), **columns)
        self.keep(row)
        return row

    def keep(self, row: SQLModel) -> None:
        """A row that has its key."""
        self._rows.setdefault(type(row), []).append(row)

    def event(
        self, order_id: str, kind: str, at: datetime, by: str, why: str = "", **more: Any
    ) -> None:
        """A line of an order's history; ``was`` and ``now`` of a change, the rest is its body."""
        self.keep(
            made(
                OrderEvent,
                order_id=order_id,
                kind=kind,
                was=more.pop("was", None),
                now=more.pop("now", None),
                by=by,
                why=why,
                body=more,
                at=at,
                **self.own,
            )
        )

    # --------------------------------------------------------------------------------- the ledger

    def post(
        self,
        kind: str,
        key: str,
        subject: str,
        lines: Sequence[Line],
        at: datetime,
        text: str = "",
        by: str = "system",
    ) -> None:
        """What ``ledger.service.post`` would have written at ``at``."""
        lines = [line for line in lines if line.amount_fen]
        assert sum(line.amount_fen for line in lines) == 0, (kind, key, lines)
        if not lines:
            return
        day = business_day(at, self.store.tz)
        common: dict[str, Any] = {**self.own, "day": day, "subject": subject}
        txn = self.add(LedgerTxn, at, kind=kind, key=key, text=text, by=by, at=at, **common)
        held = self._held[subject]
        for line in lines:
            self.add(
                LedgerEntry,
                at,
                txn_id=txn.id,
                account=line.account.value,
                detail=line.detail,
                amount_fen=line.amount_fen,
                **common,
            )
            slot = (line.account, line.detail)
            held[slot] = held.get(slot, 0) + line.amount_fen
        self._posted[subject] += 1

    def carry(self, subject: str, targets: Mapping[Slot, int], kind: str, at: datetime) -> None:
        """What ``ledger.service.carry`` would have written."""
        key = f"{subject}#{self._posted[subject] + 1}"
        self.post(kind, key, subject, moves(self._held[subject], targets), at)

    def close_days(self, now: datetime) -> list[date]:
        """Close the business days with entries whose time has come; which of them are still open."""
        sums: dict[date, Counter[str]] = {}
        for row in self.rows(LedgerEntry):
            sums.setdefault(row.day, Counter())[f"{row.account}/{row.detail}"] += row.amount_fen
        still_open = []
        for day, totals in sorted(sums.items()):
            closed_at = ends_at(day, self.store.tz) + CLOSE_AFTER + timedelta(seconds=4)
            if closed_at > now:
                still_open.append(day)
                continue
            self.add(
                LedgerDay,
                closed_at,
                day=day,
                state="closed",
                totals=dict(sorted(totals.items())),
                closed_at=closed_at,
                closed_by=System().ref,
                **self.own,
            )
        return still_open

    # -------------------------------------------------------------------------------------- the end

    def rows(self, model: type[_Row]) -> list[_Row]:
        """What was collected for one table."""
        return [row for row in self._rows.get(model, []) if isinstance(row, model)]

    async def insert(self, session: AsyncSession) -> int:
        """Write everything; how many rows it was. Histories stand in the order of time."""
        for model, rows in self._in_order():
            table: Any = model.__table__  # type: ignore[attr-defined]
            names = [one.key for one in table.columns]
            if model is OrderEvent:
                rows = sorted(rows, key=lambda row: (row.at, row.order_id))  # type: ignore[attr-defined]
                names.remove("seq")
            told = [{name: getattr(row, name) for name in names} for row in rows]
            for start in range(0, len(told), _ROWS):
                await session.execute(insert(table), told[start : start + _ROWS])
        return sum(map(len, self._rows.values()))

    def _in_order(self) -> list[tuple[type[SQLModel], list[SQLModel]]]:
        """What a row refers to is written before it; but entries, their transactions, the days that are
        closed over them: so the database wants it (ledger/guard.py).
        """
        place = {table: n for n, table in enumerate(SQLModel.metadata.sorted_tables)}
        found = sorted(
            self._rows.items(),
            key=lambda pair: place[pair[0].__table__],  # type: ignore[attr-defined]
        )
        last = {LedgerTxn: 1, LedgerDay: 2}
        return sorted(found, key=lambda pair: last.get(pair[0], 0))
