"""A temperature that staff hold, and words they have spoken: at virtual boards, over a restart."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from controller import comfort
from firmware_bridge.virtual.rig import Rig, RigFile
from store_link.clock import from_ms
from store_link.messages import AckState, Desired, EventKind, Reason
from store_link.reports import AirReport
from tests.controller.cloud import until
from tests.controller.world import IO, MINUTE, RELAY, TABLE_1, World, stay
from tests.support.nats import NatsBroker

AIR = "haier.ycj-a002"
SPLIT = "onokom.air-gr-1-mb-b"
SPEAKER = "dy.sv17f"
BOARDS = {
    "rs485-1": ("relay", RELAY),
    "rs485-2": ("io", IO),
    "air-1": ("air", AIR),
    "air-2": ("split", SPLIT),
    "voice-1": ("voice", SPEAKER),
}


class ComfortWorld(World):
    def __init__(self, directory: Path, host: str, port: int) -> None:
        super().__init__(directory, host, port)
        lines = {line: {"boards": [{"id": b, "profile": p}]} for line, (b, p) in BOARDS.items()}
        self.rig = Rig(RigFile.model_validate({"lines": lines}), links=directory / "dev")

    def document(self, *stays: dict[str, Any], **changes: Any) -> Desired:
        plain = super().document(*stays, **changes).model_dump()
        for board, profile, port in (
            ("air", AIR, "air-1"),
            ("split", SPLIT, "air-2"),
            ("voice", SPEAKER, "voice-1"),
        ):
            plain["boards"] += ({"id": board, "profile": profile, "port": port},)
        for key, board, capability, role in (
            ("air1", "air", "climate.set", "ac"),
            ("split1", "split", "climate.set", "ac"),
            ("say1", "voice", "speaker.say", "speaker"),
        ):
            binding = {"id": key, "board": board, "capability": capability, "role": role}
            plain["bindings"] += ({**binding, "rooms": ["r1"]},)
        return Desired.model_validate(plain)

    def aimed_at(self) -> int:
        return self.rig.register("air", 0)

    def split(self) -> tuple[int, int, int]:
        """Mode, °C and fan as the registers of the second one hold them."""
        held = (self.rig.register("split", address) for address in (1, 5, 7))
        mode, hundredths, fan = held
        return mode, hundredths // 100, fan

    async def splits(self, mode: int, degrees: int, fan: int) -> None:
        await until(lambda: self.split() == (mode, degrees, fan), 30, f"{mode} {degrees} {fan}")

    async def aims_at(self, degrees: int) -> None:
        await until(lambda: self.aimed_at() == degrees, 30, f"{degrees} degrees")


@pytest.fixture
async def world(tmp_path: Path, nats_broker: NatsBroker) -> AsyncIterator[ComfortWorld]:
    world = ComfortWorld(tmp_path, nats_broker.host, nats_broker.mqtt_port)
    await world.open()
    await world.run()
    await world.want()
    await world.boards_up()
    try:
        yield world
    finally:
        await world.close()


async def test_a_temperature_is_held_to_its_time_and_what_was_before_comes_back(
    world: ComfortWorld,
) -> None:
    """Twice in a row, and the program ends between: what comes back is what stood at the beginning."""
    assert world.aimed_at() == 24
    first = await world.cloud.ask("climate", "air1", args={"setpoint": 26, "for_s": 1800})
    assert first.state is AckState.DONE
    assert first.evidence["confirm"]["read"] == 26
    second = await world.cloud.ask("climate", "air1", args={"setpoint": 20, "for_s": 600})
    assert second.state is AckState.DONE
    assert world.aimed_at() == 20
    await until(lambda: [c.setpoint for c in world.cloud.report.climates] == [20])
    await world.stop()
    world.pass_time(11)
    await world.run()
    await world.aims_at(24)
    await until(lambda: world.cloud.report.climates == ())
    await until(lambda: len(world.cloud.of(EventKind.CLIMATE)) == 3)
    told = [
        (body["setpoint"], body["why"].split(":")[0]) for body in world.cloud.of(EventKind.CLIMATE)
    ]
    assert told == [(26, "override"), (20, "override"), (24, "over")]


async def test_ended_early_and_never_against_a_hand_in_the_room(world: ComfortWorld) -> None:
    await world.cloud.ask("climate", "air1", args={"setpoint": 27, "for_s": 1800})
    assert (await world.cloud.ask("clear", "air1", args={})).state is AckState.DONE
    assert world.aimed_at() == 24
    await world.cloud.ask("climate", "air1", args={"setpoint": 27, "for_s": 60})
    world.rig.measure("air", "setpoint", 22)  # somebody takes the remote
    world.pass_time(2)
    await until(lambda: world.cloud.report.climates == (), 30)
    assert world.aimed_at() == 22


async def test_mode_and_fan_are_held_part_by_part_and_come_back(world: ComfortWorld) -> None:
    """COOL 24 auto; a guest dries, then blows hard; somebody turns the remote to 20; the time is over."""
    assert world.split() == (2, 24, 0)
    dry = await world.cloud.ask("climate", "split1", args={"mode": "dry", "for_s": 1800})
    assert dry.state is AckState.DONE, dry
    full = {"fan": "high", "setpoint": 26, "for_s": 600}
    assert (await world.cloud.ask("climate", "split1", args=full)).state is AckState.DONE
    assert world.split() == (4, 26, 5)

    def told() -> AirReport:
        return next(air for air in world.cloud.report.airs if air.binding == "split1")

    await until(lambda: (told().mode, told().fan, told().until is None) == ("dry", "high", False))
    assert told().modes == ("cool", "heat", "dry", "fan", "auto")
    assert told().fans == ("auto", "low", "mid", "high")
    plain = next(air for air in world.cloud.report.airs if air.binding == "air1")
    assert (plain.mode, plain.modes, plain.fans) == (None, (), ())  # its profile knows no words
    world.rig.measure("split", "setpoint", 20)
    await world.stop()
    world.pass_time(11)
    await world.run()
    await world.splits(2, 20, 0)
    await until(lambda: told().until is None)
    events = [body for body in world.cloud.of(EventKind.CLIMATE) if body["binding"] == "split1"]
    assert [(e["setpoint"], e["mode"], e["fan"]) for e in events] == [
        (24, "dry", None),
        (26, None, "high"),
        (20, "cool", "auto"),
    ]
    # What a device does not take is refused before a byte is sent; what says nothing is no command.
    none = await world.cloud.ask("climate", "air1", args={"mode": "dry", "for_s": 60})
    assert (none.state, "takes none" in none.evidence["detail"]) == (AckState.FAILED, True)
    for args in ({"for_s": 60}, {"mode": "freeze", "for_s": 60}, {"setpoint": 24}):
        bad = await world.cloud.ask("climate", "split1", args=args)
        assert bad.reason is Reason.BAD_MESSAGE, args


class Stuck(dict[int, int]):
    """Registers of a unit whose fan speed cannot be changed: it answers, and stays as it is."""

    def update(self, words: Any) -> None:
        super().update((address, word) for address, word in words if address != 7)


async def test_what_a_unit_will_not_take_is_not_told_it_for_ever(
    world: ComfortWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mode is taken and the fan is not: the mode is held and goes back; a season is tried a few times,
    not every five seconds of an evening, each time with an event.
    """
    monkeypatch.setattr(comfort, "AGAIN_S", 0.1)
    device = world.rig.lines["air-2"].boards["split"]
    device._registers["holding"] = Stuck(device._registers["holding"])
    both = {"mode": "dry", "fan": "high", "for_s": 600}
    failed = await world.cloud.ask("climate", "split1", args=both)
    assert (failed.state, failed.reason) == (AckState.FAILED, Reason.DEVICE_ERROR)
    assert "fan" in failed.evidence["detail"]
    assert world.split() == (4, 24, 0)
    world.pass_time(11)
    await world.splits(2, 24, 0)
    await until(lambda: all(air.until is None for air in world.cloud.report.airs))
    now = world.now()
    scenes = {**world.document().scenes.model_dump(), "air": ({"mode": "heat", "fan": "high"},)}
    await world.want(stay("s1", "r1", now - MINUTE, now + 20 * MINUTE), scenes=scenes)
    assert (await world.cloud.ask("unlock", "d1", args={"grant": "g-s1"})).state is AckState.DONE
    assert world.controller is not None
    aired = world.controller.state.aired
    await until(lambda: "split1" in aired, 30)

    def told() -> list[str]:
        events = world.cloud.of(EventKind.CLIMATE)
        return [e["outcome"] for e in events if (e["why"], e["binding"]) == ("stay:s1", "split1")]

    await until(lambda: len(told()) >= comfort.MOST_TRIES)
    assert told() == ["failed"] * comfort.MOST_TRIES


async def test_a_scene_sets_the_air_once_and_the_guest_chooses_after_it(
    world: ComfortWorld,
) -> None:
    """By the season, for each stay anew; not again after a restart; airing while it is cleaned."""
    today = from_ms(world.now()).astimezone(ZoneInfo("Asia/Shanghai")).strftime("%m-%d")
    air = (
        {"mode": "heat", "begins": "02-30", "ends": "02-30"},
        {"mode": "cool", "setpoint": 25, "fan": "low", "begins": today, "ends": today},
        {"phase": "cleaning", "mode": "fan", "fan": "high"},
    )
    scenes = {**world.document().scenes.model_dump(), "air": air}
    now = world.now()
    first = stay("s1", "r1", now - MINUTE, now + 20 * MINUTE)
    await world.want(first, scenes=scenes)
    assert world.split() == (2, 24, 0)  # nobody is there yet
    assert (await world.cloud.ask("unlock", "d1", args={"grant": "g-s1"})).state is AckState.DONE
    await world.splits(2, 25, 1)
    await world.aims_at(25)  # of this one the temperature is all that it takes
    controller = world.controller
    assert controller is not None
    aired = controller.state.aired
    await until(lambda: {"split1", "air1"} <= aired.keys())
    world.rig.measure("split", "mode", 4)  # the guest has another mind
    world.rig.measure("air", "setpoint", 30)
    await world.stop()
    controller = await world.run()
    await world.boards_up()
    await until(lambda: controller.reconciler.turned > 3)
    assert (world.split(), world.aimed_at()) == ((4, 25, 1), 30)
    # The stay is over, the room is aired, and the next guest finds it as the season wants it.
    await world.cloud.ask("finish", "s1", args={})
    world.pass_time(6)
    await world.coil_is(TABLE_1, False)
    rooms = [{**room.model_dump(), "mode": "cleaning"} for room in world.document().rooms]
    await world.want(first, scenes=scenes, rooms=rooms)
    await world.splits(5, 25, 5)
    now = world.now()
    second = stay("s2", "r1", now - MINUTE, now + 20 * MINUTE)
    await world.want(first, second, scenes=scenes)
    assert (await world.cloud.ask("unlock", "d1", args={"grant": "g-s2"})).state is AckState.DONE
    await world.splits(2, 25, 1)
    assert {body["why"] for body in world.cloud.of(EventKind.CLIMATE)} == {
        "stay:s1",
        "mode:cleaning",
        "stay:s2",
    }


async def test_what_cannot_be_done_is_said_so(world: ComfortWorld) -> None:
    hot = await world.cloud.ask("climate", "air1", args={"setpoint": 35, "for_s": 60})
    assert (hot.state, hot.reason) == (AckState.FAILED, Reason.DEVICE_ERROR)
    assert "16 to 30" in hot.evidence["detail"]
    assert world.cloud.report.climates == ()
    for action, target, args in (
        ("climate", "table1", {"setpoint": 24, "for_s": 60}),
        ("say", "air1", {"clip": "welcome"}),
        ("climate", "nothing", {"setpoint": 24, "for_s": 60}),
    ):
        ack = await world.cloud.ask(action, target, args=args)
        assert (ack.state, ack.reason) == (AckState.REFUSED, Reason.UNKNOWN_TARGET)
    bad = await world.cloud.ask("climate", "air1", args={"setpoint": "hot", "for_s": 60})
    assert bad.reason is Reason.BAD_MESSAGE
    world.rig.set_fault("air", {"dead": True})
    dead = await world.cloud.ask("climate", "air1", args={"setpoint": 26, "for_s": 60})
    assert dead.state in (AckState.FAILED, AckState.UNKNOWN)


async def test_a_clip_is_played_once(world: ComfortWorld) -> None:
    assert (await world.cloud.ask("say", "say1", args={"clip": "welcome"})).state is AckState.DONE
    assert world.rig.board_state("voice")["played"] == [1]
    unknown = await world.cloud.ask("say", "say1", args={"clip": "anthem"})
    assert unknown.state is AckState.FAILED
    assert "ends_in_15" in unknown.evidence["detail"]
    assert world.rig.board_state("voice")["played"] == [1]
