"""I4: a command acts at most once and never after it expires. Counted at the lock's coil.

Each way to misuse a command is tried twice: against the store as it is (no pulse more), and against
one whose guard for that very thing is taken out (a pulse more), which shows that the count can fail.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from controller import commands
from controller.commands import Commands
from controller.freshness import Freshness
from controller.journal.tx import Tx
from store_link import topics
from store_link.codec import encode
from store_link.messages import AckState, Command, EventKind, Reason
from store_link.signing import Purpose, SigningKey, seal
from tests.controller.cloud import until
from tests.controller.conftest import world  # noqa: F401
from tests.controller.world import LOCK_1, MINUTE, World, stay

Misuse = Callable[[World], Awaitable[Command]]


async def ready(world: World) -> None:  # noqa: F811
    """A store whose door would open for ``g-s1``."""
    await world.run()
    now = world.now()
    await world.want(stay("s1", "r1", now - MINUTE, now + 60 * MINUTE))
    await world.boards_up()


def unlock(world: World, **changes: Any) -> Command:  # noqa: F811
    return world.cloud.command("unlock", "d1", args={"grant": "g-s1"}, **changes)


async def expired(world: World) -> Command:  # noqa: F811
    now = round(time.time() * 1000)
    return await world.cloud.send(unlock(world, iat=now - 20_000, exp=now - 1))


async def other_connection(world: World) -> Command:  # noqa: F811
    return await world.cloud.send(unlock(world, nonce="of-an-old-connection"))


async def wrong_signature(world: World) -> Command:  # noqa: F811
    return await world.cloud.send(unlock(world), SigningKey.generate("c1", "command"))


async def unknown_key(world: World) -> Command:  # noqa: F811
    return await world.cloud.send(unlock(world), SigningKey.generate("c9", "command"))


async def retained(world: World) -> Command:  # noqa: F811
    """Left in the broker before the store connects, as a careless tool does it."""
    await world.stop()
    command = unlock(world)
    raw = seal(encode(command), Purpose.COMMAND, world.store, world.cloud.command_key)
    topic = topics.command(world.store)
    await world.cloud.side.link.publish(topic, raw, retain=True)
    try:
        await world.run()
        await until(lambda: any(ack.id == command.id for ack in world.cloud.acks))
    finally:
        await world.cloud.side.link.publish(topic, b"", retain=True)
    return command


def no_envelope_check(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Commands, "_check_envelope", lambda self, command, arrived: None)
    patch.setattr(Freshness, "left_ms", lambda self, command, arrived: 5000)


def no_signature_check(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        commands, "open_signed", lambda raw, purpose, store, ring: raw.partition(b"\n")[2]
    )


def no_retained_check(patch: pytest.MonkeyPatch) -> None:
    no_envelope_check(patch)
    real = Commands._open
    patch.setattr(Commands, "_open", lambda self, envelope, retained: real(self, envelope, False))


CASES = [
    pytest.param(expired, no_envelope_check, AckState.EXPIRED, Reason.EXPIRED, id="expired"),
    pytest.param(
        other_connection,
        no_envelope_check,
        AckState.REFUSED,
        Reason.OTHER_CONNECTION,
        id="nonce",
    ),
    pytest.param(
        wrong_signature,
        no_signature_check,
        AckState.REFUSED,
        Reason.BAD_SIGNATURE,
        id="signature",
    ),
    pytest.param(unknown_key, no_signature_check, AckState.REFUSED, Reason.UNKNOWN_KEY, id="key"),
    pytest.param(retained, no_retained_check, AckState.REFUSED, Reason.RETAINED, id="retained"),
]


@pytest.mark.parametrize(("misuse", "guard", "state", "reason"), CASES)
async def test_a_misused_command_moves_nothing(
    world: World,  # noqa: F811
    misuse: Misuse,
    guard: Any,
    state: AckState,
    reason: Reason,
) -> None:
    await ready(world)
    outcome = await world.cloud.outcome(await misuse(world))
    assert (outcome.state, outcome.reason) == (state, reason)
    assert world.pulses(LOCK_1) == 0


@pytest.mark.parametrize(("misuse", "guard", "state", "reason"), CASES)
async def test_control_without_its_guard_it_opens_the_door(
    world: World,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    misuse: Misuse,
    guard: Callable[[pytest.MonkeyPatch], None],
    state: AckState,
    reason: Reason,
) -> None:
    await ready(world)
    guard(monkeypatch)
    outcome = await world.cloud.outcome(await misuse(world))
    assert outcome.state is AckState.DONE
    assert world.pulses(LOCK_1) == 1


async def test_the_same_command_twice_is_one_pulse_and_the_first_outcome(
    world: World,  # noqa: F811
) -> None:
    await ready(world)
    command = await world.cloud.send(unlock(world))
    assert (await world.cloud.outcome(command)).state is AckState.DONE
    await asyncio.sleep(0.8)  # the pulse ends: only the seen id can stop the second
    world.cloud.acks.clear()
    await world.cloud.send(command)
    again = await world.cloud.outcome(command)
    assert again.state is AckState.DUPLICATE
    assert again.evidence["first"]["state"] == "done"
    assert world.pulses(LOCK_1) == 1


async def test_control_a_store_that_forgets_ids_pulses_twice(
    world: World,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await ready(world)
    command = await world.cloud.send(unlock(world))
    await world.cloud.outcome(command)
    await asyncio.sleep(0.8)

    async def forget(self: Tx, *_: Any) -> bool:
        return True

    monkeypatch.setattr(Tx, "take_command", forget)
    world.cloud.acks.clear()
    await world.cloud.send(command)
    await world.cloud.outcome(command)
    assert world.pulses(LOCK_1) == 2


async def test_a_double_tap_is_one_pulse(world: World) -> None:  # noqa: F811
    await ready(world)
    taps = [await world.cloud.send(unlock(world)) for _ in range(5)]
    outcomes = [await world.cloud.outcome(tap) for tap in taps]
    states = sorted(outcome.state.value for outcome in outcomes)
    assert states == ["done", "duplicate", "duplicate", "duplicate", "duplicate"]
    assert {o.reason for o in outcomes if o.state is AckState.DUPLICATE} == {Reason.PULSE_RUNNING}
    assert world.pulses(LOCK_1) == 1


@pytest.mark.parametrize(
    ("fault", "pulses"), [({"slow_ms": 3000}, 1), ({"dead": True}, 0)], ids=["sent", "not-heard"]
)
async def test_kill_9_after_the_write_ahead_is_unknown_and_never_run_again(
    world: World,  # noqa: F811
    fault: dict[str, bool | int],
    pulses: int,
) -> None:
    await world.spawn()
    now = world.now()
    await world.want(stay("s1", "r1", now - MINUTE, now + 60 * MINUTE))
    await world.boards_up()
    world.rig.set_fault("relay", fault)
    command = await world.cloud.send(unlock(world))
    query = "SELECT state FROM command WHERE id = ?"
    await until(lambda: world.rows(query, command.id) == [("executing",)], 30)
    world.kill()
    assert not [ack for ack in world.cloud.acks if ack.state is not AckState.ACCEPTED]
    world.rig.set_fault("relay", {"slow_ms": 0, "dead": False})
    await world.spawn()
    await world.boards_up()
    outcome = await world.cloud.outcome(command)
    assert (outcome.state, outcome.reason) == (AckState.UNKNOWN, Reason.RESTARTED)
    said = await until(
        lambda: [b for b in world.cloud.of(EventKind.COMMAND) if b["command"] == command.id]
    )
    assert [body["state"] for body in said] == ["unknown"]
    # Whoever it may have let in has a stay, and power.
    await until(lambda: world.cloud.transitions("s1")[-1] == "in_use")
    assert world.cloud.of(EventKind.ACCESS)[-1]["stay"] == "s1"
    assert world.pulses(LOCK_1) <= pulses
    await world.cloud.send(command)  # and its old connection is gone as well
    await asyncio.sleep(0.5)
    assert world.pulses(LOCK_1) <= pulses


async def test_a_broker_that_dies_takes_waiting_commands_with_it(
    world: World,  # noqa: F811
) -> None:
    """Sessions are clean: what is sent while the store is away is never delivered."""
    await ready(world)
    await world.stop()
    command = await world.cloud.send(unlock(world))
    await world.run()
    await world.boards_up()
    await asyncio.sleep(0.5)
    assert [ack for ack in world.cloud.acks if ack.id == command.id] == []
    assert world.pulses(LOCK_1) == 0
