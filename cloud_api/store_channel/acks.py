"""The fast way back: a store's answer to a command, straight to the process whose request waits."""

from __future__ import annotations

import structlog
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.kit.cloud import Cloud
from cloud_api.store_channel import outcomes
from cloud_api.store_channel.credentials import trusted
from store_link.codec import CodecError, decode
from store_link.messages import AckState, CommandAck
from store_link.signing import EnvelopeError, Purpose, open_mac
from store_link.topics import ParsedTopic

log = structlog.get_logger(__name__)


async def take(cloud: Cloud, topic: ParsedTopic, raw: bytes) -> CommandAck | None:
    """Verify an acknowledgement, tell it to who waits, and write it; None where it is not believed.

    Somebody stands at the door: they hear it as soon as it is believed, and it is written right after.
    """
    async with cloud.db.read() as session:
        ack = await _believed(session, topic, raw)
    if ack is None:
        return None
    came = cloud.clocks.real
    if ack.state is AckState.ACCEPTED:
        cloud.waiters.accepted(ack.id, came)
        async with cloud.db.write() as session:
            await outcomes.accepted(session, topic.store, ack.id, came)
        return ack
    reason = None if ack.reason is None else ack.reason.value
    outcome = outcomes.outcome_of(ack.state, reason, ack.evidence, ack.took_ms)
    if outcome is not None:
        outcomes.tell(cloud, topic.store, ack.id, outcome, came)
        async with cloud.db.write() as session:
            await outcomes.settle(session, cloud, topic.store, ack.id, outcome, came)
    return ack


async def _believed(session: AsyncSession, topic: ParsedTopic, raw: bytes) -> CommandAck | None:
    trust = await trusted(session, topic.store)
    if trust is None:
        log.warning("ack_refused", store=topic.store, why="no live credential")
        return None
    try:
        ack = decode(open_mac(raw, Purpose.ACK, topic.store, [trust.mac]), CommandAck)
    except (EnvelopeError, CodecError) as error:
        log.warning("ack_refused", store=topic.store, why=error.reason.value)
        return None
    if ack.store != topic.store:
        log.warning("ack_refused", store=topic.store, why="names another store")
        return None
    return ack
