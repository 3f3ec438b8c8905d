"""The fast way back: a store's answer to a command, straight to the process whose request waits.

Somebody stands at the door. So an answer is told the moment it arrives, where it is opened by the key that
was read with the command itself; and it is written a little later, when the person's answer has left: the
two would do one after the other what the same processor does. Before it is written it is believed anew, by
the store's credential as it is then.
"""

from __future__ import annotations

import asyncio
from collections import deque
from datetime import datetime

import structlog
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.kit.cloud import Cloud
from cloud_api.store_channel import outcomes
from cloud_api.store_channel.credentials import trusted
from store_link.codec import CodecError, decode
from store_link.messages import AckState, CommandAck
from store_link.signing import EnvelopeError, MacKey, Purpose, open_mac
from store_link.topics import ParsedTopic

log = structlog.get_logger(__name__)

AFTER_S = 0.005  # what was told is written so much later
WAITING_MAX = 5_000  # answers not written yet; beyond that they are left to the stores' journals

_Raw = tuple[ParsedTopic, bytes, datetime]


class Acks:
    """The answers that come to one process: ``put`` tells them, ``run`` writes them, in their order."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._waiting: deque[_Raw] = deque()
        self._some = asyncio.Event()
        self.dropped = 0

    def put(self, topic: ParsedTopic, raw: bytes) -> None:
        """Take an answer as it came; returns at once."""
        came, told = self._cloud.clocks.real, False
        try:
            told = heard(self._cloud, topic, raw, came)
        except Exception:
            log.exception("message_failed", store=topic.store, plane=topic.plane.value)
        if len(self._waiting) >= WAITING_MAX:
            self.dropped += 1
            if self.dropped % 1000 == 1:
                log.error("acks_full", dropped=self.dropped)
            return
        self._waiting.append((topic, raw, came))
        if told:
            asyncio.get_running_loop().call_later(AFTER_S, self._some.set)
        else:
            self._some.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Write until ``stop``; what is not written then comes again by the stores' journals."""
        ending = asyncio.create_task(stop.wait())
        try:
            while not stop.is_set():
                some = asyncio.create_task(self._some.wait())
                await asyncio.wait({some, ending}, return_when=asyncio.FIRST_COMPLETED)
                some.cancel()
                self._some.clear()
                while self._waiting:
                    topic, raw, came = self._waiting.popleft()
                    try:
                        await take(self._cloud, topic, raw, came)
                    except Exception:
                        log.exception("message_failed", store=topic.store, plane=topic.plane.value)
        finally:
            ending.cancel()


def heard(cloud: Cloud, topic: ParsedTopic, raw: bytes, came: datetime) -> bool:
    """Tell an answer to who waits for it here, if the key that was read with a command of theirs opens it.

    False where nobody waits here or it is not opened: then the database says whether it is believed.
    """
    key = cloud.waiters.key_of(topic.store)
    if not isinstance(key, MacKey):
        return False
    try:
        ack = _opened(topic, raw, key)
    except (EnvelopeError, CodecError, _NotTheirs):
        return False
    return _tell(cloud, topic.store, ack, came)


async def take(
    cloud: Cloud, topic: ParsedTopic, raw: bytes, came: datetime | None = None
) -> CommandAck | None:
    """Verify an acknowledgement, tell it to who still waits, and write it; None where it is not believed.

    ``came``: wire time of its arrival, now if none is given.
    """
    came = came or cloud.clocks.real
    async with cloud.db.read() as session:
        ack = await _believed(session, topic, raw)
    if ack is None:
        return None
    _tell(cloud, topic.store, ack, came)
    if ack.state is AckState.ACCEPTED:
        async with cloud.db.write() as session:
            await outcomes.accepted(session, topic.store, ack.id, came)
        return ack
    outcome = _outcome(ack)
    if outcome is not None:
        async with cloud.db.write() as session:
            await outcomes.settle(session, cloud, topic.store, ack.id, outcome, came)
    return ack


def _tell(cloud: Cloud, store_id: str, ack: CommandAck, came: datetime) -> bool:
    if ack.state is AckState.ACCEPTED:
        return outcomes.tell_accepted(cloud, store_id, ack.id, came)
    outcome = _outcome(ack)
    return outcome is not None and outcomes.tell(cloud, store_id, ack.id, outcome, came)


def _outcome(ack: CommandAck) -> outcomes.Outcome | None:
    reason = None if ack.reason is None else ack.reason.value
    return outcomes.outcome_of(ack.state, reason, ack.evidence, ack.took_ms)


class _NotTheirs(Exception):
    """It names another store than its topic does."""


def _opened(topic: ParsedTopic, raw: bytes, key: MacKey) -> CommandAck:
    ack = decode(open_mac(raw, Purpose.ACK, topic.store, [key]), CommandAck)
    if ack.store != topic.store:
        raise _NotTheirs("names another store")
    return ack


async def _believed(session: AsyncSession, topic: ParsedTopic, raw: bytes) -> CommandAck | None:
    trust = await trusted(session, topic.store)
    if trust is None:
        log.warning("ack_refused", store=topic.store, why="no live credential")
        return None
    try:
        return _opened(topic, raw, trust.mac)
    except (EnvelopeError, CodecError) as error:
        log.warning("ack_refused", store=topic.store, why=error.reason.value)
    except _NotTheirs as error:
        log.warning("ack_refused", store=topic.store, why=str(error))
    return None
