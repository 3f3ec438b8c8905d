"""The self-test: everything that can be asked without moving anything. No lock, no relay is touched."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from controller.journal.store import Journal, JournalError
from controller.state import StoreState
from controller.timekeeper import Timekeeper
from firmware_bridge.contract import Bridge, Capability
from store_link.messages import ClockQuality

READ_S = 3.0
LOW_MB = 200
READABLE = frozenset(
    {
        *(Capability.SWITCH_SET, Capability.DOOR_CONTACT, Capability.PRESENCE, Capability.HAZARD),
        *(Capability.POWER_W, Capability.ENERGY_WH, Capability.CLIMATE_SET),
    }
)


@dataclass(frozen=True, slots=True)
class Line:
    """One thing looked at: good or not, and in words what is so and what to do."""

    good: bool
    text: str


async def run(
    state: StoreState,
    bridge: Bridge,
    journal: Journal,
    timekeeper: Timekeeper,
    state_dir: Path,
    ports: Mapping[str, str],
    link_up: Callable[[], bool],
) -> list[Line]:
    """Look at all of it, now."""
    found = [
        Line(Path(device).exists(), f"串口 {name}：{device}") for name, device in ports.items()
    ]
    found += await _boards(state, bridge)
    quality = timekeeper.read().quality
    words = {"synced": "对准了", "holdover": "靠自己走着", "untrusted": "不能相信，先对时"}
    found.append(Line(quality is not ClockQuality.UNTRUSTED, f"时钟：{words[quality.value]}"))
    up = link_up()
    found.append(Line(up, "连着云端" if up else "没连上云端：看网线、路由器和 8883 端口"))
    found.append(await _journal(journal, timekeeper))
    free = shutil.disk_usage(state_dir).free >> 20
    found.append(Line(free >= LOW_MB, f"磁盘还剩 {free} MB"))
    known = state.desired is not None
    found.append(Line(known, "有店的资料" if known else "还没收到店的资料"))
    return found


async def _boards(state: StoreState, bridge: Bridge) -> list[Line]:
    lines = []
    for board in () if state.desired is None else state.desired.boards:
        seen = bridge.board_state(board.id)
        name = f"{board.profile}（{board.port}）"
        if seen.state != "online":
            words = {"offline": "不回话", "refused": "型号不对", "starting": "正在认"}
            detail = f"：{seen.detail}" if seen.detail else ""
            lines.append(Line(False, f"{name} {words[seen.state]}{detail}"))
            continue
        good, bad = 0, []
        for binding in state.bindings.values():
            if binding.board != board.id or binding.capability not in READABLE:
                continue
            reading = await bridge.read(
                board.id, Capability(binding.capability), binding.channel, READ_S
            )
            if reading.quality == "ok":
                good += 1
            else:
                bad.append(f"{binding.capability} {binding.channel or ''}".strip())
        text = f"{name} 在线，读到 {good} 处"
        lines.append(Line(not bad, text + (f"，读不到 {'、'.join(bad)}" if bad else "")))
    return lines


async def _journal(journal: Journal, timekeeper: Timekeeper) -> Line:
    try:
        async with asyncio.timeout(READ_S), journal.write(timekeeper.read()) as tx:
            await tx.put("self_test", timekeeper.read().ms)
    except TimeoutError:
        return Line(False, "账本写不进去：磁盘没有回话")
    except JournalError as error:
        return Line(False, f"账本写不进去：{error}")
    return Line(True, "账本写得进去")
