"""All points and actions of a profile as text, so that a change of a board's bytes shows in review."""

from __future__ import annotations

import json
from collections.abc import Iterable

from device_profiles.message_schema import HttpRequest, MessageCommandDoc
from device_profiles.profile import Action, Messages, Point, Profile, Stream
from device_profiles.schema import ModbusRtu, ModbusTcp
from device_profiles.stream_schema import SerialStream


def listing(profiles: Iterable[Profile]) -> str:
    """The description of every profile, one after the other."""
    return "\n".join(describe(profile) for profile in profiles)


def describe(profile: Profile) -> str:
    """Identification, points, actions and capabilities of ``profile``, everything written out."""
    lines = [
        f"{profile.id} revision {profile.revision}, {profile.vendor} {profile.model}",
        f"  {_transport(profile)}",
    ]
    for name, param in profile.params.items():
        shown = "must be given" if param.default is None else f"if not given {param.default}"
        lines.append(
            f"  param     {name}, {param.type}, {shown}{', secret' if param.secret else ''}"
        )
    for step in profile.identify:
        expect = step.expect.model_dump(exclude_none=True)
        wanted = " ".join(f"{key} {value}" for key, value in expect.items())
        lines.append(f"  identify  {step.table} 0x{step.address:04X} x{step.count}: {wanted}")
    for setup in profile.setup:
        lines.append(f"  setup     {setup.table} 0x{setup.address:04X} = 0x{setup.value:04X}")
    lines += [f"  point     {_point(point)}" for point in profile.points.values()]
    lines += [f"  action    {_action(action)}" for action in profile.actions.values()]
    if profile.stream is not None:
        lines += [f"  {line}" for line in _stream(profile.stream)]
    if profile.messages is not None:
        lines += [f"  {line}" for line in _messages(profile.messages)]
    for (capability, channel), service in profile.services.items():
        name = capability if channel is None else f"{capability} {channel}"
        turned = " inverted" if service.invert else ""
        lines.append(f"  offers    {name} = {service.point or service.action}{turned}")
        for kind, choice in (("mode", service.mode), ("fan", service.fan)):
            if choice is not None:
                lines += [
                    f"  {kind:<9} {word} = {choice.point} {' or '.join(map(str, said))}"
                    for word, said in choice.values.items()
                ]
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
        once += f", or {command.refusal} for no" if command.refusal else ""
        lines.append(f"command   {command.name}, {command.tx} -> {command.rx or 'nothing'}{once}")
    if stream.alive is not None:
        lines.append(f"alive     {stream.alive.command} every {stream.alive.every_ms} ms")
    lines += [
        f"identify  {step.command} byte {step.at} & 0x{step.mask:02X} among {step.among}"
        for step in stream.identify
    ]
    lines += [
        f"event     {name}, the same again after {event.dedup_ms} ms"
        + (f", {event.field} of {event.frame}" if event.frame else "")
        + (f", after {event.prefix!r}" if event.prefix else "")
        + (", typed key by key" if event.keypad else "")
        for name, event in stream.events.items()
    ]
    for clip, params in stream.clips.items():
        given = " ".join(f"{name} {value}" for name, value in params.items())
        lines.append(f"clip      {clip}, {given}")
    return lines


def _transport(profile: Profile) -> str:
    transport = profile.transport
    if isinstance(transport, ModbusRtu | SerialStream):
        serial = transport.serial
        text = f"{transport.type} {serial.baud} 8{serial.parity}{serial.stop_bits}"
        return text if isinstance(transport, SerialStream) else f"{text} unit {transport.unit_id}"
    if isinstance(transport, ModbusTcp):
        framing = f"{transport.framing} framing, port {transport.tcp_port}"
        return f"{transport.type}, {framing}, unit {transport.unit_id}"
    return transport.type


def _messages(messages: Messages) -> list[str]:
    lines = [
        f"command   {name}, {_message(command)}" for name, command in messages.commands.items()
    ]
    lines += [f"report    {name}, {report.topic}" for name, report in messages.reports.items()]
    lines += [
        f"identify  {step.command} {step.field} among {step.among}" for step in messages.identify
    ]
    lines += [
        f"setup     {step.command} {step.field} = {step.equals!r}, set by {step.set_ or 'hand'}"
        for step in messages.setup
    ]
    if messages.alive is not None:
        lines.append(f"alive     {messages.alive.command} every {messages.alive.every_ms} ms")
    for name, event in messages.events.items():
        when = f" when {event.when}" if event.when else ""
        lines.append(f"event     {name}, {event.field} of {event.report}{when}")
    return lines


def _message(command: MessageCommandDoc) -> str:
    if command.publish is not None:
        out = command.publish
        body = out.text if out.text is not None else json.dumps(out.json_, ensure_ascii=False)
        said = f"{out.topic} {body}"
    else:
        said = _request(command.request) if command.request else ""
    answer = command.answer
    wanted = "" if answer is None else f" -> {answer.topic or 'its response'}"
    for name, rules in (("match", answer.match), ("equals", answer.equals)) if answer else ():
        wanted += "".join(f", {name} {pointer} {value!r}" for pointer, value in rules.items())
    return said + wanted + (", once" if command.once else "")


def _request(request: HttpRequest) -> str:
    parts = [request.method, request.path]
    parts += [f"{key}={value}" for key, value in {**request.query, **request.form}.items()]
    if request.json_ is not None:
        parts.append(json.dumps(request.json_, ensure_ascii=False))
    return " ".join(parts)


def _point(point: Point) -> str:
    parts = [point.name, point.type, point.access, point.unit or ""]
    if point.read is not None:
        read = point.read
        bit = "" if read.bit is None else f" bit {read.bit}"
        bit += "" if read.equals is None else f" on if {' or '.join(map(str, read.equals))}"
        bit += "" if read.error_value is None else f" unknown if {read.error_value}"
        layout = "" if read.format == "bool" else f" {read.format} {read.word_order} x{read.scale}"
        parts.append(f"read {read.table} 0x{read.address:04X}{bit}{layout}")
    if point.write is not None:
        write = point.write
        words = f" on 0x{write.on:04X} off 0x{write.off:04X}" if point.type == "bool" else ""
        words += " by function 10" if write.multiple else ""
        parts.append(f"write {write.table} 0x{write.address:04X}{words}")
    if point.taken is not None:
        taken = point.taken
        with_ = "".join(f" {name} {value}" for name, value in taken.params.items())
        bit = "" if taken.bit is None else f" bit {taken.bit}"
        said = "" if taken.values is None else f" as {dict(taken.values)}"
        scale = "" if taken.scale == 1 else f" x{taken.scale}"
        parts.append(f"from {taken.source}{with_} {taken.field}{bit}{said}{scale}".rstrip())
    if point.told is not None:
        told = point.told
        with_ = "".join(f" {name} {value}" for name, value in told.params.items())
        with_ += "".join(f" {name} as {other} is" for name, other in told.keep.items())
        said = "" if told.values is None else f" as {dict(told.values)}"
        parts.append(f"set by {told.command}{with_} {told.value}{said}")
    if point.assumed:
        parts.append("assumed")
    if point.poll_period_ms is not None:
        group = f" in {point.poll_group}" if point.poll_group else ""
        parts.append(f"every {point.poll_period_ms} ms{group}")
    return ", ".join(filter(None, parts))


def _action(action: Action) -> str:
    if action.call is not None:
        with_ = "".join(f" {name} {value}" for name, value in action.call.params.items())
        said = f"{action.call.command}{with_}"
    else:
        do = action.frame
        words = " ".join(
            word if isinstance(word, str) else f"0x{word:04X}" for word in do.values or (do.value,)
        )
        said = f"{do.kind} 0x{do.address:04X} = {words}"
    parts = [action.name, action.effect, said]
    parts += [
        f"{name} {limits.min} to {limits.max} by {limits.step}, if not given {limits.default}"
        for name, limits in action.params.items()
    ]
    if action.confirm is not None:
        confirm = action.confirm
        parts.append(f"seen as {confirm.point} {'on' if confirm.equals else 'off'}")
    return ", ".join(parts)
