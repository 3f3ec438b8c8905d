"""What the running cashier has in hand: its books, keys, knobs and addresses."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from simulators.cashier.book import Book, Row
from simulators.cashier.faults import Knobs
from simulators.cashier.messenger import Messenger


class Desk:
    """One cashier. Its key, and the admin token, are made at the first start and kept in the books."""

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
        self.book = Book(None if state_dir is None else state_dir / "cashier.db", now)
        self.public_url = public_url.rstrip("/")
        made = self.book.setting(
            "private_key", lambda: Ed25519PrivateKey.generate().private_bytes_raw().hex()
        )
        self.key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(made))
        self.other_key = Ed25519PrivateKey.generate()  # signs what shall not verify
        self.admin_token = admin_token or self.book.setting(
            "admin_token", lambda: secrets.token_urlsafe(24)
        )
        self.knobs = Knobs()
        self.messenger = Messenger(self.book, self.key, self.knobs, time_factor)

    @property
    def public_key(self) -> str:
        """What merchants verify us with, hex."""
        return self.key.public_key().public_bytes_raw().hex()

    def key_of(self, merchant: Row) -> Ed25519PublicKey:
        """A merchant's public key."""
        return Ed25519PublicKey.from_public_bytes(bytes.fromhex(merchant["public_key"]))

    def new_account(self, no: str, name: str, base_url: str) -> dict[str, str]:
        """Open an account with a fresh key pair: the credentials, as the cloud stores them."""
        key = Ed25519PrivateKey.generate()
        self.book.add_merchant(no, name, key.public_key().public_bytes_raw().hex())
        return {
            "base_url": base_url,
            "merchant": no,
            "private_key": key.private_bytes_raw().hex(),
            "cashier_key": self.public_key,
        }
