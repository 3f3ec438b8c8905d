"""The ids and keys of the golden vectors. They are published: they sign nothing but examples."""

from __future__ import annotations

import hashlib

from store_link.signing import KeyPurpose, MacKey, SigningKey

STORE = "01KAY3V9W0JQ4M8T2Z6C5N7R1H"
OTHER_STORE = "01KAY3V9W1B7XK3D9FQ2EY0GSA"
GRANT = "01KAY4ZZ5T8MHWC1P6RV3NJ0D2"
STAY = "01KAY4ZXQ20F7E9S5B3YKT8GAC"
NONCE = "Wm9uZS1vbmUtbm9uY2UtMQ"
BOOT = "Qm9vdC1udW1iZXItb25lLQ"
JOURNAL = "01KAY3WJRN5D0G2H4K6M8P0Q2S"
INSTANCE = "api-7f3a"
AT_S = 1_800_000_000  # 2027-01-15 08:00:00 UTC
AT_MS = AT_S * 1000


def _seed(name: str) -> str:
    return hashlib.sha256(f"kaimen golden vector {name}".encode()).hexdigest()


def _key(kid: str, purpose: KeyPurpose) -> SigningKey:
    return SigningKey.from_hex(_seed(kid), kid, purpose)


DESIRED_KEY = _key("d1", "desired")
COMMAND_KEY = _key("c1", "command")
PASS_KEY = _key("p7", "pass")
HIGH_PASS_KEY = _key("p65535", "pass")
MAC_KEY = MacKey("m1", bytes.fromhex(_seed("m1")))
