"""Commands to a store: written with an outbox row, or refused at once if the store is not there.

A command is worth nothing after ``expires_at`` or on another connection of the store, so it is never
kept for later: no row is made while the store is offline.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.devices import command_rows
from cloud_api.devices.models import DeviceCommand, StoreStatus
from cloud_api.kit.actor import Actor, System, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.errors import Conflict, NotFound
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.ids import new_id
from cloud_api.kit.writing import made
from cloud_api.stores.models import Store

LOOK_EVERY_S = 0.25
ON_ITS_WAY = timedelta(seconds=1)  # the answer to a command that runs at its last moment
NO_ANSWER = "no_answer"
STORE_LOST = "store_lost"  # its line went after the command was sent: nobody need wait for it
FINAL_STATES = frozenset({"done", "failed", "expired", "refused", "unknown", "not_sent"})

# What is so and what to do, for a person at a door or a console; by reason, then by state.
_WORDS = {
    "device_offline": "门锁没有反应",
    "device_error": "门锁没有反应",
    "too_early": "还没到时间，到点再开",
    "over": "时段已结束",
    "revoked": "这个订单已经取消",
    "no_grant": "门店还没收到这个订单，过几秒再试",
    "other_room": "这间不是你的",
    "pulse_running": "门正在开，推一下试试",
    "stay_running": "有客人在用，要强制关闭请勾选确认",
    "clock_untrusted": "门店的时钟还没对准，请用房间密码或联系店家",
    "other_connection": "门店刚重新联网，再试一次",
    "expired": "门店没有及时收到，再试一次",
    "unknown_target": "门店还不认识这个设备，过几秒再试",
    "used_up": "通行码的次数用完了",
    "used_lately": "刚刚开过门，过一会儿再试",
}
_STATE_WORDS = {
    "created": "正在发送…",
    "sent": "正在发送…",
    "accepted": "门店收到了，正在执行…",
    "done": "好了",
    "failed": "没有办成",
    "expired": "门店没有及时收到，再试一次",
    "refused": "门店没有执行",
    "not_sent": "门店断网，命令没有发出，也不会补发",
    "unknown": "没收到回话，可能已经执行了",
}


class StoreOffline(Conflict):
    """409: the store is not connected; nothing was sent and nothing will be sent later."""

    def __init__(self) -> None:
        super().__init__("store.offline", _("门店断网，命令没有发出，也不会补发"))


@dataclass(frozen=True, slots=True)
class StoreRef:
    """All that a command needs of its store, where the rest of its row was not read."""

    id: str
    merchant_id: str


async def create_command(
    session: AsyncSession,
    actor: Actor,
    *,
    store: Store | StoreRef,
    target: str,
    action: str,
    args: dict[str, Any],
    why: str,
    order_id: str | None,
    clocks: Clocks,
    instance: str,
    valid_s: float = 10,
    command_id: str | None = None,
    last: bool = False,
) -> DeviceCommand:
    """Write a command; it leaves after the commit. Raises StoreOffline; then there is no row.

    What is given back is a picture of the row and no part of ``session``: nothing set in it is written.

    ``valid_s`` seconds of wire time, counted from now. The caller has judged whether ``actor`` may.
    ``command_id``: an id made before, where somebody has to know it already. ``last``: this transaction
    takes no lock after it but that of the audit's chain, so the stream's lease may be asked for at once.
    """
    now = clocks.real
    command = made(
        DeviceCommand,
        id=command_id or new_id(),
        merchant_id=store.merchant_id,
        store_id=store.id,
        target=target,
        action=action,
        args=args,
        by=actor.ref,
        why=why,
        order_id=order_id,
        instance=instance,
        created_at=now,
        expires_at=now + timedelta(seconds=valid_s),
    )
    row = command_rows.outbox_row(command)
    if await command_rows.write(session, command, row, last=last) is None:
        raise StoreOffline
    return command


async def wait_for(
    cloud: Cloud,
    command_id: str,
    until: datetime | None = None,
    *,
    fresh: DeviceCommand | None = None,
) -> dict[str, Any]:
    """The command's answer, or how far it came by ``until`` (wire time).

    Hears this process's acknowledgements at once, and looks at the row every 250 ms for those that
    came through another process. Without ``until`` it waits as long as an answer may be on its way.
    ``fresh``: its row, where it was written a moment ago and so has nothing to tell yet; an answer that
    this process hears and believes is then told before it is written (store_channel/outcomes.py). The
    dict is that of ``answer``.
    """
    loop = asyncio.get_running_loop()
    heard = cloud.waiters.expect(command_id, fresh)
    found = None if fresh is not None and until is not None else await _look(cloud, command_id)
    if until is None:
        assert found is not None
        until = found["expires_at"] + ON_ITS_WAY
    deadline = loop.time() + max(0.0, (until - cloud.clocks.real).total_seconds())
    while found is None or not found["final"]:
        left = deadline - loop.time()
        if found is not None and left <= 0:
            break
        found = await _hear(heard, min(LOOK_EVERY_S, max(left, 0.0)))
        if found is None:
            heard = cloud.waiters.expect(command_id, fresh)
            found = await _look(cloud, command_id)
    cloud.waiters.forget(command_id)
    return found if found["final"] or until < found["expires_at"] else _unanswered(found)


async def _hear(heard: asyncio.Future[dict[str, Any]], seconds: float) -> dict[str, Any] | None:
    """The whole answer, where it is told in time; None where the row has to be looked at."""
    done, _waiting = await asyncio.wait({heard}, timeout=seconds)
    told = heard.result() if done else {}
    return told if told.get("final") else None


def _unanswered(found: dict[str, Any]) -> dict[str, Any]:
    """Nobody answered within the command's life: what happened is not known, and it will not run now.

    The row keeps its state, so that a late answer still counts.
    """
    words_now = words("unknown", None, found["action"])
    told = {"state": "unknown", "final": True, "reason": NO_ANSWER, "message": words_now}
    return found | told


async def _look(cloud: Cloud, command_id: str) -> dict[str, Any]:
    query = (
        scoped(System(), DeviceCommand)
        .add_columns(col(StoreStatus.online))
        .outerjoin(StoreStatus, col(StoreStatus.store_id) == col(DeviceCommand.store_id))
        .where(col(DeviceCommand.id) == command_id)
    )
    async with cloud.db.read() as session:
        row = (await session.execute(query)).one_or_none()
    if row is None:
        raise NotFound("command")
    command, online = row
    found = answer(command)
    if command.state in ("sent", "accepted") and not online:
        # The row keeps its state, so that what the store tells when it is back still counts.
        told = words("unknown", STORE_LOST, command.action)
        found |= {"state": "unknown", "final": True, "reason": STORE_LOST, "message": told}
    return found


def answer(command: DeviceCommand) -> dict[str, Any]:
    """What is told of a command: ``{command_id, state, final, reason, message, took_ms, evidence}``.

    ``took_ms`` is from the tap to the store's last word; ``sent_ms``/``accepted_ms`` from the tap too.
    """
    return {
        "command_id": command.id,
        "action": command.action,
        "target": command.target,
        "state": command.state,
        "final": command.state in FINAL_STATES,
        "reason": command.reason,
        "message": words(command.state, command.reason, command.action),
        "sent_ms": _since(command, command.sent_at),
        "accepted_ms": _since(command, command.accepted_at),
        "took_ms": _since(command, command.final_at),
        "evidence": command.evidence,
        "expires_at": command.expires_at,
    }


def answer_with(
    command: DeviceCommand,
    *,
    state: str,
    reason: str | None,
    evidence: dict[str, Any],
    sent_at: datetime | None,
    accepted_at: datetime | None,
    final_at: datetime,
) -> dict[str, Any]:
    """``answer`` for a command with an outcome that its row does not have yet. Wire times."""
    outcome = {
        "state": state,
        "reason": reason,
        "evidence": evidence,
        "sent_at": sent_at,
        "accepted_at": accepted_at,
        "final_at": final_at,
    }
    return answer(DeviceCommand(**{**command.model_dump(), **outcome}))


def words(state: str, reason: str | None, action: str) -> str:
    """The sentence for a command's state."""
    if state == "done" and action == "unlock":
        return _("开了，请推门")
    if state == "unknown" and reason == STORE_LOST:
        if action == "unlock":
            return _("门店刚刚断网，门可能已经开了，推一下试试；没开就用通行码或房间密码")
        return _("门店刚刚断网，可能已经执行了，联网后会显示")
    if state == "unknown" and action == "unlock":
        return _("没收到门的回话，可能已经开了，推一下试试")
    if state in ("failed", "refused", "expired") and reason in _WORDS:
        word = _WORDS[reason]
        return word if action == "unlock" else word.replace(_("门锁没有反应"), _("设备没有反应"))
    return _STATE_WORDS.get(state, _("正在发送…"))


async def last_command(
    session: AsyncSession, *, target: str, action: str, store_id: str
) -> DeviceCommand | None:
    """The newest command of this kind to a target."""
    query = (
        scoped(System(), DeviceCommand)
        .where(
            col(DeviceCommand.store_id) == store_id,
            col(DeviceCommand.target) == target,
            col(DeviceCommand.action) == action,
        )
        .order_by(col(DeviceCommand.created_at).desc(), col(DeviceCommand.id).desc())
        .limit(1)
    )
    return (await session.exec(query)).one_or_none()


async def get_command(session: AsyncSession, actor: Actor, command_id: str) -> DeviceCommand:
    """One command of the log. Raises NotFound ``command.not_found``."""
    query = scoped(actor, DeviceCommand).where(col(DeviceCommand.id) == command_id)
    found = (await session.exec(query)).one_or_none()
    if found is None:
        raise NotFound("command")
    return found


def _since(command: DeviceCommand, at: datetime | None) -> int | None:
    return None if at is None else round((at - command.created_at).total_seconds() * 1000)
