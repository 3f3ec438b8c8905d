"""The cashier's own books in SQLite (a file, or memory): merchants, payments, refunds, messages to send."""

from __future__ import annotations

import json
import secrets
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

_SCHEMA = """
CREATE TABLE IF NOT EXISTS setting (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS merchant (
  no TEXT PRIMARY KEY, name TEXT NOT NULL, public_key TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS nonce (merchant TEXT, nonce TEXT, at REAL, PRIMARY KEY (merchant, nonce));
CREATE TABLE IF NOT EXISTS payment (
  number TEXT, merchant TEXT NOT NULL REFERENCES merchant(no), token TEXT NOT NULL UNIQUE,
  amount_fen INTEGER NOT NULL CHECK (amount_fen > 0), subject TEXT NOT NULL,
  merchant_name TEXT NOT NULL, expires_at REAL NOT NULL, notify_url TEXT NOT NULL,
  return_url TEXT NOT NULL, state TEXT NOT NULL DEFAULT 'waiting', txn TEXT UNIQUE,
  created_at REAL NOT NULL, paid_at REAL, PRIMARY KEY (merchant, number));
CREATE TABLE IF NOT EXISTS refund (
  number TEXT, merchant TEXT NOT NULL, payment_number TEXT NOT NULL,
  amount_fen INTEGER NOT NULL CHECK (amount_fen > 0), reason TEXT NOT NULL,
  notify_url TEXT NOT NULL, state TEXT NOT NULL, refund_no TEXT NOT NULL UNIQUE,
  created_at REAL NOT NULL, due_at REAL, done_at REAL, PRIMARY KEY (merchant, number));
CREATE TABLE IF NOT EXISTS message (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, merchant TEXT NOT NULL,
  number TEXT NOT NULL, url TEXT NOT NULL, body TEXT NOT NULL, tries INTEGER NOT NULL DEFAULT 0,
  next_at REAL NOT NULL, done TEXT);
"""

Row = dict[str, Any]


class Refused(Exception):
    """The cashier will not do that: HTTP status and a code."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status = status
        self.code = code


class Book:
    """Everything the cashier remembers. One process, one thread: each method is one transaction."""

    def __init__(self, file: Path | None, now: Callable[[], float]) -> None:
        self.now = now
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

    # --------------------------------------------------------------------- settings and merchants

    def setting(self, name: str, make: Callable[[], str]) -> str:
        """A value kept since the first start."""
        found = self._one("SELECT value FROM setting WHERE name = ?", name)
        if found is not None:
            return str(found["value"])
        value = make()
        self._do("INSERT INTO setting VALUES (?, ?)", name, value)
        return value

    def add_merchant(self, no: str, name: str, public_key: str) -> None:
        """Register or replace a merchant's public key (hex)."""
        self._do(
            "INSERT INTO merchant VALUES (?, ?, ?) ON CONFLICT (no) "
            "DO UPDATE SET name = excluded.name, public_key = excluded.public_key",
            no,
            name,
            public_key,
        )

    def merchant(self, no: str) -> Row | None:
        """A merchant by number."""
        return self._one("SELECT * FROM merchant WHERE no = ?", no)

    def use_nonce(self, merchant: str, nonce: str) -> bool:
        """False if this nonce was seen before: somebody plays a request back."""
        self._do("DELETE FROM nonce WHERE at < ?", self.now() - 900)
        done = self._do("INSERT OR IGNORE INTO nonce VALUES (?, ?, ?)", merchant, nonce, self.now())
        return done == 1

    # ------------------------------------------------------------------------------------ payments

    def open_payment(self, merchant: str, ask: Row) -> Row:
        """The payment of this number; made if it is new. Refused 409 if it was asked otherwise."""
        known = self.payment(merchant, ask["number"])
        if known is not None:
            if known["amount_fen"] != ask["amount_fen"]:
                raise Refused(409, "number_used_for_other_amount")
            return known
        self._do(
            "INSERT INTO payment (number, merchant, token, amount_fen, subject, merchant_name, "
            "expires_at, notify_url, return_url, created_at) VALUES (?,?,?,?,?,?,?,?,?,?)",
            ask["number"],
            merchant,
            secrets.token_urlsafe(18),
            ask["amount_fen"],
            ask["subject"],
            ask["merchant_name"],
            ask["expires_at"],
            ask["notify_url"],
            ask["return_url"],
            self.now(),
        )
        made = self.payment(merchant, ask["number"])
        assert made is not None
        return made

    def payment(self, merchant: str, number: str) -> Row | None:
        """A merchant's payment by its number."""
        return self._one(
            "SELECT * FROM payment WHERE merchant = ? AND number = ?", merchant, number
        )

    def payment_by_token(self, token: str) -> Row | None:
        """The payment that a page's address names."""
        return self._one("SELECT * FROM payment WHERE token = ?", token)

    def payments(self) -> list[Row]:
        """All payments, newest first."""
        return self._all("SELECT * FROM payment ORDER BY created_at DESC, rowid DESC")

    def pay(self, merchant: str, number: str, *, late: bool = False) -> bool:
        """Somebody pays. False unless it waits (``late``: or was closed or ran out) ; True once."""
        now = self.now()
        states = "('waiting', 'closed')" if late else "('waiting')"
        done = self._do(
            f"UPDATE payment SET state = 'paid', paid_at = ?, txn = ? WHERE merchant = ? "  # noqa: S608
            f"AND number = ? AND state IN {states} AND (? OR expires_at > ?)",
            now,
            f"T{int(now)}{secrets.randbelow(10**10):010d}",
            merchant,
            number,
            late,
            now,
        )
        if done:
            self._tell_payment(merchant, number)
        return done == 1

    def close_payment(self, merchant: str, number: str) -> None:
        """waiting → closed; a paid one stays paid."""
        self._do(
            "UPDATE payment SET state = 'closed' "
            "WHERE merchant = ? AND number = ? AND state = 'waiting'",
            merchant,
            number,
        )

    # ------------------------------------------------------------------------------------- refunds

    def open_refund(self, merchant: str, ask: Row, *, state: str, delay_s: float) -> Row:
        """The refund of this number; made if it is new. Refused where money would be given twice."""
        known = self.refund(merchant, ask["number"])
        if known is not None:
            if known["amount_fen"] != ask["amount_fen"]:
                raise Refused(409, "number_used_for_other_amount")
            return known
        payment = self.payment(merchant, ask["payment_number"])
        if payment is None or payment["state"] != "paid":
            raise Refused(409, "nothing_paid")
        given = self._one(
            "SELECT coalesce(sum(amount_fen), 0) AS fen FROM refund WHERE merchant = ? "
            "AND payment_number = ? AND state <> 'refused'",
            merchant,
            ask["payment_number"],
        )
        assert given is not None
        if given["fen"] + ask["amount_fen"] > payment["amount_fen"]:
            raise Refused(409, "more_than_was_paid")
        now = self.now()
        self._do(
            "INSERT INTO refund (number, merchant, payment_number, amount_fen, reason, notify_url, "
            "state, refund_no, created_at, due_at) VALUES (?,?,?,?,?,?,?,?,?,?)",
            ask["number"],
            merchant,
            ask["payment_number"],
            ask["amount_fen"],
            ask["reason"],
            ask["notify_url"],
            state,
            f"R{int(now)}{secrets.randbelow(10**10):010d}",
            now,
            now + delay_s if state == "processing" else None,
        )
        made = self.refund(merchant, ask["number"])
        assert made is not None
        return made

    def refund(self, merchant: str, number: str) -> Row | None:
        """A merchant's refund by its number."""
        return self._one("SELECT * FROM refund WHERE merchant = ? AND number = ?", merchant, number)

    def refunds(self) -> list[Row]:
        """All refunds, newest first."""
        return self._all("SELECT * FROM refund ORDER BY created_at DESC, rowid DESC")

    def set_refund(self, merchant: str, number: str, state: str) -> bool:
        """Move a refund that is not final by hand (a stuck one is released, or refused)."""
        done = self._do(
            "UPDATE refund SET state = ?, done_at = ? WHERE merchant = ? AND number = ? "
            "AND state IN ('processing', 'stuck')",
            state,
            self.now() if state == "done" else None,
            merchant,
            number,
        )
        if done and state in {"done", "refused"}:
            self._tell_refund(merchant, number)
        return done == 1

    def finish_refunds(self) -> None:
        """Refunds whose time has come are done, and said so."""
        due = self._all(
            "SELECT merchant, number FROM refund WHERE state = 'processing' AND due_at <= ?",
            self.now(),
        )
        for row in due:
            self.set_refund(row["merchant"], row["number"], "done")

    # ------------------------------------------------------------------------------------ messages

    def due_messages(self) -> list[Row]:
        """Notifications to be sent now, oldest first."""
        return self._all(
            "SELECT * FROM message WHERE done IS NULL AND next_at <= ? ORDER BY seq", self.now()
        )

    def messages(self) -> list[Row]:
        """All notifications, newest first."""
        return self._all("SELECT * FROM message ORDER BY seq DESC")

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

    def _tell_payment(self, merchant: str, number: str) -> None:
        row = self.payment(merchant, number)
        assert row is not None
        self._tell(merchant, row["notify_url"], number, "payment", shown_payment(row))

    def _tell_refund(self, merchant: str, number: str) -> None:
        row = self.refund(merchant, number)
        assert row is not None
        self._tell(merchant, row["notify_url"], number, "refund", shown_refund(row))

    def _tell(self, merchant: str, url: str, number: str, kind: str, thing: Row) -> None:
        event = f"N{secrets.token_hex(12)}"
        body = {"id": event, "merchant": merchant, "kind": kind, kind: thing}
        self._do(
            "INSERT INTO message (id, merchant, number, url, body, next_at) VALUES (?,?,?,?,?,?)",
            event,
            merchant,
            number,
            url,
            json.dumps(body, ensure_ascii=False),
            self.now(),
        )

    # --------------------------------------------------------------------------------------- SQL

    def _do(self, sql: str, *values: Any) -> int:
        return self._db.execute(sql, values).rowcount

    def _one(self, sql: str, *values: Any) -> Row | None:
        found = self._db.execute(sql, values).fetchone()
        return None if found is None else dict(found)

    def _all(self, sql: str, *values: Any) -> list[Row]:
        return [dict(row) for row in self._db.execute(sql, values).fetchall()]


def shown_payment(row: Row) -> Row:
    """A payment as the API and notifications show it."""
    return {
        "number": row["number"],
        "state": row["state"],
        "amount_fen": row["amount_fen"],
        "transaction": row["txn"],
        "paid_at": row["paid_at"] and int(row["paid_at"]),
        "expires_at": int(row["expires_at"]),
    }


def shown_refund(row: Row) -> Row:
    """A refund as the API and notifications show it."""
    return {
        "number": row["number"],
        "payment_number": row["payment_number"],
        "state": row["state"],
        "amount_fen": row["amount_fen"],
        "refund": row["refund_no"],
    }
