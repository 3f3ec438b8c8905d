"""Acts on spoken devices: pulses, levels, readings, clips. What the controller asks of any board."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from device_profiles.profile import Action, ProfileError, Service
from device_profiles.spoken import Call, Scalar, call_of, call_of_action, call_of_write
from firmware_bridge import airs
from firmware_bridge.board import BadRequest
from firmware_bridge.bus import Exchange
from firmware_bridge.contract import Aim, Outcome, OutcomeState, Priority, Reading
from firmware_bridge.outcomes import after_level, after_pulse, after_say, evidence, together
from firmware_bridge.spoken import SpokenWatch

NOTHING_ELSE: Mapping[str, Scalar] = MappingProxyType({})
_SEEN_WITHIN_S = 2.0  # a device that says its state by itself has said it by then


def service(watch: SpokenWatch, capability: str, channel: int | None) -> Service:
    """What serves ``capability``. Raises BadRequest naming the channels there are."""
    profile = watch.device.profile
    found = profile.services.get((capability, channel))
    if found is None:
        channels = ", ".join(map(str, profile.channels(capability)))
        has = f"it has channels {channels}" if channels else "it has none"
        board = watch.device.config.id
        raise BadRequest(f"{board} has no {capability} on channel {channel}; {has}")
    return found


async def pulse(
    watch: SpokenWatch,
    channel: int | None,
    duration_ms: int,
    deadline: float,
    monotonic: Callable[[], float],
    answered: Callable[[Outcome], None] | None,
) -> Outcome:
    """One ``lock.pulse``, sent at most once."""
    try:
        action = watch.device.profile.actions[service(watch, "lock.pulse", channel).action or ""]
        call = call_of_action(watch.device.profile, action, {"duration_ms": duration_ms})
    except (BadRequest, ProfileError) as error:
        return Outcome(OutcomeState.FAILED, "bad_request", str(error))
    unfit = await _unfit(watch, Priority.UNLOCK, deadline, monotonic)
    if unfit is not None:
        return unfit
    begun = monotonic()
    exchange = (await watch.ask(call, Priority.UNLOCK, deadline)).exchange
    told = after_pulse(exchange, {})
    if exchange.result == "answered" and answered is not None:
        answered(told)
    if exchange.result != "answered" or action.confirm is None:
        return told
    return after_pulse(exchange, await _confirmed(watch, action, begun, monotonic))


async def _confirmed(
    watch: SpokenWatch, action: Action, begun: float, monotonic: Callable[[], float]
) -> dict[str, Any]:
    confirm = action.confirm
    assert confirm is not None
    said: dict[str, Any] = {"point": confirm.point, "wanted": confirm.equals}
    within_s = confirm.within_ms / 1000
    source = watch.source_of(confirm.point)
    if source is None:
        if await watch.hears(confirm.point, confirm.equals, begun, within_s):
            said["read"] = confirm.equals
        else:
            said["missed"] = "the device did not say so"
        return {"confirm": said}
    exchange = (
        await watch.refresh(source, Priority.CONFIRM, monotonic() + within_s, attempts=1)
    ).exchange
    if exchange.result == "answered":
        said["read"] = watch.reading(confirm.point).value
    else:
        said["missed"] = exchange.detail
    return {"confirm": {**said, **evidence(exchange)}}


async def level(
    watch: SpokenWatch,
    capability: str,
    channel: int | None,
    value: Scalar,
    deadline: float,
    monotonic: Callable[[], float],
) -> Outcome:
    """Set what can be set, and see that it is so. May be said again."""
    try:
        serves = service(watch, capability, channel)
    except BadRequest as error:
        return Outcome(OutcomeState.FAILED, "bad_request", str(error))
    wanted = not value if serves.invert else value
    return await _set(watch, serves.point or "", wanted, (wanted,), deadline, monotonic)


async def climate(
    watch: SpokenWatch,
    channel: int | None,
    aim: Aim,
    deadline: float,
    monotonic: Callable[[], float],
) -> Outcome:
    """Set an air conditioner. One that takes its whole state at once is told everything at once."""
    try:
        parts = airs.parts(service(watch, "climate.set", channel), aim)
    except BadRequest as error:
        return Outcome(OutcomeState.FAILED, "bad_request", str(error))
    if _at_once(watch, parts):
        *others, last = parts
        besides = {part.point: part.value for part in others}
        same = (last.value,)
        return await _set(watch, last.point, last.value, same, deadline, monotonic, besides)
    done: list[tuple[str, Outcome]] = []
    for part in parts:
        outcome = await _set(watch, part.point, part.value, part.same, deadline, monotonic)
        done.append((part.point, outcome))
        if outcome.state is not OutcomeState.DONE:
            break
    return together(done)


def _at_once(watch: SpokenWatch, parts: list[airs.Part]) -> bool:
    """Whether the command of the last part carries the others as well, and nothing is read back."""
    points = [watch.device.profile.points[part.point] for part in parts]
    kept = set() if points[-1].told is None else set(points[-1].told.keep.values())
    return all(point.assumed for point in points) and {p.point for p in parts[:-1]} <= kept


async def _set(
    watch: SpokenWatch,
    point: str,
    wanted: Scalar,
    same: tuple[Scalar, ...],
    deadline: float,
    monotonic: Callable[[], float],
    besides: Mapping[str, Scalar] = NOTHING_ELSE,
) -> Outcome:
    """Set a point, and with the same command the points ``besides``, which are assumed."""
    try:
        call = call_of_write(
            watch.device.profile,
            point,
            wanted,
            {**watch.values, **besides},
            watch.device.settings.params,
        )
    except ProfileError as error:
        return Outcome(OutcomeState.FAILED, "bad_request", str(error))
    unfit = await _unfit(watch, Priority.SWITCH, deadline, monotonic)
    if unfit is not None:
        return unfit
    retries = watch.device.profile.transport.level_retries
    rounds = 0
    while True:
        rounds += 1
        begun = monotonic()
        told = await watch.ask(call, Priority.SWITCH, deadline, attempts=1 + retries)
        back, read = await _read_back(watch, point, wanted, told.exchange, begun, deadline)
        read = wanted if read in same else read
        if read not in (None, wanted) and rounds <= retries and monotonic() < deadline:
            continue
        if told.exchange.result == "answered":
            for other, value in besides.items():
                watch.assume(other, value)
        return after_level(told.exchange, back, _shown(read), _shown(wanted) or 0.0, rounds)


def _shown(value: Any) -> float | str | None:
    return value if value is None or isinstance(value, bool | str) else float(value)


async def _read_back(
    watch: SpokenWatch,
    point: str,
    wanted: Scalar,
    exchange: Exchange,
    begun: float,
    deadline: float,
) -> tuple[Exchange | None, Any]:
    if exchange.result in ("expired", "port_gone", "stopped") or not exchange.sent:
        return None, None
    spec = watch.device.profile.points[point]
    if spec.assumed:
        if exchange.result == "answered":
            watch.assume(point, wanted)
        return None, None
    source = watch.source_of(point)
    if source is None:
        if await watch.hears(point, wanted, begun, _SEEN_WITHIN_S):
            return exchange, wanted
        return None, None
    attempts = 1 + watch.device.profile.transport.read_retries
    back = (await watch.refresh(source, Priority.CONFIRM, deadline, attempts=attempts)).exchange
    if back.result != "answered" or watch.reading(point).quality != "ok":
        return back, None
    return back, watch.reading(point).value


async def read(watch: SpokenWatch, point: str, invert: bool, deadline: float) -> Reading:
    """Read now where the device can be asked; else what it said last."""
    source = watch.source_of(point)
    if source is None:
        return watch.reading(point, invert=invert)
    if watch.state.state != "refused":
        attempts = 1 + watch.device.profile.transport.read_retries
        told = await watch.refresh(source, Priority.CONFIRM, deadline, attempts=attempts)
        kept = watch.reading(point, invert=invert)
        if told.exchange.result == "answered" and kept.quality != "fault":
            return Reading(kept.value, "ok", kept.read_at)
    kept = watch.reading(point, invert=invert)
    return Reading(kept.value, "stale" if kept.quality == "ok" else kept.quality, kept.read_at)


async def say(watch: SpokenWatch, clip: str, deadline: float) -> Outcome:
    """Play a clip of the closed list, once."""
    profile = watch.device.profile
    params = profile.clips.get(clip)
    serves = profile.services.get(("speaker.say", None))
    if serves is None or serves.action is None:
        detail = f"{watch.device.config.id!r} is no speaker of this store"
        return Outcome(OutcomeState.FAILED, "bad_request", detail)
    if params is None:
        known = ", ".join(profile.clips)
        detail = f"{watch.device.config.id} has no clip {clip!r}; it has {known}"
        return Outcome(OutcomeState.FAILED, "bad_request", detail)
    if watch.state.state == "refused":
        return Outcome(OutcomeState.FAILED, "device_error", watch.state.detail)
    call: Call = call_of(profile, serves.action, params)
    return after_say((await watch.ask(call, Priority.SWITCH, deadline)).exchange)


async def _unfit(
    watch: SpokenWatch, priority: Priority, deadline: float, monotonic: Callable[[], float]
) -> Outcome | None:
    """Why nothing may be sent to this device, or None if something may."""
    if watch.known and watch.state.state != "refused":
        return None
    late = Outcome(OutcomeState.EXPIRED, "deadline", "the deadline passed before it was sent")
    try:
        async with asyncio.timeout(max(0.0, deadline - monotonic())):
            state = await watch.look(priority, deadline)
    except TimeoutError:
        return late
    if state.state == "online":
        return None
    if monotonic() >= deadline:
        return late
    detail = f"nothing was sent: {state.detail}"
    if state.state == "refused":
        return Outcome(OutcomeState.FAILED, "device_error", detail)
    return Outcome(OutcomeState.FAILED, "device_offline", detail)
