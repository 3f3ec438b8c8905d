"""Why a board is away or a journal is refused, in words for people.

What the store's program says itself is for engineers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

WHY: Final[Mapping[str, str]] = {
    "no_port": "找不到这条线，看转换器、网线和地址",
    "silent": "没有回应，看供电、接线和站号",
    "garbled": "回应听不清，看波特率、接线，或两块板同一个站号",
    "wrong_board": "不是这个型号，或没按型号设置好",
    "two_boards": "两块板用了同一个站号，改掉一块",
    "unfit": "门店的控制器不认识它的型号或参数，先更新控制器",
    "broker_away": "云端连不上消息服务器，各店都收不到开门：看它有没有在运行、网络和域名",
    "broker_stuck": "消息服务器不收消息，各店都收不到开门：多半是它的磁盘满了，腾出空间后重启它",
    "two_computers": "多半是拷贝过存储卡，开门可能到了另一台：关掉多出来的那台，另一台用新接入码重新接入",
    "journal_fork": "两台电脑用着同一份门店记录，或者记录是从旧备份放回来的：只留一台，用新接入码重新接入",
}
"""By ``BoardReport.why`` (a store whose program is older gives none), and by what the cloud finds itself."""


def reason(data: Mapping[str, Any]) -> str | None:
    """The words, untranslated, for an alarm's data; None where there are none."""
    return WHY.get(str(data.get("why") or ""))
