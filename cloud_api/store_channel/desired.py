"""A store's desired document: built from the tables, signed, given a new number only when it changed.

Building reads and writes the database alone; who calls ``build`` publishes afterwards.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy import select, update
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.expression import SelectOfScalar

from cloud_api.access.models import Grant
from cloud_api.claims.models import RoomClaim
from cloud_api.devices import air_defaults
from cloud_api.devices import models as devices
from cloud_api.devices.schedules import DEFAULT, scenes_of
from cloud_api.devices.staff_keys import verifiers
from cloud_api.kit.actor import System, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.keys import CloudKeys
from cloud_api.kit.outbox import desired_changed
from cloud_api.kit.upsert import insert_or_ignore
from cloud_api.orders import changes, refund_wait
from cloud_api.orders.models import Order
from cloud_api.store_channel.calendar import days_of
from cloud_api.store_channel.credentials import trusted
from cloud_api.store_channel.models import DesiredDoc
from cloud_api.stores import models as stores
from store_link import messages as wire
from store_link import rules
from store_link.clock import ms
from store_link.codec import encode
from store_link.passes import pin_hmac
from store_link.signing import MacKey, Purpose, seal

log = structlog.get_logger(__name__)

WINDOW = timedelta(hours=48)
# A stay whose end nobody reported is carried on for a day: the store may have been off.
FORGOTTEN = timedelta(hours=24)

Row = TypeVar("Row", stores.Room, stores.Door, devices.Board, devices.Binding)

_MODES = frozenset({"open", "cleaning", "maintenance"})
_ROLES = frozenset(
    {
        *("lock", "table", "light", "ac", "fan", "door_contact", "presence"),
        *("reader", "keypad", "meter", "speaker", "main"),
    }
)


@dataclass(frozen=True, slots=True)
class Built:
    """What the store should have, as it goes to the wire. ``pending``: not known to be published."""

    store_id: str
    epoch: int
    rev: int
    payload: bytes
    pending: bool


async def build(
    session: AsyncSession,
    *,
    store_id: str,
    clocks: Clocks,
    keys: CloudKeys,
    beyond: int | None = None,
) -> Built | None:
    """Build anew and keep it; the number rises only when the content changed.

    ``beyond`` is an epoch that a store has already seen: the document gets a later one (a cloud that
    was restored from a backup counts anew). None where the store has no controller. Raises
    EnvelopeTooLong for a document beyond 1 MiB: then the one before stays in force.
    """
    trust = await trusted(session, store_id)
    store = await session.get(stores.Store, store_id)
    if trust is None or store is None:
        return None
    # Whoever builds holds the row from before the first read: two builders cannot cross.
    await insert_or_ignore(
        session,
        DesiredDoc,
        {
            "store_id": store_id,
            "merchant_id": store.merchant_id,
            "epoch": 1,
            "rev": 0,
            "payload": b"",
            "content_hash": "",
        },
    )
    locked = scoped(System(), DesiredDoc).where(col(DesiredDoc.store_id) == store_id)
    doc = (
        await session.exec(locked.with_for_update().execution_options(populate_existing=True))
    ).one()
    content = await _content(session, store, trust.mac, clocks.now, keys)
    digest = hashlib.sha256(keys.signing("desired").kid.encode() + encode(content)).hexdigest()
    raised = beyond is not None and beyond >= doc.epoch
    if digest != doc.content_hash or raised:
        epoch = doc.epoch if not raised or beyond is None else beyond + 1
        final = content.model_copy(
            update={"epoch": epoch, "rev": doc.rev + 1, "sent_at": ms(clocks.real)}
        )
        sealed = seal(encode(final), Purpose.DESIRED, store_id, keys.signing("desired"))
        doc.epoch, doc.rev = epoch, final.rev
        doc.payload, doc.content_hash, doc.published_at = sealed, digest, None
        session.add(doc)
        await session.flush()
    await changes.told(session, store_id, doc.epoch, doc.rev)
    gone = await session.exec(_revoked(store_id, clocks.now))
    claims = frozenset(one.claim_id for one in gone if one.id in content.revoked)
    await refund_wait.told(session, store_id, doc.epoch, doc.rev, claims)
    return Built(store_id, doc.epoch, doc.rev, doc.payload, doc.published_at is None)


def _revoked(store_id: str, now: datetime) -> SelectOfScalar[Grant]:
    """Rights that were taken back before they ran out."""
    return scoped(System(), Grant).where(
        col(Grant.store_id) == store_id,
        col(Grant.revoked_at).is_not(None),
        col(Grant.expires_at) > now,
    )


async def present(session: AsyncSession, store_id: str) -> DesiredDoc | None:
    """The document as last built."""
    query = scoped(System(), DesiredDoc).where(col(DesiredDoc.store_id) == store_id)
    return (await session.exec(query)).first()


async def published(session: AsyncSession, built: Built, now: datetime) -> None:
    """The broker confirmed this very document."""
    await session.execute(
        update(DesiredDoc)
        .where(
            col(DesiredDoc.store_id) == built.store_id,
            col(DesiredDoc.epoch) == built.epoch,
            col(DesiredDoc.rev) == built.rev,
        )
        .values(published_at=now)
    )


# ------------------------------------------------------------------------------------- the content


async def _content(
    session: AsyncSession, store: stores.Store, mac: MacKey, now: datetime, keys: CloudKeys
) -> wire.Desired:
    """The document without its number: the same tables give the same bytes."""
    rooms = await _all(session, stores.Room, store.id)
    doors = await _all(session, stores.Door, store.id)
    boards = await _all(session, devices.Board, store.id)
    bindings = await _all(session, devices.Binding, store.id)
    stays, grants = await _stays(session, store, now)
    revoked = _revoked(store.id, now)
    return wire.Desired(
        store=store.id,
        epoch=1,
        rev=1,
        sent_at=0,
        tz=store.tz,
        rooms=tuple(
            wire.Room(
                id=room.id,
                index=room.index,
                lead_s=store.lead_s,
                grace_s=store.grace_s,
                resting_w=store.resting_w,
                mode=room.mode if room.mode in _MODES else "normal",
                mode_until=None if room.mode_until is None else ms(room.mode_until),
                overtime="keep" if store.overtime_power == "keep" else "cut",
                scenes=_scenes(store, room),
            )
            for room in rooms
        ),
        doors=tuple(_door(door) for door in doors if door.lock_binding_id is not None),
        boards=tuple(
            wire.Board(id=one.id, profile=one.profile, port=one.port, params=one.params)
            for one in boards
        ),
        bindings=tuple(_binding(one) for one in bindings),
        stays=stays,
        pins=tuple(
            wire.PinVerifier(grant=grant.id, hmac=pin_hmac(mac.secret, grant.id, grant.pin))
            for grant in grants
        ),
        revoked=tuple(sorted(grant.id for grant in await session.exec(revoked))),
        keys=keys.public(),
        scenes=(scenes_of(store.scenes) or DEFAULT).model_copy(
            update={"air": air_defaults.rules_of(store)}
        ),
        schedules=await _schedules(session, store.id),
        days=days_of(store, now.astimezone(ZoneInfo(store.tz)).year),
        voice=rules.VoiceRules(
            welcome=store.say_welcome,
            ended=store.say_ended,
            quiet_from=store.quiet_from,
            quiet_until=store.quiet_until,
        ),
        entry=rules.EntryRules(
            again_after_s=store.entry_again_s, most=store.entry_most, vouchers=True
        ),
        staff=await verifiers(session, store, frozenset(door.id for door in doors), mac, now),
    )


def _scenes(store: stores.Store, room: stores.Room) -> rules.Scenes | None:
    """A room's own, where it has scenes or air conditioning of its own."""
    if room.scenes is None and room.air is None:
        return None
    base = scenes_of(room.scenes) or scenes_of(store.scenes) or DEFAULT
    return base.model_copy(update={"air": air_defaults.rules_of(store, room)})


async def _schedules(session: AsyncSession, store_id: str) -> tuple[rules.Schedule, ...]:
    query = scoped(System(), devices.Schedule).where(
        col(devices.Schedule.store_id) == store_id, col(devices.Schedule.active)
    )
    return tuple(
        rules.Schedule.model_validate(
            {
                "id": row.id,
                "bindings": sorted(row.bindings),
                "spans": [{"days": row.days, "begins": row.begins, "ends": row.ends}],
            }
        )
        for row in await session.exec(query.order_by(col(devices.Schedule.id)))
    )


async def _stays(
    session: AsyncSession, store: stores.Store, now: datetime
) -> tuple[tuple[wire.Stay, ...], list[Grant]]:
    """Stays that begin within 48 h or have not ended, and their grants, in a stable order."""
    query = (
        scoped(System(), RoomClaim)
        .where(
            col(RoomClaim.store_id) == store.id,
            col(RoomClaim.state) != "released",
            col(RoomClaim.block_from) < now + WINDOW,
            col(RoomClaim.block_until) > now - FORGOTTEN,
        )
        .order_by(col(RoomClaim.room_id), col(RoomClaim.block_from), col(RoomClaim.id))
    )
    claims = list(await session.exec(query))
    ids = [claim.id for claim in claims]
    granted = scoped(System(), Grant).where(
        col(Grant.claim_id).in_(ids), col(Grant.revoked_at).is_(None)
    )
    grants = {grant.claim_id: grant for grant in await session.exec(granted)}
    early = select(col(Order.claim_id)).where(
        col(Order.claim_id).in_(ids), col(Order.finished_early).is_(True)
    )
    finished = set((await session.execute(early)).scalars())
    stays: list[wire.Stay] = []
    before: RoomClaim | None = None
    for claim in claims:
        previous = before if before is not None and before.room_id == claim.room_id else None
        if claim.state == "held":
            continue  # nobody paid for it: it keeps no guest out, and its end rebuilds nothing
        before = claim
        grant = grants.get(claim.id)
        if claim.state not in ("confirmed", "in_use") or grant is None:
            continue
        opens = claim.starts_at - timedelta(seconds=store.lead_s)
        if previous is not None:
            opens = min(max(opens, previous.block_until), claim.starts_at)
        stays.append(
            wire.Stay(
                id=claim.id,
                room=claim.room_id,
                starts=ms(claim.starts_at),
                ends=ms(claim.ends_at),
                opens=ms(opens),
                grace_s=store.grace_s,
                grant=grant.id,
                finished=claim.id in finished,
            )
        )
    used = {stay.grant for stay in stays}
    return tuple(stays), sorted(
        (grant for grant in grants.values() if grant.id in used), key=lambda grant: grant.id
    )


def _door(door: stores.Door) -> wire.Door:
    assert door.lock_binding_id is not None
    return wire.Door(
        id=door.id,
        lock=door.lock_binding_id,
        rooms=tuple(door.rooms),
        pulse_ms=door.pulse_ms,
        contact=door.contact_binding_id,
        reader=door.reader_binding_id,
        cards=door.cards_binding_id,
    )


def _binding(row: devices.Binding) -> wire.Binding:
    return wire.Binding.model_validate(
        {
            "id": row.id,
            "board": row.board_id,
            "capability": row.capability,
            "channel": row.channel,
            "role": row.role if row.role in _ROLES else "other",
            "rooms": tuple(row.rooms),
            "lead_s": row.lead_s,
            "linger_s": row.linger_s,
        }
    )


async def _all(session: AsyncSession, model: type[Row], store_id: str) -> list[Row]:
    query = scoped(System(), model).where(col(model.store_id) == store_id).order_by(col(model.id))
    return list(await session.exec(query))


async def raise_epochs(session: AsyncSession, clocks: Clocks) -> int:
    """After the cloud came back from a backup: every store's next document is of a later epoch.

    Stores have seen documents that we lost; a later epoch makes ours the newer one whatever its rev is.
    Returns how many stores there are.
    """
    docs = (await session.exec(scoped(System(), DesiredDoc).with_for_update())).all()
    for doc in docs:
        doc.epoch += 1
        doc.content_hash, doc.published_at = "", None  # so that it is built and sealed anew
        session.add(doc)
        await desired_changed(
            session, merchant_id=doc.merchant_id, store_id=doc.store_id, now=clocks.real
        )
    return len(docs)
