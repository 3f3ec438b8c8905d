"""Overtime as it is told: JSON with the sentence that explains it and the evidence in words."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final
from zoneinfo import ZoneInfo

from pydantic import AwareDatetime, BaseModel, ConfigDict, StringConstraints

from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.money import yuan
from cloud_api.orders.models import OvertimeCharge
from store_link.clock import from_ms

_SIGNS: Final = {
    "presence": "人体感应看到有人",
    "nobody": "人体感应看不到人了",
    "power": "断电后包间里仍有用电",
    "no_power": "包间里不再用电",
    "door_shut": "进门后门没有再开过",
    "door_used": "门开过又关上，有人离开",
}
_SHOWN: Final = 8


class SignOut(BaseModel):
    """What was seen from ``at`` on."""

    at: AwareDatetime
    signs: list[str]
    text: str


class OvertimeOut(BaseModel):
    """``state``: free, due, paid, waived. ``text`` says how ``amount_fen`` came about.

    ``owed_fen`` is left to pay: the deposit and the balance pay first, as far as they reach.
    """

    state: str
    amount_fen: int
    owed_fen: int = 0
    seconds: int
    minutes: int
    free_minutes: int
    units: int
    unit_minutes: int
    unit_fen: int
    capped: bool
    left_at: AwareDatetime
    text: str
    evidence: list[SignOut]
    waived_why: str | None
    settled_at: AwareDatetime | None

    @classmethod
    def of(cls, owed: OvertimeCharge, tz: str) -> OvertimeOut:
        """From the table; times in the text are the store's."""
        return cls(
            state=owed.state,
            amount_fen=owed.amount_fen,
            owed_fen=owed.owed_fen,
            seconds=owed.seconds,
            minutes=owed.minutes,
            free_minutes=owed.free_minutes,
            units=owed.units,
            unit_minutes=owed.unit_minutes,
            unit_fen=owed.unit_fen,
            capped=owed.capped,
            left_at=owed.left_at,
            text=explain(owed, tz),
            evidence=evidence(owed),
            waived_why=owed.waived_why,
            settled_at=owed.settled_at,
        )


class WaiveIn(BaseModel):
    """Why a guest is let off."""

    model_config = ConfigDict(extra="forbid")
    why: Annotated[str, StringConstraints(strip_whitespace=True, max_length=200)]


def explain(owed: OvertimeCharge, tz: str) -> str:
    """离场 21:34，超时 19 分钟，按 15 分钟 ¥6 计 ¥12."""
    parts = [
        _("离场 {time}").format(time=_clock(owed.left_at, tz)),
        _("超时 {n} 分钟").format(n=owed.minutes),
    ]
    if owed.state == "free":
        return _("，").join([*parts, _("不收费")])
    if owed.free_minutes:
        parts.append(_("前 {n} 分钟不收").format(n=owed.free_minutes))
    priced = _("按 {unit} 分钟 {price} 计 {sum}").format(
        unit=owed.unit_minutes,
        price=yuan(owed.unit_fen),
        sum=yuan(owed.units * owed.unit_fen),
    )
    parts.append(priced)
    if owed.capped:
        parts.append(_("最多收 {sum}").format(sum=yuan(owed.amount_fen)))
    if owed.state == "due" and owed.covered_fen:
        parts.append(_("已扣 {sum}").format(sum=yuan(owed.covered_fen)))
    return _("，").join(parts)


def evidence(owed: OvertimeCharge) -> list[SignOut]:
    """What the store saw after the end, oldest first, the last few changes."""
    told = []
    for at, named in owed.evidence.get("signs", [])[-_SHOWN:]:
        signs = [sign for sign in str(named).split("+") if sign in _SIGNS]
        if signs:
            text = _("，").join(_(_SIGNS[sign]) for sign in signs)
            told.append(SignOut(at=from_ms(at), signs=signs, text=text))
    return told


def _clock(at: datetime, tz: str) -> str:
    return f"{at.astimezone(ZoneInfo(tz)):%H:%M}"
