"""A tap of staff in one statement, where nothing stands in its way: PostgreSQL takes key, count, command,
outbox row, lease and audit entry as one, and commits them without a round trip for BEGIN and COMMIT.

Somebody waits at a door, and each round trip is a part of that. Whatever is not as it should be (the store
is away, the key known, too many taps, no such door, a chain not begun) leaves no row, and the step by step
way (access/service.py) then finds out what it is and says so.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import func, select, true
from sqlmodel import col

from cloud_api.access.service import UNLOCK_VALID_S
from cloud_api.audit import service as audit
from cloud_api.devices import command_rows
from cloud_api.devices.command_rows import There
from cloud_api.devices.control import reason
from cloud_api.devices.models import DeviceCommand, StoreStatus
from cloud_api.kit import idempotency, outbox
from cloud_api.kit.actor import Staff
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.idempotency import Claim
from cloud_api.kit.statements import built
from cloud_api.kit.writing import made
from cloud_api.staff.permissions import DOOR_OPEN_REMOTE
from cloud_api.staff.remembered import NotProved, still
from cloud_api.stores import service as stores


async def unlock(
    cloud: Cloud, actor: Staff, door_id: str, why: str, claim: Claim
) -> DeviceCommand | None:
    """The command that opens a door from afar, on its way already; None, and nothing done: ask step by step.

    Needs door.open.remote and a reason, as ``service.staff_unlock``. Raises KaimenError ``why.missing``, and
    NotProved for an ``actor`` of memory instead of doing nothing.
    """
    actor.need(DOOR_OPEN_REMOTE)
    why = reason(why)
    express = cloud.db.express
    if express is None or not express.ready:
        _leave(actor)
        return None
    command = made(
        DeviceCommand,
        id=claim.ref,
        merchant_id=actor.merchant_id,
        store_id="",  # the statement finds it
        target=door_id,
        action="unlock",
        args={},
        by=actor.ref,
        why=why,
        instance=cloud.waiters.instance,
        created_at=claim.now,
        expires_at=claim.now + timedelta(seconds=UNLOCK_VALID_S),
    )
    row = command_rows.outbox_row(command)
    entry = audit.made_entry(
        actor,
        "door.unlock",
        actor.merchant_id,
        None,
        f"door:{door_id}",
        None,
        {"command": command.id},
        why=why,
        clocks=cloud.clocks,
    )
    door, whose = stores.locating_door(actor, door_id)
    values = claim.values() | whose | audit.appending(entry)
    values |= command_rows.writing(command, row, express.holder)
    if actor.proof is not None:
        values |= {**actor.proof, "proof_now": claim.now}
    found = await cloud.db.one(_tap(door, actor.proof is not None), values)
    if found is None:
        _leave(actor)
        return None
    command.store_id = row.stream = found.store_id
    row.seq = found.sent
    there = There(found.nonce, claim.now, found.mac_kid, found.mac_key)
    outbox.sent_under(cloud.db, row.stream, claim.now, outbox.taken(found), (row, command, there))
    return command


def _leave(actor: Staff) -> None:
    if actor.proof is not None:
        raise NotProved


@built
def _tap(door: Any, remembered: bool) -> Any:
    """Locks in the order of the way step by step: count, key, lease, and last the head of the audit."""
    located = door.subquery("door")
    present = command_rows.present().add_columns(col(StoreStatus.store_id)).subquery("present")
    there: Any = (
        select(located, present.c.nonce, present.c.mac_kid, present.c.mac_key)
        .join(present, present.c.store_id == located.c.store_id)
        .where(audit.begun(located.c.merchant_id), idempotency.unclaimed())
    )
    if remembered:
        there = there.where(still())
    there = there.cte("there")
    _, mine = idempotency.claimed_if(there)
    go = select(there).join(mine, true()).cte("go")
    written, sent, lease = command_rows.write_if(go)
    leased = select(func.count().label("n")).select_from(lease).cte("leased")
    last = select(go).join(leased, true()).cte("last")
    moved, entered = audit.append_if(last)
    return (
        select(go, sent.c.seq.label("sent"), outbox.taken_with(lease, go.c.store_id))
        .select_from(go.join(sent, true()).join(moved, true()).outerjoin(lease, true()))
        .add_cte(written, entered)
    )
