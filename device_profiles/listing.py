"""All points and actions of a profile as text, so that a change of a board's bytes shows in review."""

from __future__ import annotations

from collections.abc import Iterable

from device_profiles.profile import Action, Point, Profile, Stream
from device_profiles.stream_schema import SerialStream


def listing(profiles: Iterable[Profile]) -> str:
    """The description of every profile, one after the other."""
    return "\n".join(describe(profile) for profile in profiles)


def describe(profile: Profile) -> str:
    """Identification, points, actions and capabilities of ``profile``, everything written out."""
    transport = profile.transport
    lines = [
        f"{profile.id} revision {profile.revision}, {profile.vendor} {profile.model}",
        f"  {transport.type} {transport.serial.baud} 8{transport.serial.parity}"
        f"{transport.serial.stop_bits}"
        + ("" if isinstance(transport, SerialStream) else f" unit {transport.unit_id}"),
    ]
    for step in profile.identify:
        expect = step.expect.model_dump(exclude_none=True)
        wanted = " ".join(f"{key} {value}" for key, value in expect.items())
        lines.append(f"  identify  {step.table} 0x{step.address:04X} x{step.count}: {wanted}")
    lines += [f"  point     {_point(point)}" for point in profile.points.values()]
    lines += [f"  action    {_action(action)}" for action in profile.actions.values()]
    if profile.stream is not None:
        lines += [f"  {line}" for line in _stream(profile.stream)]
    for (capability, channel), service in profile.services.items():
        name = capability if channel is None else f"{capability} {channel}"
        turned = " inverted" if service.invert else ""
        lines.append(f"  offers    {name} = {service.point or service.action}{turned}")
    return "\n".join(lines) + "\n"


def _stream(stream: Stream) -> list[str]:
    lines = []
    if stream.transport.frame is not None:
        frame = stream.transport.frame
        lines.append(
            f"lines     up to {frame.terminator.hex(' ')}, at most {frame.max_bytes} bytes,"
            f" dropped after {frame.idle_flush_ms} ms"
        )
    lines += [f"skip      {skip}" for skip in stream.transport.skip]
    for command in stream.commands.values():
        once = ", once" if command.once else ""
        lines.append(f"command   {command.name}, {command.tx} -> {command.rx or 'nothing'}{once}")
    if stream.alive is not None:
        lines.append(f"alive     {stream.alive.command} every {stream.alive.every_ms} ms")
    lines += [
        f"identify  {step.command} byte {step.at} & 0x{step.mask:02X} among {step.among}"
        for step in stream.identify
    ]
    lines += [
        f"event     {name}, the same again after {event.dedup_ms} ms"
        for name, event in stream.events.items()
    ]
    for clip, params in stream.clips.items():
        given = " ".join(f"{name} {value}" for name, value in params.items())
        lines.append(f"clip      {clip}, {given}")
    return lines


def _point(point: Point) -> str:
    parts = [point.name, point.type, point.access, point.unit or ""]
    if point.read is not None:
        read = point.read
        bit = "" if read.bit is None else f" bit {read.bit}"
        layout = "" if read.format == "bool" else f" {read.format} {read.word_order} x{read.scale}"
        parts.append(f"read {read.table} 0x{read.address:04X}{bit}{layout}")
    if point.write is not None:
        write = point.write
        words = f" on 0x{write.on:04X} off 0x{write.off:04X}" if write.table == "coil" else ""
        parts.append(f"write {write.table} 0x{write.address:04X}{words}")
    if point.poll_group is not None:
        parts.append(f"every {point.poll_period_ms} ms in {point.poll_group}")
    return ", ".join(filter(None, parts))


def _action(action: Action) -> str:
    do = action.do
    value = do.value if isinstance(do.value, str) else f"0x{do.value:04X}"
    parts = [action.name, action.effect, f"{do.kind} 0x{do.address:04X} = {value}"]
    parts += [
        f"{name} {limits.min} to {limits.max} by {limits.step}, if not given {limits.default}"
        for name, limits in action.params.items()
    ]
    if action.confirm is not None:
        confirm = action.confirm
        parts.append(f"seen as {confirm.point} {'on' if confirm.equals else 'off'}")
    return ", ".join(parts)
