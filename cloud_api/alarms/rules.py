"""How each kind of alarm behaves until a merchant says otherwise: one table, and the words for it."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import BaseModel, Field
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.alarms.models import AlarmRule
from cloud_api.kit.actor import System, scoped
from cloud_api.kit.alarm_signals import KINDS
from cloud_api.staff.permissions import (
    ALARM_HANDLE,
    ALARM_READ,
    AUDIT_READ,
    BACKUP_READ,
    DEVICE_ENROL,
    ORDER_REFUND,
    REPORT_READ,
)

Severity = Literal["info", "warning", "critical"]


class Step(BaseModel):
    """Who is told ``after_min`` minutes after the raising, if nobody acknowledged it before."""

    after_min: int = Field(ge=0, le=1440)
    to: str = Field(pattern=r"^(staff|role):[a-z_.]{1,40}$")
    channels: list[str] | None = None  # None: those of the event's own rule


class Rule(BaseModel):
    """How a kind behaves. ``raise_after_s`` damps what comes and goes; ``threshold`` in ``unit``."""

    kind: str
    name: str
    severity: Severity
    raise_after_s: int = Field(ge=0, le=86400)
    threshold: float | None = None
    unit: str = ""
    enabled: bool = True
    settles_itself: bool = True
    steps: list[Step] = []


def _steps(first: str, *later: tuple[int, str]) -> list[Step]:
    return [Step(after_min=0, to=first)] + [Step(after_min=m, to=to) for m, to in later]


_HANDLERS: Final = f"staff:{ALARM_HANDLE}"
_TO_OWNER: Final = ((10, "role:manager"), (30, "role:owner"))


def _rule(
    kind: str,
    name: str,
    severity: Severity,
    raise_after_s: int,
    steps: list[Step] | None = None,
    *,
    threshold: float | None = None,
    unit: str = "",
    settles_itself: bool = True,
) -> Rule:
    return Rule(
        kind=kind,
        name=name,
        severity=severity,
        raise_after_s=raise_after_s,
        threshold=threshold,
        unit=unit,
        settles_itself=settles_itself,
        steps=_steps(_HANDLERS, *_TO_OWNER) if steps is None else steps,
    )


_MONEY: Final = _steps(f"staff:{ORDER_REFUND}", (60, "role:owner"))
_TECH: Final = _steps(f"staff:{DEVICE_ENROL}", (720, "role:owner"))

RULES: Final[dict[str, Rule]] = {
    rule.kind: rule
    for rule in (
        _rule("store.offline", "门店断网", "critical", 60),
        _rule("store.twice", "两台电脑在当同一家门店", "critical", 0),
        _rule("broker.down", "消息服务器不通", "critical", 0),
        _rule("device.offline", "设备没有回应", "warning", 30),
        _rule("door.unlock_failed", "开门失败", "critical", 0, settles_itself=False),
        _rule("door.open_too_long", "门一直开着", "warning", 180),
        _rule("door.forced", "没人开锁，门开了", "critical", 0, settles_itself=False),
        _rule("power.overload", "用电超过上限", "critical", 10, threshold=3500, unit="W"),
        _rule("power.stuck", "没人用，桌子还通着电", "critical", 60),
        _rule("hazard.input", "烟感或火警", "critical", 0),
        _rule("stay.overstay", "客人到时没走", "warning", 300),
        _rule("clock.untrusted", "门店时钟不准", "warning", 300),
        _rule("disk.low", "磁盘快满了", "warning", 60, _TECH, threshold=10, unit="%"),
        _rule("certificate.expiring", "证书快到期", "warning", 0, _TECH, threshold=14, unit="天"),
        _rule("job.dead", "后台任务失败", "warning", 0, _TECH),
        _rule("backup.failed", "备份失败", "critical", 0, _steps(f"staff:{BACKUP_READ}")),
        _rule("audit.broken", "操作记录被改动", "critical", 0, _steps(f"staff:{AUDIT_READ}")),
        _rule("ledger.broken", "账目不平", "critical", 0, _steps(f"staff:{REPORT_READ}")),
        _rule("event.poison", "门店事件没能处理", "warning", 0, _TECH),
        _rule("refund.refused", "退款没有成功", "critical", 0, _MONEY),
        _rule("refund.beyond", "收款方后台多退了钱", "critical", 0, _MONEY, settles_itself=False),
        _rule("refund.twice", "同一笔钱退了两次", "critical", 0, _MONEY, settles_itself=False),
        _rule("payment.wrong_amount", "收款金额对不上", "critical", 0, _MONEY),
        _rule("payment.unbalanced", "对账有差异", "warning", 0, _MONEY),
        _rule("webhook.failing", "推送地址停了", "warning", 0, _TECH),
    )
}
assert frozenset(RULES) == KINDS

FLAPPING_S: Final = 600
"""An alarm that comes back so soon after it resolved itself is the same one: told once."""

SEVERITY_NAMES: Final = {"critical": "紧急", "warning": "注意", "info": "提醒"}
STATE_NAMES: Final = {"open": "待处理", "acknowledged": "处理中", "resolved": "已解决"}


async def rules_of(session: AsyncSession, merchant_id: str) -> dict[str, Rule]:
    """Every kind's rule for a merchant: their own where they have one."""
    query = scoped(System(), AlarmRule).where(col(AlarmRule.merchant_id) == merchant_id)
    found = dict(RULES)
    for row in (await session.exec(query)).all():
        base = RULES.get(row.kind)
        if base is None:
            continue
        found[row.kind] = Rule.model_validate(
            {
                **base.model_dump(),
                "enabled": row.enabled,
                "severity": row.severity,
                "raise_after_s": row.raise_after_s,
                "threshold": base.threshold if row.threshold is None else row.threshold,
                "steps": row.steps,
            }
        )
    return found


async def rule_of(session: AsyncSession, merchant_id: str, kind: str) -> Rule:
    """One kind's rule for a merchant."""
    return (await rules_of(session, merchant_id))[kind]


READERS: Final = f"staff:{ALARM_READ}"
