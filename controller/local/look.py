"""What the page shows, in words, from the same report that the cloud gets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from controller import __version__
from controller.inspect import tail
from controller.local.html import Live, Row
from controller.local.server import ago
from controller.report import Reporter
from controller.state import StoreState
from controller.timekeeper import Timekeeper
from store_link.clock import Clock, from_ms
from store_link.reports import BoardReport, OutboxReport, Quality, Value

_CLOCK = {
    "synced": ("对准了", "good"),
    "holdover": ("靠自己走着", "soon"),
    "untrusted": ("不能相信", "bad"),
}
_WHY = {
    "no_port": "找不到这条线，看转换器、网线和地址",
    "silent": "没有回应，看供电、接线和站号",
    "garbled": "回应听不清，看波特率、接线，或两块板同一个站号",
    "wrong_board": "不是这个型号，或没按型号设置好",
    "two_boards": "两块板用了同一个站号，改掉一块",
    "unfit": "程序不认识它的型号或参数，先更新",
}
_BOARD = {
    "online": ("在线", "good"),
    "offline": ("不回话", "bad"),
    "refused": ("型号不对", "bad"),
    "starting": ("正在认", "soon"),
}
_ROLES = {
    "lock": "门锁",
    "table": "桌子",
    "light": "灯",
    "ac": "空调",
    "fan": "风扇",
    "door_contact": "门磁",
    "presence": "人体感应",
    "reader": "读码器",
    "keypad": "密码键盘",
    "meter": "电表",
    "speaker": "喇叭",
    "main": "总闸",
}
_ACTIONS = {
    "unlock": "开门",
    "set": "开关设备",
    "clear": "取消手动",
    "finish": "提前结束",
    "climate": "调温度",
    "say": "播报",
    "diagnose": "诊断包",
}
_ENDS = {
    "done": ("办好了", "good"),
    "refused": ("没有执行", "soon"),
    "expired": ("过期了", "soon"),
    "failed": ("没办成", "bad"),
    "unknown": ("不知道", "bad"),
}


def _disk(outbox: OutboxReport) -> tuple[str, str]:
    if outbox.in_memory:
        return "写不进去了，换存储卡", "bad"
    return ("满了", "bad") if outbox.full else ("够用", "good")


class Look:
    """``await live()``: this moment."""

    def __init__(
        self,
        state: StoreState,
        reporter: Reporter,
        timekeeper: Timekeeper,
        wire: Clock,
        state_dir: Path,
        acked: Callable[[], int],
        link_up: Callable[[], bool],
    ) -> None:
        self._state = state
        self._reporter = reporter
        self._time = timekeeper
        self._wire = wire
        self._dir = state_dir
        self._acked = acked
        self._link_up = link_up

    async def live(self) -> Live:
        """Read it all. Times are the machine's own zone: whoever looks stands beside it."""
        report = await self._reporter.build("none", "none", self._acked())
        now = self._wire.now()
        clock, tone = _CLOCK[report.clock.value]
        up = self._link_up()
        depth = report.outbox.depth
        told = from_ms(self._time.read().ms).astimezone()
        version = "还没有" if not report.rev else f"{report.epoch}.{report.rev}"
        facts = [
            Row("云端", "连着" if up else "断开", "good" if up else "bad"),
            Row("时钟", clock, tone, f"{told:%Y-%m-%d %H:%M:%S}"),
            Row("没送到云端的事", str(depth), "good" if depth < 10 else "soon"),
            Row("磁盘", *_disk(report.outbox)),
            Row("店的资料", version, "good" if report.rev else "soon"),
            Row("程序", __version__),
        ]
        boards = [
            Row(
                board.profile,
                *_BOARD[next(b.state for b in report.boards if b.id == board.id)],
                _away(board.port, next(b for b in report.boards if b.id == board.id)),
            )
            for board in (() if self._state.desired is None else self._state.desired.boards)
        ]
        devices = [
            Row(
                f"{_ROLES.get(binding.role, binding.role)} {binding.channel or ''}".strip(),
                *_value(report.values[binding.id]),
                f"{binding.capability} · {ago(report.values[binding.id].at, now)}",
            )
            for binding in self._state.bindings.values()
            if binding.id in report.values
        ]
        return Live(facts, boards, devices, await asyncio.to_thread(self._commands, now))

    def _commands(self, now: datetime) -> list[Row]:
        return [
            Row(
                _ACTIONS.get(row["action"], row["action"]),
                *_ENDS.get(row["state"], ("正在做", "soon")),
                f"{ago(row['received_at'], now.astimezone(UTC))} · {row['reason'] or row['by'].partition(':')[0]}",
            )
            for row in tail(self._dir, 0, 12)["commands"]
        ]


def _value(value: Value) -> tuple[str, str]:
    if value.quality is Quality.NEVER:
        return "没读过", "dim"
    if isinstance(value.value, bool):
        word = "开" if value.value else "关"
    else:
        word = "—" if value.value is None else str(value.value)
    return (
        (word, "good" if value.value is True else "dim")
        if value.quality is Quality.OK
        else (
            f"{word}（旧）",
            "soon",
        )
    )


def _away(port: str, board: BoardReport) -> str:
    """The port, why in words, and what an engineer reads."""
    return "  ".join(part for part in (port, _WHY.get(board.why, ""), board.detail) if part)
