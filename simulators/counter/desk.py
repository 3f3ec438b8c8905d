"""What a running simulator has in hand: its books, knobs, clocks and addresses."""

from __future__ import annotations

import secrets
from pathlib import Path

from simulators.counter.book import Book
from simulators.counter.faults import Knobs
from store_link.clock import BusinessClock, Clock, WireClock


class Desk:
    """One payment service with one merchant. What is made at the first start is kept in the books."""

    def __init__(
        self,
        name: str,
        state_dir: Path | None,
        *,
        public_url: str,
        admin_token: str | None = None,
        business: Clock | None = None,
        wire: Clock | None = None,
    ) -> None:
        if state_dir is not None:
            state_dir.mkdir(parents=True, exist_ok=True)
        self.wire = wire or WireClock()
        self.business = business or BusinessClock(None, self.wire)
        file = None if state_dir is None else state_dir / f"{name}.db"
        self.book = Book(file, self.business, self.wire)
        self.knobs = Knobs()
        self.name = name
        self.public_url = public_url.rstrip("/")
        self.admin_token = admin_token or self.book.setting(
            "admin_token", lambda: secrets.token_urlsafe(24)
        )
