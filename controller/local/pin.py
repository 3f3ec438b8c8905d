"""Who may see the page: whoever knows the PIN, guessed at slowly. Kept as a hash in the state directory."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Callable
from pathlib import Path

from controller.identity import write_private

FILE = "local-pin.json"
DIGITS = 8
TRIES = 5
PAUSE_S = 60.0
PAUSE_MAX_S = 900.0
LOGIN_S = 1800.0
_COST = (
    1 << 12
)  # 4 MB and some 10 ms: the pause is what keeps guessers out, and memory is short here


def new_pin(state_dir: Path) -> str:
    """Make a PIN, keep its hash, return it: it is shown this once. The one before ends."""
    pin = "".join(secrets.choice("0123456789") for _ in range(DIGITS))
    salt = secrets.token_bytes(16)
    kept = {"salt": salt.hex(), "hash": _hash(pin, salt).hex()}
    write_private(state_dir / FILE, json.dumps(kept).encode())
    return pin


def _hash(pin: str, salt: bytes) -> bytes:
    return hashlib.scrypt(pin.encode(), salt=salt, n=_COST, r=8, p=1)


class Gate:
    """Logins by PIN. After ``TRIES`` wrong ones everybody waits: a minute, then longer and longer."""

    def __init__(self, state_dir: Path, monotonic: Callable[[], float]) -> None:
        self._path = state_dir / FILE
        self._monotonic = monotonic
        self._wrong = 0
        self._pauses = 0
        self._closed_until = 0.0
        self._logins: dict[str, float] = {}

    @property
    def set_up(self) -> bool:
        """Whether there is a PIN at all."""
        return self._path.exists()

    @property
    def wait_s(self) -> int:
        """Seconds until the next try counts; 0 now."""
        return max(0, round(self._closed_until - self._monotonic() + 0.5))

    def log_in(self, pin: str) -> str | None:
        """A token for the right PIN; None for a wrong one, and for any while everybody waits."""
        if self.wait_s or not self._right(pin):
            return None
        self._wrong = self._pauses = 0
        token = secrets.token_urlsafe(24)
        self._logins[token] = self._monotonic() + LOGIN_S
        return token

    def known(self, token: str) -> bool:
        """Whether a token's login goes on; each look makes it go on longer."""
        now = self._monotonic()
        self._logins = {key: until for key, until in self._logins.items() if until > now}
        if token not in self._logins:
            return False
        self._logins[token] = now + LOGIN_S
        return True

    def log_out(self, token: str) -> None:
        """End a login."""
        self._logins.pop(token, None)

    def _right(self, pin: str) -> bool:
        try:
            kept = json.loads(self._path.read_text())
            right = bytes.fromhex(kept["hash"])
            found = _hash(pin[:64], bytes.fromhex(kept["salt"]))
        except (OSError, ValueError, KeyError, TypeError):
            return False
        if hmac.compare_digest(found, right):
            return True
        self._wrong += 1
        if self._wrong >= TRIES:
            self._wrong = 0
            pause = min(PAUSE_S * 2**self._pauses, PAUSE_MAX_S)
            self._pauses += 1
            self._closed_until = self._monotonic() + pause
        return False
