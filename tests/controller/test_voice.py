"""The room is told 30, 15 and 5 minutes before the end, once each, on a virtual voice module."""

from __future__ import annotations

import asyncio
from pathlib import Path

from firmware_bridge.virtual.rig import Rig, RigFile
from store_link.messages import AckState, Desired
from tests.controller.cloud import until
from tests.controller.world import IO, MINUTE, RELAY, World, stay
from tests.support.nats import NatsBroker

SPEAKER = "dy.sv17f"
BOARDS = {"rs485-1": ("relay", RELAY), "rs485-2": ("io", IO), "voice-1": ("voice", SPEAKER)}


def with_speaker(desired: Desired) -> Desired:
    plain = desired.model_dump()
    plain["boards"] += ({"id": "voice", "profile": SPEAKER, "port": "voice-1"},)
    speaker = {"id": "say1", "board": "voice", "capability": "speaker.say", "role": "speaker"}
    plain["bindings"] += ({**speaker, "rooms": ["r1"]},)
    return Desired.model_validate(plain)


async def test_the_room_hears_how_long_there_is_left(
    tmp_path: Path, nats_broker: NatsBroker
) -> None:
    world = World(tmp_path, nats_broker.host, nats_broker.mqtt_port)
    lines = {line: {"boards": [{"id": b, "profile": p}]} for line, (b, p) in BOARDS.items()}
    world.rig = Rig(RigFile.model_validate({"lines": lines}), links=tmp_path / "dev")
    await world.open()

    def played() -> list[int]:
        found: list[int] = world.rig.board_state("voice")["played"]
        return found

    try:
        await world.run()
        now = world.now()
        paid = stay("s1", "r1", now - MINUTE, now + 40 * MINUTE)
        other = stay("s2", "r2", now - MINUTE, now + 40 * MINUTE)
        await world.cloud.want(with_speaker(world.document(paid, other)))
        await until(lambda: world.cloud.reported and len(world.cloud.report.boards) == 3)
        await world.boards_up()
        assert (await world.cloud.unlock("d1", "g-s1")).state is AckState.DONE
        assert (await world.cloud.unlock("d2", "g-s2")).state is AckState.DONE
        await asyncio.sleep(1.2)
        assert played() == []
        world.pass_time(10.02)
        await until(lambda: played() == [2])
        world.pass_time(15)
        await until(lambda: played() == [2, 3])
        await asyncio.sleep(1.2)
        assert played() == [2, 3]  # once, and the other room has no speaker
        longer = {**paid, "ends": paid["ends"] + 20 * MINUTE}
        await world.cloud.want(with_speaker(world.document(longer, other)))
        await until(lambda: world.cloud.report.rev == world.rev)
        world.pass_time(20)  # extended by twenty minutes: fifteen are left again
        await until(lambda: played() == [2, 3, 3])
        world.pass_time(10)
        await until(lambda: played() == [2, 3, 3, 4])
        world.pass_time(4)  # an announcement whose time has gone by is not made up for
        await asyncio.sleep(1.2)
        assert played() == [2, 3, 3, 4]
    finally:
        await world.close()
