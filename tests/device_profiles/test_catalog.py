"""What must hold for every profile of the catalog; each failure names the profile."""

from __future__ import annotations

from pathlib import Path

import pytest

from device_profiles import Catalog, Profile, ProfileError, load_profile
from device_profiles.capabilities import RULES
from device_profiles.listing import listing
from device_profiles.loader import CATALOG
from device_profiles.proof_schema import Golden
from firmware_bridge.contract import Capability
from firmware_bridge.protocols.modbus_rtu import DeviceException
from firmware_bridge.virtual import VirtualBoard
from tests.device_profiles.golden import board_of, hear, request_of, value_of, virtual_of

HERE = Path(__file__).parent
# The catalog, and a board that is made up so that every format, table and frame of the schema is used.
PROFILES = [
    *(p for p in Catalog.built_in().profiles.values() if p.transport.type.startswith("modbus")),
    load_profile(HERE / "made" / "example.meter.yaml"),
]
GOLDEN = [
    pytest.param(profile, test, id=f"{profile.id}: {test.name}")
    for profile in PROFILES
    for test in profile.tests
]
each_profile = pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.id)


@pytest.mark.parametrize(("profile", "test"), GOLDEN)
def test_golden_frames_as_the_master_speaks_them(profile: Profile, test: Golden) -> None:
    board = board_of(profile, test.unit_id)
    request = request_of(board, test)
    assert request.frame.hex(" ") == test.tx.hex(" ")
    heard = hear(request, test)
    assert heard.error == test.error
    if heard.data is not None and test.value is not None:
        assert value_of(board, test, heard.data) == test.value
    if heard.data is not None and test.call.identify is not None:
        step = profile.identify[test.call.identify]
        assert board.mismatch(step, heard.data) is None


@pytest.mark.parametrize(("profile", "test"), GOLDEN)
def test_golden_frames_as_the_virtual_board_speaks_them(profile: Profile, test: Golden) -> None:
    reply = virtual_of(profile, test).answer(test.tx)
    assert reply is not None
    if test.error is None:
        wanted = test.rx or b"".join(test.rx_chunks or [])
        assert reply.hex(" ") == wanted.hex(" ")


@each_profile
def test_each_profile_is_the_board_it_says_it_is(profile: Profile) -> None:
    """With its default parameters, against its own virtual board: identified, every point read."""
    board = board_of(profile, profile.modbus.unit_id)
    virtual = VirtualBoard("virtual", profile, profile.modbus.unit_id)
    for step, request in board.identify():
        reply = virtual.answer(request.frame)
        assert reply is not None
        data = request.answer(reply)
        assert data is not None
        assert board.mismatch(step, data) is None
    read: dict[str, object] = {}
    for group in board.groups:
        reply = virtual.answer(group.request.frame)
        assert reply is not None, group.name
        data = group.request.answer(reply)
        assert data is not None, group.name
        read |= group.values(data)
    assert set(read) == {point.name for point in profile.points.values() if point.read}


@each_profile
def test_each_level_can_be_set_and_read_back(profile: Profile) -> None:
    board = board_of(profile, 7)
    virtual = VirtualBoard("virtual", profile, 7)
    for point in profile.points.values():
        if point.access != "rw":
            continue
        values = (True, False) if point.type == "bool" else (21,)
        for value in values:
            request = board.level(point.name, value)
            reply = virtual.answer(request.frame)
            assert reply is not None
            assert request.answer(reply) == b"", point.name
            group = board.group(point.name)
            back = virtual.answer(group.request.frame)
            assert back is not None
            data = group.request.answer(back)
            assert data is not None
            assert group.values(data)[point.name] == value, point.name


@each_profile
def test_each_action_is_accepted_at_both_ends_of_its_limits(profile: Profile) -> None:
    board = board_of(profile, 3)
    for action in profile.actions.values():
        for bound in ("min", "max", "default"):
            params = {name: getattr(limits, bound) for name, limits in action.params.items()}
            request = board.act(action.name, params)
            reply = VirtualBoard("virtual", profile, 3).answer(request.frame)
            assert reply is not None
            assert request.answer(reply) == b"", f"{action.name} {params}"


@each_profile
def test_each_profile_has_frames_both_ways_and_faults(profile: Profile) -> None:
    """A board is trusted only if what goes wrong on a line was written down for it as well."""
    errors = {test.error for test in profile.tests}
    assert {None, "bad_frame", "no_answer"} <= errors
    assert any(test.rx_chunks for test in profile.tests), "no split reply"
    kinds = {
        kind
        for test in profile.tests
        for kind in ("read", "write", "action")
        if getattr(test.call, kind)
    }
    if profile.actions:
        assert kinds == {"read", "write", "action"}


def test_the_wrong_model_is_told_from_the_right_one() -> None:
    """Negative control for a range: a V1 relay board must not pass."""
    board = board_of(Catalog.built_in()["waveshare.modbus-rtu-relay-8ch"], 1)
    step, _ = board.identify()[1]
    assert board.mismatch(step, bytes.fromhex("00C8")) is None
    assert board.mismatch(step, bytes.fromhex("0064")) == (
        "the firmware version register (0x8000) holds 100, not at least 200: the board speaks"
        " protocol V1, which is not Modbus; have its firmware upgraded"
    )


@pytest.mark.parametrize(
    "profile",
    [p for p in PROFILES if p.identify[0].expect.eq == "{unit_id}"],
    ids=lambda p: p.id,
)
def test_another_unit_is_another_board(profile: Profile) -> None:
    """Negative control: identification must fail when another unit's register is read."""
    virtual = VirtualBoard("virtual", profile, 9)
    virtual.set_register("holding", profile.identify[0].address, 8)
    board = board_of(profile, 9)
    step, request = board.identify()[0]
    reply = virtual.answer(request.frame)
    assert reply is not None
    data = request.answer(reply)
    assert data is not None
    assert board.mismatch(step, data) == (
        f"the {step.what} (0x{step.address:04X}) holds 8, not 9: {step.otherwise}"
    )


@each_profile
def test_a_function_the_board_does_not_have_is_refused(profile: Profile) -> None:
    board = board_of(profile, 1)
    virtual = VirtualBoard("virtual", profile, 1)
    request = board.groups[0].request
    beyond = type(request)(1, bytes([request.function]) + b"\x7f\xff\x00\x08")
    reply = virtual.answer(beyond.frame)
    assert reply is not None
    with pytest.raises(DeviceException, match="exception 2"):
        beyond.answer(reply)


def test_what_a_board_does_not_know_is_no_value() -> None:
    """``error_value`` and a float that is none are left out of a reply, so that they read as faults."""
    board = board_of(load_profile(HERE / "made" / "example.meter.yaml"), 5)
    outside, live = board.group("outside"), board.group("voltage")
    assert outside.values(bytes.fromhex("7FFF")) == {}
    assert outside.values(bytes.fromhex("FFD3")) == {"outside": -4.5}
    nothing = live.values(bytes.fromhex("7FC00000 FB2EFFFF 00011170 0008"))
    assert "voltage" not in nothing
    assert nothing["power"] == -123.4


def test_capabilities_are_those_of_the_contract() -> None:
    assert set(RULES) == {capability.value for capability in Capability}


def test_every_file_of_the_catalog_is_in_it() -> None:
    files = {file.stem for file in CATALOG.glob("*.yaml")}
    assert files == set(Catalog.built_in().profiles)
    assert {"waveshare.modbus-rtu-relay-8ch", "waveshare.modbus-rtu-io-8ch"} <= files


def test_all_points_and_actions_are_as_listed() -> None:
    """A change of a board's addresses must be seen in review. ``kaimen-bridge profiles listing``."""
    assert listing(Catalog.built_in().profiles.values()) == (HERE / "listing.txt").read_text()


def test_an_unknown_profile_names_those_there_are() -> None:
    with pytest.raises(ProfileError) as caught:
        _ = Catalog.built_in()["acme.relay"]
    assert str(caught.value) == (
        "there is no profile 'acme.relay'; there are " + ", ".join(Catalog.built_in().profiles)
    )


def test_one_id_is_one_profile() -> None:
    profile = PROFILES[0]
    with pytest.raises(ProfileError) as caught:
        Catalog([profile, profile])
    assert str(caught.value) == f"{profile.id}: two profiles have this id"


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"unit_id": 0}, "unit_id must be a whole number from 1 to 247, not 0"),
        ({"unit_id": True}, "unit_id must be a whole number from 1 to 247, not True"),
        ({"unit": 1}, "parameter 'unit' is unknown; there are unit_id and baud"),
        ({"baud": 300}, "baud must be one of 4800, 9600, 19200, 38400, 57600, 115200, not 300"),
    ],
)
def test_bad_parameters_are_named(
    params: dict[str, int | float | str | bool], message: str
) -> None:
    profile = Catalog.built_in()["waveshare.modbus-rtu-relay-8ch"]
    with pytest.raises(ProfileError) as caught:
        profile.settings(params)
    assert str(caught.value) == f"waveshare.modbus-rtu-relay-8ch: {message}"
