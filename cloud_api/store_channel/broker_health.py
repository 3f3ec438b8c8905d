"""Whether the broker carries what it is given, and telling those who can mend it when it does not.

A link may look whole while nothing passes: its wire was cut without a word, or the disk of the broker is
full, and it confirms nothing any more. So each process has a small retained message confirmed every few
seconds; one that is not confirmed ends the connection. The next one may find another node, or finds none,
and then the process knows where it stands: it hands its stores to a worker that has a broker, and where
nobody has one the owner hears of one alarm that names the reason, beside those of the stores that went
offline with it.
"""

from __future__ import annotations

import asyncio
from typing import Final

import structlog
from sqlmodel import col, select

from cloud_api.kit.alarm_signals import signal
from cloud_api.kit.cloud import Cloud
from cloud_api.merchants.models import Merchant
from cloud_api.store_channel import shards
from cloud_api.store_channel.link import CloudLink
from store_link import topics
from store_link.connection import hosts_in
from store_link.link import LinkError, NotConnected

log = structlog.get_logger(__name__)

EVERY_S: Final = 5.0
PATIENCE_S: Final = 5.0
CLUSTER_PATIENCE_S: Final = 12.0  # it elects leaders: what NATS gives its own calls then
AWAY_S: Final = 5.0  # without a link: others may listen to our stores
TELL_S: Final = 20.0  # nothing was confirmed for so long: people are told

AWAY: Final = "broker_away"  # why of the alarm: there is no way to it
STUCK: Final = "broker_stuck"  # it is there and confirms nothing
KIND: Final = "broker.down"
_SUBJECT: Final = "broker:link"
TOPIC: Final = f"{topics.root('probe')}/down/probe"  # no store's; the cloud may write there


class BrokerHealth:
    """How one process fares with its broker. Times are of the wire clock's ``monotonic``."""

    def __init__(self, cloud: Cloud, link: CloudLink) -> None:
        self._cloud = cloud
        self._link = link
        self._up_at = self._well_at = self._now
        self._stuck = False
        self._said: bool | None = None
        several = len(hosts_in(cloud.settings.mqtt_host)) > 1
        self.every_s, self.tell_s = EVERY_S, TELL_S
        self.patience_s = CLUSTER_PATIENCE_S if several else PATIENCE_S

    @property
    def _now(self) -> float:
        return self._cloud.clocks.wire.monotonic()

    @property
    def away(self) -> bool:
        """Whether there has been no link for so long that others may listen to our stores; ask often."""
        if self._link.up:
            self._up_at = self._now
        return self._now - self._up_at > AWAY_S

    @property
    def silent_s(self) -> float:
        """Seconds since the broker confirmed anything."""
        return self._now - self._well_at

    @property
    def words(self) -> str:
        """For /readyz: ``ok`` or what is wrong."""
        if not self._link.up:
            return "down"
        if self._stuck:
            return "up, but it confirms nothing: is the broker's disk full?"
        return "ok"

    def came_up(self) -> None:
        """There is a new connection: what others were told may be out of date."""
        self._said = None

    async def run(self, stop: asyncio.Event, tell: bool) -> None:
        """Ask until ``stop``; ``tell``: this process speaks to people as well."""
        while not stop.is_set():
            well = await self.ask()
            if tell:
                await self.tell(well)
            try:
                async with asyncio.timeout(self.every_s):
                    await stop.wait()
            except TimeoutError:
                continue

    async def ask(self) -> bool:
        """Have one message confirmed; the connection ends where it is not."""
        try:
            await self._link.publish(TOPIC, b"\x00", qos=1, retain=True, timeout_s=self.patience_s)
        except NotConnected:
            return False
        except LinkError:
            self._stuck = True
            log.warning("broker_confirms_nothing", for_s=round(self.silent_s, 1))
            self._link.drop()
            return False
        self._well_at, self._stuck = self._now, False
        return True

    async def tell(self, well: bool) -> None:
        """Say that no worker has a broker, or that one has: this one, where all is ``well``."""
        bad = not well and self.silent_s >= self.tell_s
        if bad is self._said or not (bad or well):
            return
        if bad and await shards.anybody(self._cloud):
            return  # another worker has one: it is this process's own way that is cut
        async with self._cloud.db.read() as session:
            first = select(col(Merchant.id)).order_by(col(Merchant.id)).limit(1)
            merchant_id = (await session.exec(first)).first()
        if merchant_id is None:
            return
        why = STUCK if self._stuck and (self._link.up or self._link.reached) else AWAY
        async with self._cloud.db.write() as session:
            await signal(
                session,
                merchant_id=merchant_id,
                store_id=None,
                kind=KIND,
                subject=_SUBJECT,
                active=bad,
                data={"why": why} if bad else {},
                at=self._cloud.clocks.real,
            )
        self._said = bad
