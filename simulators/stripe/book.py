"""Stripe's own books in SQLite (a file, or memory): accounts, objects, idempotency keys, events to send."""

from __future__ import annotations

import json
import secrets
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

_SCHEMA = """
CREATE TABLE IF NOT EXISTS setting (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS account (
  key TEXT PRIMARY KEY, secret TEXT NOT NULL, url TEXT NOT NULL DEFAULT '');
CREATE TABLE IF NOT EXISTS object (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, account TEXT NOT NULL,
  kind TEXT NOT NULL, number TEXT NOT NULL, created INTEGER NOT NULL, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS answered (
  account TEXT NOT NULL, key TEXT NOT NULL, asked TEXT NOT NULL, status INTEGER NOT NULL,
  body TEXT NOT NULL, PRIMARY KEY (account, key));
CREATE TABLE IF NOT EXISTS event (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, account TEXT NOT NULL, number TEXT NOT NULL,
  body TEXT NOT NULL, tries INTEGER NOT NULL DEFAULT 0, next_at REAL NOT NULL, done TEXT);
"""
Thing = dict[str, Any]


class Refused(Exception):
    """Stripe will not do that: status, type, code, words."""

    def __init__(self, status: int, kind: str, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"error": {"type": kind, "code": code, "message": message}}


class Book:
    """Everything this Stripe remembers. One process, one thread: each method is one transaction."""

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

    def add_account(self, url: str = "") -> tuple[str, str]:
        """A test account: its secret key and the secret of its webhook endpoint."""
        key, secret = f"sk_test_{secrets.token_hex(16)}", f"whsec_{secrets.token_hex(16)}"
        self._do("INSERT INTO account VALUES (?, ?, ?)", key, secret, url)
        return key, secret

    def set_endpoint(self, key: str, url: str) -> None:
        """Where an account's events go, as its owner enters it in the dashboard."""
        self._do("UPDATE account SET url = ? WHERE key = ?", url, key)

    def account(self, key: str) -> Thing | None:
        """The account of a secret key."""
        return self._one("SELECT * FROM account WHERE key = ?", key)

    def answered(self, account: str, key: str) -> Thing | None:
        """The first answer to an idempotency key."""
        return self._one("SELECT * FROM answered WHERE account = ? AND key = ?", account, key)

    def remember(self, account: str, key: str, asked: str, status: int, body: str) -> None:
        """Keep the first answer to an idempotency key."""
        self._do(
            "INSERT OR IGNORE INTO answered VALUES (?,?,?,?,?)", account, key, asked, status, body
        )

    # ------------------------------------------------------------------------------------- objects

    def make(self, account: str, kind: str, prefix: str, number: str, body: Thing) -> Thing:
        """A new object."""
        made = {
            "id": f"{prefix}_test_{secrets.token_hex(12)}",
            "object": kind,
            "created": int(self.now()),
            "livemode": False,
            **body,
        }
        self._do(
            "INSERT INTO object (id, account, kind, number, created, body) VALUES (?,?,?,?,?,?)",
            made["id"],
            account,
            kind,
            number,
            made["created"],
            json.dumps(made),
        )
        return made

    def change(self, thing: Thing, **values: Any) -> Thing:
        """The object with other values."""
        changed = {**thing, **values}
        self._do("UPDATE object SET body = ? WHERE id = ?", json.dumps(changed), thing["id"])
        return changed

    def get(self, account: str, thing_id: str) -> Thing | None:
        """An object of an account."""
        found = self._one("SELECT body FROM object WHERE id = ? AND account = ?", thing_id, account)
        return None if found is None else dict(json.loads(found["body"]))

    def owner(self, thing_id: str) -> str | None:
        """Whose object it is."""
        found = self._one("SELECT account FROM object WHERE id = ?", thing_id)
        return None if found is None else str(found["account"])

    def find(self, kind: str, number: str) -> tuple[str, Thing] | None:
        """The newest object of that kind and number, with its account."""
        found = self._one(
            "SELECT account, body FROM object WHERE kind = ? AND number = ? ORDER BY seq DESC",
            kind,
            number,
        )
        return None if found is None else (found["account"], dict(json.loads(found["body"])))

    def all(self, account: str, kind: str) -> list[Thing]:
        """The objects of a kind, newest first."""
        return [
            dict(json.loads(row["body"]))
            for row in self._all(
                "SELECT body FROM object WHERE account = ? AND kind = ? ORDER BY seq DESC",
                account,
                kind,
            )
        ]

    # -------------------------------------------------------------------------------------- events

    def tell(self, account: str, number: str, kind: str, thing: Thing) -> None:
        """An event about an object."""
        body = {
            "id": f"evt_{secrets.token_hex(12)}",
            "object": "event",
            "api_version": "2026-10-28.endive",
            "created": int(self.now()),
            "livemode": False,
            "type": kind,
            "data": {"object": thing},
        }
        self._do(
            "INSERT INTO event (account, number, body, next_at) VALUES (?,?,?,?)",
            account,
            number,
            json.dumps(body),
            self.now(),
        )

    def due_events(self) -> list[Thing]:
        """Events to be sent now, each with its account's endpoint and secret."""
        return self._all(
            "SELECT e.*, a.url, a.secret FROM event e JOIN account a ON a.key = e.account "
            "WHERE e.done IS NULL AND e.next_at <= ? AND a.url <> '' ORDER BY e.seq",
            self.now(),
        )

    def events(self) -> list[Thing]:
        """All events, newest first."""
        return self._all("SELECT * FROM event ORDER BY seq DESC")

    def sent(self, seq: int, *, done: str | None, next_in_s: float) -> None:
        """What came of sending one."""
        self._do(
            "UPDATE event SET tries = tries + 1, done = ?, next_at = ? WHERE seq = ?",
            done,
            self.now() + next_in_s,
            seq,
        )

    def put_off(self, seq: int, seconds: float) -> None:
        """Send an event later, without counting a try."""
        self._do("UPDATE event SET next_at = ? WHERE seq = ?", self.now() + seconds, seq)

    def _do(self, sql: str, *values: Any) -> int:
        return self._db.execute(sql, values).rowcount

    def _one(self, sql: str, *values: Any) -> Thing | None:
        found = self._db.execute(sql, values).fetchone()
        return None if found is None else dict(found)

    def _all(self, sql: str, *values: Any) -> list[Thing]:
        return [dict(row) for row in self._db.execute(sql, values).fetchall()]
