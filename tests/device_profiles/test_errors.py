"""A profile that is wrong is refused with one sentence: file, line, field, what is wrong.

Each case takes the good profile ``made/example.relay.yaml`` and spoils one place.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from device_profiles import ProfileError, load_profile

GOOD = (Path(__file__).parent / "made" / "example.relay.yaml").read_text()

READ = 'read: {table: coil, address: "{ch - 1}"}'
WRITE = 'write: {table: coil, address: "{ch - 1}", values: {"on": 0xFF00, "off": 0}}'
LEVEL = "read: {table: input, address: 8, format: f32, word_order: high_first}"
DO = 'do: {raw_fc05: {address: "{512 + ch - 1}", value: "{duration_ms // 100}"}}'
LOCK = 'lock.pulse: {channels: {from: 1, to: 2}, action: "pulse.{ch}"}'
SWITCH = 'switch.set: {channels: {from: 1, to: 2}, point: "relay.{ch}"}'
NO_ON = 'must give the words for "on" and "off"'

CASES = [
    # YAML's own traps
    ('{"on": 0xFF00', "{on: 0xFF00", '21: points.relay.write.values.on: unquoted on is a boolean in YAML; write "on" or true/false'),
    ('on_power_up: "off"', "on_power_up: off", '37: safety.on_power_up: unquoted off is a boolean in YAML; write "off" or true/false'),
    ("revision: 1", "revision: 01", "3: revision: 01 is octal in YAML; write it without the leading 0"),
    ("kind: relay_board", "id: example.again\nkind: relay_board", "4: id: is given twice"),
    ("kind: relay_board", "kind: [relay_board", "5: not YAML: expected ',' or ']', but got ':'"),
    (GOOD, "- a\n", "1: a profile is a mapping of keys"),
    # shape
    ("vendor: Example", "vender: Example", "1: vendor: is missing"),
    ("vendor: Example", "vendor: Example\nmaker: x", "6: maker: is not a key that is known here"),
    ("kind: relay_board", "kind: toaster", "4: kind: should be 'relay_board', 'io_board', 'lock', 'lock_board', 'meter', 'climate_gateway', 'ir_sender', 'presence_sensor', 'hazard_sensor', 'switched_outlet', 'code_scanner', 'card_reader', 'keypad' or 'speaker', not 'toaster'"),
    ("verified: doc", "verified: sure", "9: verified: should be 'doc', 'bench' or 'field', not 'sure'"),
    ("egress: hardware}", "egress: software}", "37: safety.egress: should be 'hardware', not 'software'"),
    (", egress: hardware}", "}", "37: safety.egress: is missing"),
    ("serial: {baud: 9600}", "serial: {baud: fast}", "12: transport.serial.baud: should be a valid integer, not 'fast'"),
    ("type: modbus_rtu", "type: carrier_pigeon", "11: transport.type: must be one of modbus_rtu, modbus_tcp, serial_lines, serial_frames, mqtt_local, http_local, not 'carrier_pigeon'"),
    (READ, 'read: {table: coil}', "20: points.relay.read.address: is missing"),
    (READ, 'read: {table: coil, address: "ch - 1"}', "20: points.relay.read.address: must be a whole number or an expression such as '{ch - 1}', not 'ch - 1'"),
    ('tx: "01 05 00 00 FF', 'tx: "01 05 00 0 FF', "43: tests[0].tx: must be hex bytes such as '01 05 00 00', not '01 05 00 0 FF 00 8C 3A'"),
    ('rx: "01 05 00 00 FF 00 8C 3A"', "value: true", "41: tests[0]: without rx the error must be no_answer"),
    ("call: {write: relay.1, value: true}", "call: {write: relay.1}", "42: tests[0].call: value belongs to write, and write needs it"),
    ('expect: {eq: "{unit_id}"}', "expect: {}", "14: identify[0].expect: give either eq, or min and/or max"),
    # arithmetic
    (READ, 'read: {table: coil, address: "{ch ** 2}"}', "20: points.relay.read.address: 'ch ** 2' may hold only whole numbers, names and + - * //"),
    (READ, 'read: {table: coil, address: "{exit()}"}', "20: points.relay.read.address: 'exit()' may hold only whole numbers, names and + - * //"),
    (READ, 'read: {table: coil, address: "{n - 1}"}', "20: points.relay.read.address: 'n' is not declared here"),
    (READ, 'read: {table: coil, address: "{ch // 0}"}', "20: points.relay.read.address: division by nought"),
    (READ, 'read: {table: coil, address: "{ch - 2}"}', "20: points.relay.read.address: -1 does not fit a 16-bit word (0 to 65535)"),
    ('eq: "{unit_id}"', 'eq: "{unit}"', "14: identify[0].expect.eq: 'unit' is not declared here"),
    (DO, DO.replace("duration_ms //", "length //"), "31: actions.pulse.do.raw_fc05.value: 'length' is neither a param nor the repeat"),
    (DO, DO.replace("// 100", "* 100"), "31: actions.pulse.do.raw_fc05.value: 90000 does not fit a 16-bit word (0 to 65535)"),
    # rules over several fields
    ("repeat: {var: ch, from: 1, to: 2}\n    type", "repeat: {var: ch, from: 3, to: 2}\n    type", "17: points.relay.repeat: from 3 to 2 repeats nothing"),
    (READ, 'read: {table: coil, address: 4}', "20: points.relay.read.address: relay.2 and relay.1 both read coil 0x0004"),
    (f"    {READ}\n", "", "19: points.relay.access: is 'rw' but there is no read"),
    ("access: rw", "access: r", "21: points.relay.write: is given but access is 'r'"),
    (WRITE, 'write: {table: coil, address: 0, values: {"on": 1}}', f"21: points.relay.write.values: {NO_ON}"),
    (WRITE, "write: {table: holding, address: 0}", f"21: points.relay.write.values: {NO_ON}"),
    (READ, "read: {table: input, address: 0}", "20: points.relay.read: a bool in a register needs the number of its bit, or equals"),
    (LEVEL, "read: {table: coil, address: 8}", "26: points.level.read: a coil is one bit: type bool, no format, no bit"),
    (LEVEL, "read: {table: input, address: 8}", "26: points.level.read: a number needs a format: u16, s16, u32, s32 or f32"),
    (LEVEL, "read: {table: input, address: 8, format: f32}", "26: points.level.read: f32 takes two registers, so word_order must be given"),
    ("type: float", "type: int", "26: points.level.read.format: f32 is not a whole number; the type must be float"),
    (LEVEL, LEVEL + "\n    poll: {period_ms: 1000, group: relays}", "27: points.level.poll.group: group 'relays' mixes tables, so one request cannot read it"),
    ("default: 500}", "default: 50}", "30: actions.pulse.params.duration_ms: the default lies outside min and max"),
    ('point: "relay.{ch}", equals', 'point: "coil.{ch}", equals', "32: actions.pulse.confirm.point: there is no point 'coil.1'"),
    ('point: "relay.{ch}", equals', "point: level, equals", "32: actions.pulse.confirm.point: level cannot be read as on or off"),
    (DO, "do: {}", "31: actions.pulse.do: an action sends exactly one of raw_fc05, write_coil, write_coils, write_register, write_registers"),
    # capabilities
    (SWITCH, "door.open: {point: relay.1}", "36: capabilities.door.open: is no capability; there are lock.pulse, lock.state, door.contact, switch.set, power.w, energy.wh, climate.set, input.code, input.card, speaker.say, light.scene, presence, hazard"),
    (SWITCH, SWITCH.replace("to: 2", "to: 3"), "36: capabilities.switch.set.point: there is no point 'relay.3'"),
    (SWITCH, "switch.set: {point: level}", "36: capabilities.switch.set.point: level is no switched bool"),
    (SWITCH, "power.w: {point: level}", "36: capabilities.power.w.point: level is no read number in W"),
    (SWITCH, "speaker.say: {point: relay.1}", "36: capabilities.speaker.say: a point or an action cannot serve this (play a clip of the closed list)"),
    (SWITCH, "switch.set: {action: pulse.1}", "36: capabilities.switch.set.action: this capability needs a point (true: the circuit is on)"),
    (LOCK, "lock.pulse: {point: relay.1}", "35: capabilities.lock.pulse.point: relay.1 is no pulse action"),
    ("effect: pulse", "effect: level", "35: capabilities.lock.pulse.action: must have effect pulse and one param, duration_ms"),
    (SWITCH, "switch.set: {point: relay.1, action: pulse.1}", "36: capabilities.switch.set: give either a point or an action"),
    # tests and names
    ("call: {write: relay.1, value: true}", "call: {write: relay.9, value: true}", "42: tests[0].call.write: there is no 'relay.9'"),
    ("id: example.relay", "id: example.other", "2: id: example.other must stand in a file named example.other.yaml"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "message"), CASES, ids=[case[2][:60] for case in CASES])
def test_what_is_wrong_is_said_with_its_place(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    assert GOOD.count(old) == 1, "the case must spoil exactly one place"
    folder = tmp_path / "catalog"
    folder.mkdir()
    file = folder / "example.relay.yaml"
    file.write_text(GOOD.replace(old, new))
    with pytest.raises(ProfileError) as caught:
        load_profile(file)
    assert str(caught.value) == f"catalog/example.relay.yaml:{message}"


def test_the_unspoilt_profile_is_good() -> None:
    """Negative control: it is the spoiling that is refused."""
    profile = load_profile(Path(__file__).parent / "made" / "example.relay.yaml")
    assert profile.channels("lock.pulse") == (1, 2)
    assert profile.channels("hazard") == ()
