"""From the shape of a file to a profile in use: repeats unrolled, references resolved, rules checked.

Every check here is one that a single field cannot make for itself. Errors carry the path of the field
as it stands in the file, so ``source`` can add its line.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping

from device_profiles import capabilities, expressions
from device_profiles.errors import FieldError
from device_profiles.profile import (
    Action,
    Choice,
    ConfirmSpec,
    FrameSpec,
    IdentifyStep,
    ParamLimits,
    Point,
    Profile,
    ReadSpec,
    Service,
    WriteSpec,
)
from device_profiles.schema import (
    ActionDoc,
    CapabilityDoc,
    Do,
    PointDoc,
    ProfileDoc,
    Read,
    Write,
)
from device_profiles.sections import AirFans, AirModes, Channels, Confirm, Repeat
from device_profiles.sections import Source as SourceDoc
from device_profiles.source import FieldPath

MAX_BITS, MAX_REGISTERS = 2000, 125  # what one Modbus request may ask for
INSTALL_NAMES = frozenset({"unit_id"})


def expand(doc: ProfileDoc) -> Profile:
    """The profile of ``doc``. Raises FieldError at the first rule that is broken."""
    points = _points(doc)
    _check_overlap(points, doc)
    _check_poll_groups(points, doc)
    actions = _actions(doc, points)
    services = _services(doc, points, actions)
    _check_identify(doc)
    _check_tests(doc, points, actions)
    return Profile(
        id=doc.id,
        revision=doc.revision,
        kind=doc.kind,
        vendor=doc.vendor,
        model=doc.model,
        verified=doc.verified,
        caveats=tuple(doc.caveats),
        sources=source_lines(doc.sources),
        transport=doc.transport,
        identify=tuple(
            IdentifyStep(s.read, s.address, s.count, s.expect, s.what, s.otherwise)
            for s in doc.identify
        ),
        points=points,
        actions=actions,
        services=services,
        safety=doc.safety,
        simulator=doc.simulator,
        tests=tuple(doc.tests),
        params=dict(doc.params),
        setup=tuple(doc.setup),
    )


def source_lines(sources: Iterable[SourceDoc]) -> tuple[str, ...]:
    """Each source in one line: title, address, note."""
    return tuple(" ".join(filter(None, (s.title, s.url, s.note))) for s in sources)


def unrolled(
    name: str, repeat: Repeat | None, path: FieldPath
) -> Iterator[tuple[str, dict[str, int]]]:
    """Each name that ``repeat`` makes of ``name``, with the number that is known for it."""
    if repeat is None:
        yield name, {}
        return
    if repeat.to < repeat.from_:
        raise FieldError((*path, "repeat"), f"from {repeat.from_} to {repeat.to} repeats nothing")
    for number in range(repeat.from_, repeat.to + 1):
        yield f"{name}.{number}", {repeat.var: number}


def _number(value: int | str, known: Mapping[str, int], path: FieldPath) -> int:
    try:
        number = expressions.evaluate(value, known)
    except expressions.ExpressionError as error:
        raise FieldError(path, str(error)) from error
    if not 0 <= number <= 0xFFFF:
        raise FieldError(path, f"{number} does not fit a 16-bit word (0 to 65535)")
    return number


# -- points ---------------------------------------------------------------------------------------


def _points(doc: ProfileDoc) -> dict[str, Point]:
    points: dict[str, Point] = {}
    for name, point in doc.points.items():
        path: FieldPath = ("points", name)
        _check_access(point, path)
        for full_name, known in unrolled(name, point.repeat, path):
            period = point.poll.period_ms if point.poll else None
            points[full_name] = Point(
                name=full_name,
                type=point.type,
                access=point.access,
                unit=point.unit,
                read=_read(point, point.read, known, (*path, "read")) if point.read else None,
                write=_write(point, point.write, known, (*path, "write")) if point.write else None,
                poll_group=point.poll.group if point.poll else None,
                poll_period_ms=period,
                stale_after_ms=point.stale_after_ms or 3 * (period or 1000),
                counter=point.counter,
            )
    return points


def _check_access(point: PointDoc, path: FieldPath) -> None:
    for letter, section, given in (("r", "read", point.read), ("w", "write", point.write)):
        if letter in point.access and given is None:
            raise FieldError((*path, "access"), f"is {point.access!r} but there is no {section}")
        if letter not in point.access and given is not None:
            raise FieldError((*path, section), f"is given but access is {point.access!r}")
    if point.poll is not None and point.read is None:
        raise FieldError((*path, "poll"), "cannot poll a point that is not read")


def _read(point: PointDoc, read: Read, known: Mapping[str, int], path: FieldPath) -> ReadSpec:
    address = _number(read.address, known, (*path, "address"))
    if read.table in ("coil", "discrete"):
        if point.type != "bool" or read.format not in (None, "bool") or read.bit is not None:
            raise FieldError(path, f"a {read.table} is one bit: type bool, no format, no bit")
        return ReadSpec(read.table, address, "bool", "high_first", None, 1)
    if point.type == "bool":
        if (read.bit is None) == (read.equals is None):
            raise FieldError(path, "a bool in a register needs the number of its bit, or equals")
        equals = None if read.equals is None else tuple(read.equals)
        unknown = read.error_value
        return ReadSpec(read.table, address, "bool", "high_first", read.bit, 1, equals, unknown)
    if read.bit is not None or read.equals is not None:
        raise FieldError(path, "bit and equals are for a bool")
    if read.format is None or read.format == "bool":
        raise FieldError(path, "a number needs a format: u16, s16, u32, s32 or f32")
    if read.format in ("u32", "s32", "f32") and read.word_order is None:
        raise FieldError(path, f"{read.format} takes two registers, so word_order must be given")
    if read.format == "f32" and point.type == "int":
        raise FieldError((*path, "format"), "f32 is not a whole number; the type must be float")
    order = read.word_order or "high_first"
    unknown = read.error_value
    return ReadSpec(read.table, address, read.format, order, None, read.scale, None, unknown)


def _write(point: PointDoc, write: Write, known: Mapping[str, int], path: FieldPath) -> WriteSpec:
    address = _number(write.address, known, (*path, "address"))
    if write.table == "coil" and point.type != "bool":
        raise FieldError((*path, "table"), "a coil takes a bool, a holding register a number")
    if write.function is not None and write.table == "coil":
        raise FieldError((*path, "function"), "is for holding registers")
    multiple = write.function is not None
    if point.type != "bool":
        if write.values is not None:
            raise FieldError((*path, "values"), "a register takes the number itself")
        return WriteSpec("holding", address, 0, 0, multiple)
    if write.values is None or set(write.values) != {"on", "off"}:
        raise FieldError((*path, "values"), 'must give the words for "on" and "off"')
    return WriteSpec(write.table, address, write.values["on"], write.values["off"], multiple)


def _check_overlap(points: Mapping[str, Point], doc: ProfileDoc) -> None:
    taken: dict[tuple[str, int, int | None], str] = {}
    for point in points.values():
        if point.read is None:
            continue
        for offset in range(point.read.width):
            key = (point.read.table, point.read.address + offset, point.read.bit)
            if key in taken:
                raise FieldError(
                    ("points", point.name.split(".")[0], "read", "address"),
                    f"{point.name} and {taken[key]} both read {key[0]} 0x{key[1]:04X}",
                )
            taken[key] = point.name


def _check_poll_groups(points: Mapping[str, Point], doc: ProfileDoc) -> None:
    groups: dict[str, list[Point]] = defaultdict(list)
    for point in points.values():
        if point.poll_group is not None:
            groups[point.poll_group].append(point)
    for name, members in groups.items():
        path: FieldPath = ("points", members[-1].name.split(".")[0], "poll", "group")
        reads = [member.read for member in members if member.read is not None]
        if len({read.table for read in reads}) > 1:
            raise FieldError(path, f"group {name!r} mixes tables, so one request cannot read it")
        if len({member.poll_period_ms for member in members}) > 1:
            raise FieldError(path, f"group {name!r} has more than one period_ms")
        span = max(r.address + r.width for r in reads) - min(r.address for r in reads)
        limit = MAX_BITS if reads[0].table in ("coil", "discrete") else MAX_REGISTERS
        if span > limit:
            raise FieldError(
                path, f"group {name!r} spans {span} addresses; one request reads {limit}"
            )


# -- actions --------------------------------------------------------------------------------------


def _actions(doc: ProfileDoc, points: Mapping[str, Point]) -> dict[str, Action]:
    actions: dict[str, Action] = {}
    for name, action in doc.actions.items():
        path: FieldPath = ("actions", name)
        for param, limits in action.params.items():
            if not (limits.min <= limits.default <= limits.max):
                raise FieldError((*path, "params", param), "the default lies outside min and max")
        for full_name, known in unrolled(name, action.repeat, path):
            confirm = confirm_of(action.confirm, points, known, (*path, "confirm"))
            actions[full_name] = Action(
                name=full_name,
                params={
                    key: ParamLimits(p.min, p.max, p.step, p.default)
                    for key, p in action.params.items()
                },
                do=_frame(action.do, action, known, (*path, "do")),
                confirm=confirm,
                effect=action.effect,
            )
    return actions


def confirm_of(
    confirm: Confirm | None, points: Mapping[str, Point], known: Mapping[str, int], path: FieldPath
) -> ConfirmSpec | None:
    """The read that confirms an action, its point found among ``points``."""
    if confirm is None:
        return None
    try:
        target = expressions.fill(confirm.point, known)
    except expressions.ExpressionError as error:
        raise FieldError((*path, "point"), str(error)) from error
    point = points.get(target)
    if point is None:
        raise FieldError((*path, "point"), f"there is no point {target!r}")
    if (point.read is None and point.taken is None) or point.type != "bool":
        raise FieldError((*path, "point"), f"{target} cannot be read as on or off")
    return ConfirmSpec(target, confirm.equals, confirm.within_ms)


def _frame(do: Do, action: ActionDoc, known: Mapping[str, int], path: FieldPath) -> FrameSpec:
    if do.raw_fc05 is not None:
        here: FieldPath = (*path, "raw_fc05")
        value = _value(do.raw_fc05.value, action, known, (*here, "value"))
        return FrameSpec("raw_fc05", _number(do.raw_fc05.address, known, (*here, "address")), value)
    if do.write_register is not None:
        here = (*path, "write_register")
        value = _value(do.write_register.value, action, known, (*here, "value"))
        address = _number(do.write_register.address, known, (*here, "address"))
        return FrameSpec("write_register", address, value)
    if do.write_registers is not None:
        here = (*path, "write_registers")
        values = tuple(
            _value(value, action, known, (*here, "values", index))
            for index, value in enumerate(do.write_registers.values)
        )
        address = _number(do.write_registers.address, known, (*here, "address"))
        return FrameSpec("write_registers", address, 0, len(values), values)
    if do.write_coil is not None:
        here = (*path, "write_coil", "address")
        word = 0xFF00 if do.write_coil.value == "on" else 0
        return FrameSpec("write_coil", _number(do.write_coil.address, known, here), word)
    assert do.write_coils is not None  # Do lets exactly one through
    here = (*path, "write_coils", "address")
    bit = 1 if do.write_coils.value == "on" else 0
    address = _number(do.write_coils.address, known, here)
    return FrameSpec("write_coils", address, bit, do.write_coils.count)


def _value(
    value: int | str, action: ActionDoc, known: Mapping[str, int], path: FieldPath
) -> int | str:
    """``value`` with the repeat put in; good at both ends of the action's limits."""
    try:
        bound = expressions.bind(value, known)
        lacking = sorted(expressions.names(bound) - set(action.params))
    except expressions.ExpressionError as error:
        raise FieldError(path, str(error)) from error
    if lacking:
        raise FieldError(path, f"{lacking[0]!r} is neither a param nor the repeat")
    for end in ("min", "max"):
        env = {key: getattr(limits, end) for key, limits in action.params.items()}
        _number(bound, env, path)
    return bound


# -- capabilities, identification, tests ----------------------------------------------------------


def _services(
    doc: ProfileDoc, points: Mapping[str, Point], actions: Mapping[str, Action]
) -> dict[tuple[str, int | None], Service]:
    services: dict[tuple[str, int | None], Service] = {}
    for name, capability in doc.capabilities.items():
        path: FieldPath = ("capabilities", name)
        rule = capabilities.RULES.get(name)
        if rule is None:
            raise FieldError(path, f"is no capability; there are {', '.join(capabilities.RULES)}")
        for channel in channels_of(capability.channels, path):
            known = {} if channel is None else {"ch": channel}
            service = _service(capability, known, path)
            check_service(service, rule, points, actions, path)
            services[(name, channel)] = service
    return services


def channels_of(channels: Channels | None, path: FieldPath) -> list[int | None]:
    """The channels a capability is offered on; [None] where it has none."""
    if channels is None:
        return [None]
    first, last = channels.from_, channels.to
    if last < first:
        raise FieldError((*path, "channels"), f"from {first} to {last} names no channel")
    return list(range(first, last + 1))


def _service(capability: CapabilityDoc, known: Mapping[str, int], path: FieldPath) -> Service:
    def filled(key: str, text: str | None) -> str | None:
        try:
            return None if text is None else expressions.fill(text, known)
        except expressions.ExpressionError as error:
            raise FieldError((*path, key), str(error)) from error

    return Service(
        filled("point", capability.point),
        filled("action", capability.action),
        capability.invert,
        capability.min,
        capability.max,
        choice_of(capability.mode, filled),
        choice_of(capability.fan, filled),
    )


def choice_of(
    doc: AirModes | AirFans | None, filled: Callable[[str, str | None], str | None]
) -> Choice | None:
    """Mode or fan as a file has it, its point's name with the channel put in."""
    if doc is None:
        return None
    values: dict[str, tuple[int | str, ...]] = {w: tuple(said) for w, said in doc.values.items()}
    return Choice(filled("point", doc.point) or "", values)


def check_service(
    service: Service,
    rule: capabilities.CapabilityRule,
    points: Mapping[str, Point],
    actions: Mapping[str, Action],
    path: FieldPath,
) -> None:
    """Raises FieldError where a point or an action does not fit the capability that it serves."""
    if rule.need in ("nothing yet", "event", "clip command"):
        raise FieldError(path, f"a point or an action cannot serve this ({rule.meaning})")
    if service.action is not None:
        action = actions.get(service.action)
        if action is None:
            raise FieldError((*path, "action"), f"there is no action {service.action!r}")
        if rule.need != "pulse action":
            raise FieldError((*path, "action"), f"this capability needs a point ({rule.meaning})")
        if action.effect != "pulse" or set(action.params) != {"duration_ms"}:
            raise FieldError((*path, "action"), "must have effect pulse and one param, duration_ms")
        return
    point = points.get(service.point or "")
    if point is None:
        raise FieldError((*path, "point"), f"there is no point {service.point!r}")
    read = point.read is not None or point.taken is not None
    fits: dict[capabilities.Need, bool] = {
        "pulse action": False,
        "switched bool": point.type == "bool" and point.access == "rw",
        "read bool": point.type == "bool" and read,
        "read number": point.type in ("int", "float") and read and point.unit == rule.unit,
        "set number": point.type == "int" and point.access == "rw" and point.unit == rule.unit,
    }
    if not fits[rule.need]:
        unit = f" in {rule.unit}" if rule.unit else ""
        raise FieldError((*path, "point"), f"{point.name} is no {rule.need}{unit}")
    limits = service.low is not None and service.high is not None and service.low < service.high
    if (rule.need == "set number") != limits:
        raise FieldError((*path, "min"), "a number that is set has min and max, nothing else has")
    for name, choice in (("mode", service.mode), ("fan", service.fan)):
        if choice is not None:
            _check_choice(choice, rule, points, (*path, name))
    if service.invert and point.type != "bool":
        raise FieldError((*path, "invert"), "only a bool can be the other way round")


def _check_choice(
    choice: Choice,
    rule: capabilities.CapabilityRule,
    points: Mapping[str, Point],
    path: FieldPath,
) -> None:
    if rule.need != "set number":
        raise FieldError(path, "belongs to climate.set alone")
    point = points.get(choice.point)
    if point is None:
        raise FieldError((*path, "point"), f"there is no point {choice.point!r}")
    if point.access != "rw" or point.type not in ("int", "text"):
        raise FieldError((*path, "point"), f"{point.name} is no word or number that can be set")
    said = [one for values in choice.values.values() for one in values]
    if any(isinstance(one, str) != (point.type == "text") for one in said):
        raise FieldError((*path, "values"), f"{point.name} holds {point.type}")
    if len(set(said)) != len(said):
        raise FieldError((*path, "values"), "one value stands for two words")


def _check_identify(doc: ProfileDoc) -> None:
    for index, step in enumerate(doc.identify):
        lacking = expressions.names(step.expect.eq if step.expect.eq is not None else 0)
        if lacking - INSTALL_NAMES:
            name = sorted(lacking - INSTALL_NAMES)[0]
            raise FieldError(("identify", index, "expect", "eq"), f"{name!r} is not declared here")


def _check_tests(
    doc: ProfileDoc, points: Mapping[str, Point], actions: Mapping[str, Action]
) -> None:
    for index, test in enumerate(doc.tests):
        call = test.call
        for key, target, known in (
            ("read", call.read, points),
            ("write", call.write, points),
            ("action", call.action, actions),
        ):
            if target is not None and target not in known:
                raise FieldError(("tests", index, "call", key), f"there is no {target!r}")
        if call.identify is not None and not 0 <= call.identify < len(doc.identify):
            raise FieldError(("tests", index, "call", "identify"), "there is no such step")
