"""Publishing desired documents, again where a store says that it has another, never in a loop."""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from dataclasses import dataclass
from typing import Protocol

import structlog

from cloud_api.kit.cloud import Cloud
from cloud_api.kit.keys import CloudKeys
from cloud_api.store_channel import desired
from cloud_api.store_channel.desired import Built
from store_link import topics
from store_link.link import LinkError

log = structlog.get_logger(__name__)

FIRST_AGAIN_S = 2.0
LAST_AGAIN_S = 300.0


class Publisher(Protocol):
    """What a link does for us: raises NotConnected or NotConfirmed, queues nothing."""

    async def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        qos: int = 1,
        retain: bool = False,
        timeout_s: float = 5.0,
    ) -> None:
        """Send one message."""
        ...


@dataclass(slots=True)
class _Again:
    """How often a document was sent again in vain, and when it may be the next time (monotonic)."""

    rev: tuple[int, int]
    at: float
    count: int = 0
    asked: bool = True  # the store reported another since it was sent


class DesiredPublisher:
    """The one place of a process that publishes ``down/desired``."""

    def __init__(self, cloud: Cloud, keys: CloudKeys, link: Publisher) -> None:
        self._cloud = cloud
        self._keys = keys
        self._link = link
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._again: dict[str, _Again] = {}

    async def refresh(self, store_id: str, *, beyond: int | None = None) -> None:
        """Build, and publish what is not known to be published.

        Raises LinkError, and EnvelopeTooLong for a document that no store would take.
        """
        async with self._cloud.db.write() as session:
            built = await desired.build(
                session,
                store_id=store_id,
                clocks=self._cloud.clocks,
                keys=self._keys,
                beyond=beyond,
            )
        if built is not None and built.pending:
            await self.publish(store_id)

    async def publish(self, store_id: str) -> None:
        """Publish the document as it stands now: the newest, however many ask at once."""
        async with self._locks[store_id]:
            async with self._cloud.db.read() as session:
                doc = await desired.present(session, store_id)
            if doc is None or not doc.payload:
                return
            built = Built(store_id, doc.epoch, doc.rev, doc.payload, doc.published_at is None)
            await self._link.publish(
                topics.desired(store_id), built.payload, qos=1, retain=True, timeout_s=5.0
            )
            if built.pending:
                async with self._cloud.db.write() as session:
                    await desired.published(session, built, self._cloud.clocks.real)

    async def compare(self, store_id: str, epoch: int, rev: int) -> None:
        """A store reports which document it applied: send ours again if that is another.

        With back-off (2 s, 4 s … 5 min), so that a store that cannot apply it causes no loop. A store
        that is ahead of us has seen a future that we lost: our next document gets a later epoch.
        """
        async with self._cloud.db.read() as session:
            doc = await desired.present(session, store_id)
        if doc is None:
            await self.refresh(store_id)
            return
        ours = (doc.epoch, doc.rev)
        if (epoch, rev) == ours:
            self._again.pop(store_id, None)
            return
        if (epoch, rev) > ours:
            log.error("store_ahead", store=store_id, reported=[epoch, rev], ours=list(ours))
            await self.refresh(store_id, beyond=epoch)
            return
        again = self._again.get(store_id)
        if again is None or again.rev != ours:
            # It may just be on its way, unless the store has nothing at all.
            wait_s = 0.0 if epoch == 0 or doc.published_at is None else FIRST_AGAIN_S
            again = _Again(ours, self._cloud.clocks.wire.monotonic() + wait_s)
            self._again[store_id] = again
        again.asked = True
        await self._send_again(store_id, again)

    async def send_due(self) -> None:
        """Send again what was asked for and had to wait; for a timer."""
        for store_id, again in list(self._again.items()):
            with contextlib.suppress(LinkError):  # stays asked for
                await self._send_again(store_id, again)

    async def _send_again(self, store_id: str, again: _Again) -> None:
        now = self._cloud.clocks.wire.monotonic()
        if not again.asked or now < again.at:
            return
        again.at = now + min(FIRST_AGAIN_S * 2**again.count, LAST_AGAIN_S)
        again.count += 1
        log.info("desired_again", store=store_id, times=again.count)
        await self.publish(store_id)
        again.asked = False
