"""A payment service's own books in SQLite (a file, or memory): payments, refunds, messages to send."""

from __future__ import annotations

import json
import secrets
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from store_link.clock import Clock

_SCHEMA = """
CREATE TABLE IF NOT EXISTS setting (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS payment (
  number TEXT PRIMARY KEY, token TEXT NOT NULL UNIQUE, amount_fen INTEGER NOT NULL CHECK (amount_fen > 0),
  subject TEXT NOT NULL, merchant_name TEXT NOT NULL, app TEXT NOT NULL, channel TEXT NOT NULL,
  payer TEXT NOT NULL, expires_at REAL NOT NULL, notify_url TEXT NOT NULL, return_url TEXT NOT NULL,
  state TEXT NOT NULL DEFAULT 'waiting', seen INTEGER NOT NULL DEFAULT 1, txn TEXT UNIQUE,
  created_at REAL NOT NULL, paid_at REAL);
CREATE TABLE IF NOT EXISTS refund (
  number TEXT, payment_number TEXT NOT NULL, amount_fen INTEGER NOT NULL CHECK (amount_fen > 0),
  reason TEXT NOT NULL, notify_url TEXT NOT NULL, state TEXT NOT NULL, refund_no TEXT NOT NULL UNIQUE,
  created_at REAL NOT NULL, due_at REAL, done_at REAL, foreign_made INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (number, payment_number));
CREATE TABLE IF NOT EXISTS message (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, number TEXT NOT NULL, url TEXT NOT NULL,
  kind TEXT NOT NULL, body TEXT NOT NULL, tries INTEGER NOT NULL DEFAULT 0, next_at REAL NOT NULL,
  done TEXT);
"""
Row = dict[str, Any]


class Refused(Exception):
    """It will not do that; the code is the book's own word."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class Asked:
    """A payment that a merchant asks for. ``expires_at``: seconds of wire time."""

    number: str
    amount_fen: int
    subject: str
    merchant_name: str
    app: str
    channel: str
    payer: str
    expires_at: float
    notify_url: str
    return_url: str
    seen: bool = True  # False: hidden from queries until a payer has opened it


class Book:
    """One merchant's account. One process, one thread: each method is one transaction.

    When money moved, and when a message is due, is business time; a payment's end is wire time.
    """

    def __init__(self, file: Path | None, business: Clock, wire: Clock) -> None:
        self._business = business
        self._wire = wire
        self._db = sqlite3.connect(
            ":memory:" if file is None else file, check_same_thread=False, isolation_level=None
        )
        self._db.row_factory = sqlite3.Row
        if file is not None:
            self._db.execute("PRAGMA journal_mode=WAL")
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    @property
    def now(self) -> float:
        """Business time in seconds."""
        return self._business.now().timestamp()

    @property
    def real(self) -> float:
        """Wire time in seconds."""
        return self._wire.now().timestamp()

    def setting(self, name: str, make: Callable[[], str]) -> str:
        """A value kept since the first start."""
        found = self._one("SELECT value FROM setting WHERE name = ?", name)
        if found is not None:
            return str(found["value"])
        value = make()
        self._do("INSERT INTO setting VALUES (?, ?)", name, value)
        return value

    # ------------------------------------------------------------------------------------ payments

    def open_payment(self, asked: Asked) -> Row:
        """The payment of this number; made if it is new. Refused ``used``, ``paid`` or ``closed``."""
        known = self.payment(asked.number)
        if known is not None:
            if known["state"] != "waiting":
                raise Refused(known["state"])
            if known["amount_fen"] != asked.amount_fen or known["channel"] != asked.channel:
                raise Refused("used")
            return known
        self._do(
            "INSERT INTO payment (number, token, amount_fen, subject, merchant_name, app, channel, "
            "payer, expires_at, notify_url, return_url, seen, created_at) "
            "VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)",
            asked.number, secrets.token_urlsafe(18), asked.amount_fen, asked.subject,
            asked.merchant_name, asked.app, asked.channel, asked.payer, asked.expires_at,
            asked.notify_url, asked.return_url, asked.seen, self.now,
        )  # fmt: skip
        made = self.payment(asked.number)
        assert made is not None
        return made

    def payment(self, number: str) -> Row | None:
        """A payment by its number."""
        return self._one("SELECT * FROM payment WHERE number = ?", number)

    def payment_by_token(self, token: str) -> Row | None:
        """The payment that a page's address names; whoever opens the page has seen it."""
        self._do("UPDATE payment SET seen = 1 WHERE token = ?", token)
        return self._one("SELECT * FROM payment WHERE token = ?", token)

    def payments(self) -> list[Row]:
        """All payments, newest first."""
        return self._all("SELECT * FROM payment ORDER BY created_at DESC, rowid DESC")

    def pay(self, number: str, *, late: bool = False) -> bool:
        """Somebody pays. False unless it waits (``late``: or was closed or ran out); True once."""
        states = "('waiting', 'closed')" if late else "('waiting')"
        done = self._do(
            f"UPDATE payment SET state = 'paid', seen = 1, paid_at = ?, txn = ? "  # noqa: S608
            f"WHERE number = ? AND state IN {states} AND (? OR expires_at > ?)",
            self.now, f"42{int(self.real)}{secrets.randbelow(10**14):014d}", number, late, self.real,
        )  # fmt: skip
        if done:
            self.tell("payment", number)
        return done == 1

    def close_payment(self, number: str) -> None:
        """waiting → closed; a paid one stays paid."""
        self._do(
            "UPDATE payment SET state = 'closed' WHERE number = ? AND state = 'waiting'", number
        )

    def remember(self, payments: list[Row], refunds: list[Row]) -> None:
        """Payments and refunds that are done since long; nobody is told. A number that is known stays."""
        self._db.execute("BEGIN")
        with self._db:
            self._db.executemany(
                "INSERT OR IGNORE INTO payment (number, token, amount_fen, subject, merchant_name, app, "
                "channel, payer, expires_at, notify_url, return_url, state, txn, created_at, paid_at) "
                "VALUES (:number, :txn, :amount_fen, :subject, :merchant_name, '', :channel, '', "
                ":paid_at, '', '', 'paid', :txn, :created_at, :paid_at)",
                payments,
            )
            self._db.executemany(
                "INSERT OR IGNORE INTO refund (number, payment_number, amount_fen, reason, notify_url, "
                "state, refund_no, created_at, done_at) VALUES (:number, :payment_number, :amount_fen, "
                ":reason, '', 'success', :refund_no, :created_at, :done_at)",
                refunds,
            )

    # ------------------------------------------------------------------------------------- refunds

    def open_refund(
        self, number: str, payment_number: str, amount_fen: int, reason: str, notify_url: str, *,
        delay_s: float, foreign: bool = False,
    ) -> Row:  # fmt: skip
        """The refund of this number; made if it is new. Refused where money would go back twice."""
        known = self.refund(number, payment_number)
        if known is not None:
            if known["amount_fen"] != amount_fen:
                raise Refused("other_amount")
            return known
        payment = self.payment(payment_number)
        if payment is None:
            raise Refused("absent")
        if payment["state"] != "paid":
            raise Refused("not_paid")
        if self.given_back(payment_number) + amount_fen > payment["amount_fen"]:
            raise Refused("too_much")
        self._do(
            "INSERT INTO refund (number, payment_number, amount_fen, reason, notify_url, state, "
            "refund_no, created_at, due_at, foreign_made) VALUES (?,?,?,?,?,'processing',?,?,?,?)",
            number, payment_number, amount_fen, reason, notify_url,
            f"50{int(self.real)}{secrets.randbelow(10**14):014d}", self.now, self.real + delay_s,
            foreign,
        )  # fmt: skip
        made = self.refund(number, payment_number)
        assert made is not None
        return made

    def given_back(self, payment_number: str, *, only_done: bool = False) -> int:
        """What refunds of a payment come to, in fen."""
        states = "('success')" if only_done else "('success', 'processing', 'abnormal')"
        found = self._one(
            f"SELECT coalesce(sum(amount_fen), 0) AS fen FROM refund "  # noqa: S608
            f"WHERE payment_number = ? AND state IN {states}",
            payment_number,
        )
        assert found is not None
        return int(found["fen"])

    def refund(self, number: str, payment_number: str | None = None) -> Row | None:
        """A refund by its number."""
        return self._one(
            "SELECT * FROM refund WHERE number = ? AND (? IS NULL OR payment_number = ?)",
            number, payment_number, payment_number,
        )  # fmt: skip

    def refunds(self) -> list[Row]:
        """All refunds, newest first."""
        return self._all("SELECT * FROM refund ORDER BY created_at DESC, rowid DESC")

    def end_refund(self, number: str, state: str) -> bool:
        """processing or abnormal → success, closed or abnormal; said so."""
        done = self._do(
            "UPDATE refund SET state = ?, done_at = ? WHERE number = ? AND state <> ? "
            "AND state IN ('processing', 'abnormal')",
            state, self.now if state == "success" else None, number, state,
        )  # fmt: skip
        if done:
            self.tell("refund", number)
        return done == 1

    def due_refunds(self) -> list[Row]:
        """Refunds whose time has come."""
        return self._all(
            "SELECT * FROM refund WHERE state = 'processing' AND due_at <= ?", self.real
        )

    # ------------------------------------------------------------------------------------ messages

    def tell(self, kind: str, number: str) -> None:
        """A notification about how a payment or refund stands now."""
        row = self.payment(number) if kind == "payment" else self.refund(number)
        assert row is not None
        if not row["notify_url"]:
            return
        self._do(
            "INSERT INTO message (id, number, url, kind, body, next_at) VALUES (?,?,?,?,?,?)",
            secrets.token_hex(16), number, row["notify_url"], kind, json.dumps(row), self.now,
        )  # fmt: skip

    def due_messages(self) -> list[Row]:
        """Notifications to be sent now, oldest first."""
        return self._all(
            "SELECT * FROM message WHERE done IS NULL AND next_at <= ? ORDER BY seq", self.now
        )

    def messages(self) -> list[Row]:
        """All notifications, newest first."""
        return self._all("SELECT * FROM message ORDER BY seq DESC")

    def sent(self, seq: int, *, done: str | None, next_in_s: float) -> None:
        """What came of sending one: ``done`` says how it ended, else it is tried again."""
        self._do(
            "UPDATE message SET tries = tries + 1, done = ?, next_at = ? WHERE seq = ?",
            done, self.now + next_in_s, seq,
        )  # fmt: skip

    def put_off(self, seq: int, seconds: float) -> None:
        """Send a message later, without counting a try."""
        self._do("UPDATE message SET next_at = ? WHERE seq = ?", self.now + seconds, seq)

    # --------------------------------------------------------------------------------------- SQL

    def _do(self, sql: str, *values: Any) -> int:
        return self._db.execute(sql, values).rowcount

    def _one(self, sql: str, *values: Any) -> Row | None:
        found = self._db.execute(sql, values).fetchone()
        return None if found is None else dict(found)

    def _all(self, sql: str, *values: Any) -> list[Row]:
        return [dict(row) for row in self._db.execute(sql, values).fetchall()]
