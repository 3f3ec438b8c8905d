"""What a store said of its devices, as controls and sentences: reported, never wished."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from cloud_api.devices.models import Binding
from cloud_api.devices.profiles import air_words, clips, degrees
from cloud_api.devices.status import AirView, StoreStatusView, ValueView
from cloud_api.kit.i18n import gettext as _
from cloud_api.web import words
from cloud_api.web.pages import Visit
from cloud_api.web.view_models import Chip, Device, DeviceState

_ICONS = {
    "table": "plug",
    "light": "lightbulb",
    "ac": "snowflake",
    "socket": "plug",
    "vent": "wind",
    "presence": "user",
    "sign": "store",
}
_API = "/api/v1/console/bindings"
_CLIPS = {
    "welcome": "欢迎光临",
    "ends_in_30": "还有 30 分钟",
    "ends_in_15": "还有 15 分钟",
    "ends_in_5": "还有 5 分钟",
    "time_is_over": "时间到了",
}
MODES: Mapping[str, str] = {
    "cool": "制冷",
    "heat": "制热",
    "dry": "除湿",
    "fan": "送风",
    "auto": "自动",
}
FANS: Mapping[str, str] = {"auto": "自动", "low": "低", "mid": "中", "high": "高"}
_NEVER = ValueView(None, "never", None)
_SHOWN = frozenset({"switch.set", "presence", "door.contact", "power.w", "hazard"})


def steered_devices(
    seen: Visit,
    bindings: Iterable[Binding],
    profiles: Mapping[str, str],
    status: StoreStatusView,
    *,
    may_steer: bool,
) -> tuple[Device, ...]:
    """The room's devices for staff: temperatures and speakers as well; ``profiles`` by board."""
    made = []
    for binding in bindings:
        profile = profiles.get(binding.board_id, "")
        if binding.capability in _SHOWN:
            device = _device(seen, binding, status, may_steer)
            held = status.overrides.get(binding.id)
            if may_steer and status.online and held is not None:
                device = replace(device, clear_href=f"{_API}/{binding.id}/clear")
        elif binding.capability == "climate.set":
            device = _climate(seen, binding, profile, status, may_steer)
        elif binding.capability == "speaker.say":
            device = _speaker(binding, profile, status, may_steer)
        else:
            continue
        made.append(device)
    return tuple(made)


def guest_devices(
    seen: Visit,
    bindings: Iterable[Binding],
    profiles: Mapping[str, str],
    status: StoreStatusView,
    order_id: str,
    *,
    may_steer: bool,
) -> tuple[Device, ...]:
    """What a guest steers in their room; ``profiles`` by board. A dead device shows its state alone."""
    made = []
    for binding in bindings:
        if binding.capability == "climate.set":
            profile = profiles.get(binding.board_id, "")
            device = _climate(seen, binding, profile, status, may_steer)
        else:
            device = _device(seen, binding, status, may_steer)
        href = f"/api/v1/orders/{order_id}/devices/{binding.id}/actions"
        steered = bool(device.set_href) and device.state is DeviceState.OK
        made.append(
            replace(
                device,
                kind=device.kind if steered else "view",
                set_href=href if steered else "",
                clear_href="",
            )
        )
    return tuple(made)


def _climate(
    seen: Visit, binding: Binding, profile: str, status: StoreStatusView, may_steer: bool
) -> Device:
    value = status.values.get(binding.id, _NEVER)
    state = _state(status, binding, value)
    limits = degrees(profile, binding.channel) or (16, 30)
    steers = may_steer and status.online and state is DeviceState.OK
    air = status.airs.get(binding.id)
    held = _held_until(status, binding.id)
    number = round(value.value) if isinstance(value.value, int | float) else None
    word = _word(seen, binding, status, value, state)
    if state is DeviceState.OK and number is not None:
        word = air_word(number, air)
        if held is not None:
            until = words.moment(seen.local(held), seen.now)
            word = _("{said} · 手动，到 {time}").format(said=word, time=until)
    modes, fans = air_words(profile, binding.channel)
    return Device(
        id=binding.id,
        name=binding.name,
        icon="thermometer",
        kind="climate" if steers and number is not None else "view",
        on=None if number is None else True,
        state=state,
        word=word,
        set_href=f"{_API}/{binding.id}/climate" if steers else "",
        number=number,
        low=limits[0],
        high=limits[1],
        clear_href=f"{_API}/{binding.id}/clear" if steers and held is not None else "",
        modes=_chips(MODES, modes, air.modes, air.mode) if steers and air is not None else (),
        fans=_chips(FANS, fans, air.fans, air.fan) if steers and air is not None else (),
    )


def _held_until(status: StoreStatusView, binding: str) -> datetime | None:
    air, degrees = status.airs.get(binding), status.climates.get(binding)
    if air is not None and air.until is not None:
        return air.until
    return None if degrees is None else degrees[1]


def _chips(
    said: Mapping[str, str], able: tuple[str, ...], there: tuple[str, ...], now: str | None
) -> tuple[Chip, ...]:
    """What the device can, as far as the store's program can tell it so."""
    return tuple(Chip(key, _(said[key]), key == now) for key in able if key in there)


def air_word(number: int, air: AirView | None) -> str:
    """``制冷 26 度 · 风速低``; what is not known is left out. Where it only blows, no temperature counts."""
    mode, fan = ("", "") if air is None else (air.mode or "", air.fan or "")
    said = _("设定 {n} 度").format(n=number)
    if mode in MODES:
        said = _("{mode} {n} 度").format(mode=_(MODES[mode]), n=number)
    if mode == "fan":
        said = _(MODES[mode])
    return _("{said} · 风速{fan}").format(said=said, fan=_(FANS[fan])) if fan in FANS else said


def _speaker(binding: Binding, profile: str, status: StoreStatusView, may_steer: bool) -> Device:
    dead = status.board_dead(binding.board_id)
    state = DeviceState.FAILED if dead else DeviceState.OK
    if not status.online:
        state = DeviceState.STALE
    known = clips(profile)
    steers = may_steer and status.online and not dead and bool(known)
    word = _("没有回应") if dead else _("能说 {n} 句录好的话").format(n=len(known))
    return Device(
        id=binding.id,
        name=binding.name,
        icon="volume-2",
        kind="speaker" if steers else "view",
        on=None if dead else True,
        state=state,
        word=word,
        set_href=f"{_API}/{binding.id}/say" if steers else "",
        clips=tuple((one, clip_word(one)) for one in known),
    )


def clip_word(clip: str) -> str:
    """A recorded sentence in words; its own name where it is not one of those we know."""
    return _(_CLIPS[clip]) if clip in _CLIPS else clip


def _device(seen: Visit, binding: Binding, status: StoreStatusView, may_switch: bool) -> Device:
    value = status.values.get(binding.id, _NEVER)
    state = _state(status, binding, value)
    switch = binding.capability == "switch.set" and may_switch
    on = value.value if isinstance(value.value, bool) and value.quality != "never" else None
    return Device(
        id=binding.id,
        name=binding.name,
        icon=_ICONS.get(binding.role, "plug" if binding.capability == "switch.set" else "cpu"),
        kind="switch" if switch else "view",
        on=on,
        state=state,
        word=_word(seen, binding, status, value, state),
        set_href=f"/api/v1/console/bindings/{binding.id}/set" if switch and status.online else "",
    )


def _state(status: StoreStatusView, binding: Binding, value: ValueView) -> DeviceState:
    if value.quality == "never":
        return DeviceState.UNKNOWN
    if value.quality == "fault" or status.board_dead(binding.board_id):
        return DeviceState.FAILED
    if status.stale or value.quality == "stale":
        return DeviceState.STALE
    return DeviceState.OK


def _word(
    seen: Visit,
    binding: Binding,
    status: StoreStatusView,
    value: ValueView,
    state: DeviceState,
) -> str:
    if state is DeviceState.UNKNOWN:
        return _("还没有读数")
    said = _value(binding, value)
    if state is DeviceState.OK:
        until = status.overrides.get(binding.id)
        if until is not None and until > seen.cloud.clocks.now:
            time = words.moment(seen.local(until), seen.now)
            return _("{said} · 手动，到 {time}").format(said=said, time=time)
        return said
    when = _ago(seen, value)
    if state is DeviceState.FAILED:
        return _("没有回应 · {when}{said}").format(when=when, said=said)
    return _("{when}{said}").format(when=when, said=said)


def _ago(seen: Visit, value: ValueView) -> str:
    """``12 分钟前``: readings carry real time, which a moved business clock does not share."""
    if value.at is None:
        return _("之前")
    minutes = max(0, int((seen.cloud.clocks.real - value.at).total_seconds()) // 60)
    if minutes < 1:
        return _("刚才")
    if minutes < 60:
        return _("{n} 分钟前").format(n=minutes)
    return _("{n} 小时前").format(n=minutes // 60)


def _value(binding: Binding, value: ValueView) -> str:
    found = value.value
    if binding.capability == "power.w" and isinstance(found, int | float):
        return f"{found:.0f} W"
    if binding.capability == "climate.set" and isinstance(found, int | float):
        return _("设定 {n} 度").format(n=f"{found:.0f}")
    if not isinstance(found, bool):
        return str(found)
    on, off = {
        "presence": (_("有人"), _("没人")),
        "door.contact": (_("开着"), _("关着")),
        "hazard": (_("报警"), _("正常")),
    }.get(binding.capability, (_("已通电"), _("已断电")))
    return on if found else off


def said_at(seen: Visit, status: StoreStatusView) -> int | None:
    """How many minutes ago the store last spoke; None if it never did."""
    spoke = [at for at in (status.reported_at, status.presence_at) if at is not None]
    if not spoke:
        return None
    return max(0, int((seen.cloud.clocks.real - max(spoke)).total_seconds()) // 60)
