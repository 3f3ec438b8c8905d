"""Two computers that run as one store: a card was copied, and both were switched on.

A broker that lets one connection per certificate in (Mosquitto, as we set it up) throws them off in turn; one
that does not (NATS) keeps both, and each report makes another of them the present one. Either way each
command goes to one of them alone, by its connection's nonce, but nobody knows to which: the lock is at the
other's board.

Each run of the store's program has a name of its own (``boot``). A program that was started again never
speaks under its name of before, so a name that comes back was never gone. That needs no memory of the
database: a worker that begins to listen sees them take turns within two minutes.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import structlog

from cloud_api.kit.alarm_signals import active_of, signal
from cloud_api.kit.cloud import Cloud
from store_link.presence import LATE_MS
from store_link.reports import Presence, Reported

log = structlog.get_logger(__name__)

KIND = "store.twice"
WHY = "two_computers"
RETURNS = 3
"""How often a name must come back: one that is late on its way does so once, and lets the other come back."""
WITHIN_S = 600.0
"""So soon after each other; and so long alone, it is over."""
_BOOTS_KEPT = 4


@dataclass(slots=True)
class _Heard:
    """What one store said lately; instants are monotonic, ``sent_at`` is by the store's wire clock."""

    boot: str
    sent_at: int
    since: float  # heard of, or the last return
    before: deque[str] = field(default_factory=lambda: deque(maxlen=_BOOTS_KEPT))
    returns: deque[float] = field(default_factory=lambda: deque(maxlen=RETURNS))
    told: bool | None = None  # what this process made of the alarm; None: it has not looked yet


class Twins:
    """Watches who speaks for each store. Feed it what was opened and decoded, and not retained."""

    def __init__(self) -> None:
        self._stores: dict[str, _Heard] = {}

    def hear(self, message: Presence | Reported, now_s: float) -> bool | None:
        """Whether the store is run twice (True) or no more (False); None where nothing is to be said.

        ``now_s``: monotonic seconds of this process.
        """
        if isinstance(message, Presence) and message.state == "lost":
            return None  # a will may come long after another run of the program
        store, boot = message.store, message.boot
        heard = self._stores.get(store)
        if heard is None:
            self._stores[store] = _Heard(boot, message.sent_at, now_s)
            return None
        if boot != heard.boot:
            behind_ms = heard.sent_at - message.sent_at
            if 0 <= behind_ms < LATE_MS:
                return None  # said before the present one's last word: it was under way
            if boot in heard.before:
                heard.before.remove(boot)
                heard.returns.append(now_s)
                heard.since = now_s
            heard.before.append(heard.boot)
            heard.boot = boot
        heard.sent_at = message.sent_at
        twice = len(heard.returns) == RETURNS and now_s - heard.returns[0] <= WITHIN_S
        if twice and heard.told is not True:
            heard.told = True
            return True
        if heard.told is not False and now_s - heard.since >= WITHIN_S:
            heard.told = False
            return False
        return None

    async def take(self, cloud: Cloud, merchant_id: str, message: Presence | Reported) -> None:
        """Hear a message, and raise or end the alarm."""
        twice = self.hear(message, cloud.clocks.wire.monotonic())
        await self.tell(cloud, merchant_id, message.store, twice)

    async def tell(self, cloud: Cloud, merchant_id: str, store_id: str, twice: bool | None) -> None:
        """Raise or end the alarm, as ``hear`` said; also one that another process raised."""
        if twice is None:
            return
        subject = f"store:{store_id}"
        if not twice:  # mostly there never was one, and nothing is written
            async with cloud.db.read() as session:
                known = await active_of(session, merchant_id, store_id, (KIND,))
            if (KIND, subject) not in known:
                return
        log.warning("store_twice", store=store_id, active=twice)
        async with cloud.db.write() as session:
            await signal(
                session,
                merchant_id=merchant_id,
                store_id=store_id,
                kind=KIND,
                subject=subject,
                active=twice,
                data={"why": WHY},
                at=cloud.clocks.real,
            )
