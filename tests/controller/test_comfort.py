"""A temperature that staff hold, and words they have spoken: at virtual boards, over a restart."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from firmware_bridge.virtual.rig import Rig, RigFile
from store_link.messages import AckState, Desired, EventKind, Reason
from tests.controller.cloud import until
from tests.controller.world import IO, RELAY, World
from tests.support.nats import NatsBroker

AIR = "haier.ycj-a002"
SPEAKER = "dy.sv17f"
BOARDS = {
    "rs485-1": ("relay", RELAY),
    "rs485-2": ("io", IO),
    "air-1": ("air", AIR),
    "voice-1": ("voice", SPEAKER),
}


class ComfortWorld(World):
    def __init__(self, directory: Path, host: str, port: int) -> None:
        super().__init__(directory, host, port)
        lines = {line: {"boards": [{"id": b, "profile": p}]} for line, (b, p) in BOARDS.items()}
        self.rig = Rig(RigFile.model_validate({"lines": lines}), links=directory / "dev")

    def document(self, *stays: dict[str, Any], **changes: Any) -> Desired:
        plain = super().document(*stays, **changes).model_dump()
        for board, profile, port in (("air", AIR, "air-1"), ("voice", SPEAKER, "voice-1")):
            plain["boards"] += ({"id": board, "profile": profile, "port": port},)
        for key, board, capability, role in (
            ("air1", "air", "climate.set", "ac"),
            ("say1", "voice", "speaker.say", "speaker"),
        ):
            binding = {"id": key, "board": board, "capability": capability, "role": role}
            plain["bindings"] += ({**binding, "rooms": ["r1"]},)
        return Desired.model_validate(plain)

    def aimed_at(self) -> int:
        return self.rig.register("air", 0)

    async def aims_at(self, degrees: int) -> None:
        await until(lambda: self.aimed_at() == degrees, 15, f"{degrees} degrees")


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
    await until(lambda: world.cloud.report.climates == (), 15)
    assert world.aimed_at() == 22


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
