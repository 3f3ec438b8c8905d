"""What the running gateway has in hand: its books, its certificates, knobs and addresses."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from simulators.unionpay import authority
from simulators.unionpay.authority import Pair
from simulators.unionpay.book import Book
from simulators.unionpay.faults import Knobs

PFX_PASSWORD = "000000"  # noqa: S105  as UnionPay's test certificates have it


class Desk:
    """One gateway. Its authority and its admin token are made at the first start and kept."""

    def __init__(
        self,
        state_dir: Path | None,
        *,
        public_url: str,
        admin_token: str | None = None,
        time_factor: float = 1.0,
        now: Callable[[], float] = time.time,
    ) -> None:
        if state_dir is not None:
            state_dir.mkdir(parents=True, exist_ok=True)
        self.book = Book(None if state_dir is None else state_dir / "unionpay.db", now)
        self.public_url = public_url.rstrip("/")
        self.begins = datetime.fromtimestamp(now(), UTC) - timedelta(days=1)
        self.root = self._kept("root", lambda: self._issue("Simulated Root CA", None, issues=True))
        self.middle = self._kept(
            "middle", lambda: self._issue("Simulated CA", self.root, issues=True)
        )
        self.own = self._kept("own", lambda: self._issue(authority.OWNER, self.middle))
        self._stranger: Pair | None = None
        self.admin_token = admin_token or self.book.setting(
            "admin_token", lambda: secrets.token_urlsafe(24)
        )
        self.knobs = Knobs()
        self.time_factor = time_factor

    @property
    def stranger(self) -> Pair:
        """Somebody who calls himself UnionPay, by an authority of his own."""
        if self._stranger is None:
            root = self._issue("Simulated Root CA", None, issues=True)
            self._stranger = self._issue(authority.OWNER, root)
        return self._stranger

    def new_account(self, no: str, name: str, base_url: str) -> dict[str, Any]:
        """Open an account with a fresh certificate: the credentials, as the cloud stores them."""
        pair = self._issue(f"051@{name}@{no}@1", self.middle, days=730)
        self.book.add_merchant(no, name, pair.pem)
        return {
            "merchant": no,
            "pfx": authority.pfx(pair, PFX_PASSWORD),
            "pfx_password": PFX_PASSWORD,
            "middle": self.middle.pem,
            "root": self.root.pem,
            "base_url": base_url,
            "file_url": base_url,
        }

    def _issue(
        self, name: str, issuer: Pair | None, *, issues: bool = False, days: float = 3650
    ) -> Pair:
        return authority.make(name, issuer=issuer, issues=issues, days=days, begins=self.begins)

    def _kept(self, name: str, make: Callable[[], Pair]) -> Pair:
        made: list[Pair] = []

        def key() -> str:
            made.append(make())
            return made[0].key_pem

        key_pem = self.book.setting(f"{name}_key", key)
        pem = self.book.setting(f"{name}_certificate", lambda: made[0].pem)
        return Pair.read(key_pem, pem)
