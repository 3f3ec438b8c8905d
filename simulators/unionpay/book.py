"""The gateway's own books in SQLite (a file, or memory): merchants, trades, notifications to send."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

_SCHEMA = """
CREATE TABLE IF NOT EXISTS setting (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS merchant (no TEXT PRIMARY KEY, name TEXT NOT NULL, pem TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS trade (
  id INTEGER PRIMARY KEY, merchant TEXT NOT NULL REFERENCES merchant(no), order_id TEXT NOT NULL,
  txn_time TEXT NOT NULL, kind TEXT NOT NULL, token TEXT NOT NULL UNIQUE, query_id TEXT UNIQUE,
  amount_fen INTEGER NOT NULL CHECK (amount_fen > 0), code TEXT NOT NULL, subject TEXT NOT NULL,
  until TEXT NOT NULL, back_url TEXT NOT NULL, front_url TEXT NOT NULL, original TEXT,
  created_at REAL NOT NULL, due_at REAL, done_at REAL, UNIQUE (merchant, order_id, txn_time));
CREATE TABLE IF NOT EXISTS message (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, trade INTEGER NOT NULL, tries INTEGER NOT NULL DEFAULT 0,
  next_at REAL NOT NULL, done TEXT);
"""
BEIJING = ZoneInfo("Asia/Shanghai")
PAID, REFUNDED = "01", "04"
SHUT_S = 3600  # UnionPay's day ends at 23:00

Row = dict[str, Any]


class Refused(Exception):
    """The gateway will not do that: an answer code and its words."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code} {message}")
        self.code = code
        self.message = message


class Book:
    """Everything the gateway remembers. One process, one thread: each method is one transaction.

    A trade's ``code`` is what a query says: ``05`` while it is open, ``00`` done, others failed.
    """

    def __init__(self, file: Path | None, now: Callable[[], float]) -> None:
        self.now = now
        self._db = sqlite3.connect(
            ":memory:" if file is None else file, check_same_thread=False, isolation_level=None
        )
        self._db.row_factory = sqlite3.Row
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def setting(self, name: str, make: Callable[[], str]) -> str:
        """A value kept since the first start."""
        found = self._one("SELECT value FROM setting WHERE name = ?", name)
        if found is None:
            self._do("INSERT INTO setting VALUES (?, ?)", name, made := make())
            return made
        return str(found["value"])

    def add_merchant(self, no: str, name: str, pem: str) -> None:
        """Register a merchant, or replace its certificate."""
        self._do("INSERT OR REPLACE INTO merchant VALUES (?, ?, ?)", no, name, pem)

    def merchant(self, no: str) -> Row | None:
        """A merchant by its number."""
        return self._one("SELECT * FROM merchant WHERE no = ?", no)

    # -------------------------------------------------------------------------------------- trades

    def open_payment(self, f: dict[str, str]) -> Row:
        """What a card holder's browser brought. Refused 12 for another amount, 69 after its time."""
        known = self.trade(f["merId"], f["orderId"], f["txnTime"])
        if known is not None:
            if known["amount_fen"] != int(f["txnAmt"]):
                raise Refused("12", "重复交易")
            return known
        self._insert(f, PAID, f.get("orderDesc", ""), f["payTimeout"], f["frontUrl"], None, None)
        return self._again(f)

    def pay(self, token: str, *, late: bool = False) -> bool:
        """The card is charged, once; not after ``payTimeout`` unless ``late``."""
        row = self.by_token(token)
        if row is None or row["code"] not in {"05", "64"} or row["kind"] != PAID:
            return False
        if self.over(row) and not late:
            return False
        done = self._do(
            "UPDATE trade SET code = '00', query_id = ?, done_at = ? WHERE id = ? AND code <> '00'",
            self._query_id(),
            self.now(),
            row["id"],
        )
        if done:
            self._tell(row["id"])
        return done == 1

    def decline(self, token: str) -> None:
        """The bank says no: the same order may be tried with another card."""
        self._do("UPDATE trade SET code = '64' WHERE token = ? AND code = '05'", token)

    def open_refund(self, f: dict[str, str], *, state: str, delay_s: float) -> Row:
        """A refund: 12 for a number that was used, 35/36 where there is nothing to give back."""
        if self.trade(f["merId"], f["orderId"], f["txnTime"]) is not None:
            raise Refused("12", "重复交易")
        original = self._one(
            "SELECT * FROM trade WHERE query_id = ? AND merchant = ? AND kind = ? AND code = '00'",
            f.get("origQryId", ""),
            f["merId"],
            PAID,
        )
        if original is None:
            raise Refused("35", "原交易不存在或状态不正确")
        given = self._one(
            "SELECT coalesce(sum(amount_fen), 0) AS fen FROM trade WHERE original = ? "
            "AND code IN ('00', '05')",
            original["order_id"],
        )
        if (given or {"fen": 0})["fen"] + int(f["txnAmt"]) > original["amount_fen"]:
            raise Refused("36", "与原交易信息不符")
        due = self.now() + delay_s if state == "processing" else None
        self._insert(f, REFUNDED, "", "", "", original["order_id"], due)
        made = self._again(f)
        if state == "refused":
            self._do("UPDATE trade SET code = '61' WHERE id = ?", made["id"])
        return self._again(f)

    def finish_refunds(self) -> None:
        """Refunds whose time has come are through, and told."""
        for row in self._all(
            "SELECT id FROM trade WHERE kind = ? AND code = '05' AND due_at <= ?",
            REFUNDED,
            self.now(),
        ):
            self.finish_refund(row["id"], "00")

    def finish_refund(self, trade: int, code: str) -> bool:
        """Release or refuse a refund that waits."""
        done = self._do(
            "UPDATE trade SET code = ?, done_at = ? WHERE id = ? AND code = '05'",
            code,
            self.now(),
            trade,
        )
        if done and code == "00":
            self._tell(trade)
        return done == 1

    def trade(self, merchant: str, order_id: str, txn_time: str) -> Row | None:
        """A trade by the three that name it."""
        return self._one(
            "SELECT * FROM trade WHERE merchant = ? AND order_id = ? AND txn_time = ?",
            merchant,
            order_id,
            txn_time,
        )

    def by_token(self, token: str) -> Row | None:
        """The trade that a page's address names."""
        return self._one("SELECT * FROM trade WHERE token = ?", token)

    def by_order(self, order_id: str) -> Row | None:
        """The newest trade of an order number."""
        return self._one("SELECT * FROM trade WHERE order_id = ? ORDER BY id DESC", order_id)

    def trades(self) -> list[Row]:
        """All trades, newest first."""
        return self._all("SELECT * FROM trade ORDER BY id DESC")

    def settled(self, merchant: str, month_day: str) -> list[Row]:
        """What moved on a settlement day (MMDD), oldest first."""
        return [
            row
            for row in self._all(
                "SELECT * FROM trade WHERE merchant = ? AND code = '00' ORDER BY id", merchant
            )
            if settle_date(row["done_at"]) == month_day
        ]

    def over(self, row: Row) -> bool:
        """Whether a payment's time is over."""
        until = datetime.strptime(row["until"], "%Y%m%d%H%M%S").replace(tzinfo=BEIJING)
        return self.now() > until.timestamp()

    # ------------------------------------------------------------------------------------ messages

    def due_messages(self) -> list[Row]:
        """Notifications to be sent now, oldest first, each with its trade."""
        return self._all(
            "SELECT m.seq, m.tries, t.* FROM message m JOIN trade t ON t.id = m.trade "
            "WHERE m.done IS NULL AND m.next_at <= ? ORDER BY m.seq",
            self.now(),
        )

    def messages(self) -> list[Row]:
        """All notifications, newest first."""
        return self._all(
            "SELECT m.*, t.order_id FROM message m JOIN trade t ON t.id = m.trade ORDER BY seq DESC"
        )

    def sent(self, seq: int, *, done: str | None, next_in_s: float) -> None:
        """What came of sending one: ``done`` says how it ended, else it is tried again."""
        self._do(
            "UPDATE message SET tries = tries + 1, done = ?, next_at = ? WHERE seq = ?",
            done,
            self.now() + next_in_s,
            seq,
        )

    def put_off(self, seq: int, seconds: float) -> None:
        """Send a message later, without counting a try."""
        self._do("UPDATE message SET next_at = ? WHERE seq = ?", self.now() + seconds, seq)

    def _tell(self, trade: int) -> None:
        self._do("INSERT INTO message (trade, next_at) VALUES (?, ?)", trade, self.now())

    # ----------------------------------------------------------------------------------------- SQL

    def _insert(
        self,
        f: dict[str, str],
        kind: str,
        subject: str,
        until: str,
        front: str,
        original: str | None,
        due: float | None,
    ) -> None:
        self._do(
            "INSERT INTO trade (merchant, order_id, txn_time, kind, token, query_id, amount_fen, code, "
            "subject, until, back_url, front_url, original, created_at, due_at) "
            "VALUES (?,?,?,?,?,?,?,'05',?,?,?,?,?,?,?)",
            f["merId"],
            f["orderId"],
            f["txnTime"],
            kind,
            secrets.token_urlsafe(18),
            self._query_id() if kind == REFUNDED else None,
            int(f["txnAmt"]),
            subject,
            until,
            f["backUrl"],
            front,
            original,
            self.now(),
            due,
        )

    def _again(self, f: dict[str, str]) -> Row:
        made = self.trade(f["merId"], f["orderId"], f["txnTime"])
        assert made is not None
        return made

    def _query_id(self) -> str:
        stamp = datetime.fromtimestamp(self.now(), BEIJING)
        return f"{stamp:%Y%m%d%H%M%S}{secrets.randbelow(10**7):07d}"

    def _do(self, sql: str, *values: Any) -> int:
        return self._db.execute(sql, values).rowcount

    def _one(self, sql: str, *values: Any) -> Row | None:
        found = self._db.execute(sql, values).fetchone()
        return None if found is None else dict(found)

    def _all(self, sql: str, *values: Any) -> list[Row]:
        return [dict(row) for row in self._db.execute(sql, values).fetchall()]


def settle_date(at: float) -> str:
    """The settlement day (MMDD): UnionPay's day runs from 23:00 to 23:00 Beijing time."""
    return f"{datetime.fromtimestamp(at, BEIJING) + timedelta(seconds=SHUT_S):%m%d}"
