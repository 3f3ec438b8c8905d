"""Is a store reachable, and through which connection? Pure: messages in, an answer out.

The broker publishes a will when it notices that a connection died, which may be long after the
store is back on another. Such a late will must not make a present store look lost, neither live nor
as the retained message that a freshly started cloud reads; ``reported`` sets that right.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace

from store_link.reports import Presence, Reported

_ENDED_KEPT = 16
LATE_MS = 90_000
"""No message is under way for so long: one that claims to be older comes from a clock that was set back."""


@dataclass(frozen=True, slots=True)
class StorePresence:
    """What is known of one store's connection. ``seen_ms``: the store's wire clock, Unix ms."""

    online: bool
    nonce: str
    boot: str
    seen_ms: int


class PresenceTracker:
    """The present connection of each store. Feed it opened and decoded messages only.

    A nonce goes from online to lost and never back.
    """

    def __init__(self) -> None:
        self._stores: dict[str, StorePresence] = {}
        self._ended: dict[str, deque[str]] = {}

    def get(self, store: str) -> StorePresence | None:
        """What is known; None before the first message."""
        return self._stores.get(store)

    def online(self, store: str) -> bool:
        """Whether a command would find a listener."""
        known = self._stores.get(store)
        return known is not None and known.online

    def nonce(self, store: str) -> str | None:
        """What a command to this store must carry; None while it is not online."""
        known = self._stores.get(store)
        return known.nonce if known is not None and known.online else None

    def observe_presence(self, message: Presence, *, retained: bool) -> bool:
        """Take in a presence message or will. Returns whether ``get`` now says something else."""
        if message.state == "online":
            return self._alive(message, trusted=not retained)
        return self._lost(message, retained=retained)

    def observe_reported(self, message: Reported, *, retained: bool) -> bool:
        """Take in a report, which proves a connection as well. Returns whether ``get`` changed."""
        known = self._stores.get(message.store)
        there = known is not None and known.online and message.sent_at > known.seen_ms - LATE_MS
        return self._alive(message, trusted=not retained and not there)

    def _alive(self, message: Presence | Reported, *, trusted: bool) -> bool:
        """``trusted``: it is news even if the store's clock went back since the last message."""
        store, nonce = message.store, message.nonce
        if nonce in self._ended.get(store, ()):
            return False
        known = self._stores.get(store)
        if known is not None and known.nonce == nonce:
            seen = max(known.seen_ms, message.sent_at)
            self._stores[store] = replace(known, seen_ms=seen)
            return False
        if known is not None and not trusted and message.sent_at < known.seen_ms:
            return False
        if known is not None:
            self._end(store, known.nonce)
        self._stores[store] = StorePresence(True, nonce, message.boot, message.sent_at)
        return True

    def _lost(self, message: Presence, *, retained: bool) -> bool:
        store, nonce = message.store, message.nonce
        known = self._stores.get(store)
        if nonce in self._ended.get(store, ()):
            return False
        if known is not None and known.nonce != nonce:
            # A will is sealed when its connection begins. So a retained one from after our last
            # news tells of a newer connection, already over; any other is late.
            if not retained or message.sent_at <= known.seen_ms:
                self._end(store, nonce)
                return False
            self._end(store, known.nonce)
        self._end(store, nonce)
        seen = message.sent_at if known is None else max(known.seen_ms, message.sent_at)
        self._stores[store] = StorePresence(False, nonce, message.boot, seen)
        return True

    def _end(self, store: str, nonce: str) -> None:
        self._ended.setdefault(store, deque(maxlen=_ENDED_KEPT)).append(nonce)
