"""I8 on the store's side: software can only unlock, and a fire unlocks everything.

Egress is hardware: a button and the lock's own handle work without any of this. What is shown here is
that no message, no scene and no restart can hold a lock in either position.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller import plan as planning
from controller.holds import OverrideRecord
from controller.plan import Mode, plan
from controller.stay import StayRecord
from controller.timekeeper import Now
from store_link.messages import (
    AckState,
    Action,
    ClockQuality,
    Desired,
    EventKind,
    Reason,
    StayState,
)
from tests.controller.cloud import until
from tests.controller.conftest import world  # noqa: F401
from tests.controller.world import LOCK_1, LOCK_2, MINUTE, TABLE_1, World, stay

ROLES = ["lock", "table", "light", "ac", "fan", "door_contact", "presence", "main", "other"]
CAPABILITIES = ["lock.pulse", "switch.set", "door.contact", "presence", "hazard"]


def test_no_command_locks() -> None:
    """A closed list: whoever adds an action says here that it shuts nobody in."""
    assert {action.value for action in Action} == {
        "unlock",
        "set",  # of levels; a lock has none that shuts (below)
        "clear",
        "climate",
        "say",
        "finish",
        "diagnose",  # tells, moves nothing
    }


def document(bindings: list[dict[str, Any]], scene: list[dict[str, Any]]) -> Desired:
    return Desired.model_validate(
        {
            "store": "s",
            "epoch": 1,
            "rev": 1,
            "sent_at": 0,
            "tz": "UTC",
            "bindings": bindings,
            "scenes": {"in_use": scene, "grace": scene},
        }
    )


def locks_in_plan(role: str, capability: str, state: StayState, override: bool | None) -> bool:
    """Whether any plan for this binding gives a level to something that is a lock."""
    desired = document(
        [
            {
                "id": "x",
                "board": "b",
                "capability": capability,
                "channel": 1,
                "role": role,
                "rooms": ["r1"],
            }
        ],
        [{"role": "table", "on": True}, {"role": "other", "on": True}],
    )
    record = StayRecord("a", "r1", "g", 0, 10, 0, 5, 5, state=state, due=10.0, entered=0.0)
    overrides = (
        {} if override is None else {"x": OverrideRecord("x", override, True, 99, 99.0, "c")}
    )
    wants = plan(desired, [record], overrides, Mode.RUN, Now(5.0, 5, ClockQuality.SYNCED))
    return "x" in wants and (role == "lock" or capability == "lock.pulse")


@given(
    st.sampled_from(ROLES),
    st.sampled_from(CAPABILITIES),
    st.sampled_from(list(StayState)),
    st.sampled_from([None, True, False]),
)
@settings(max_examples=200)
def test_no_plan_holds_a_lock(
    role: str, capability: str, state: StayState, override: bool | None
) -> None:
    assert not locks_in_plan(role, capability, state, override)


def test_control_a_plan_that_counts_locks_among_the_switched_holds_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(planning, "SWITCHED", planning.SWITCHED | {"lock"})
    assert locks_in_plan("lock", "switch.set", StayState.IN_USE, None)


async def test_nobody_can_set_a_lock(world: World) -> None:  # noqa: F811
    await world.run()
    await world.want()
    await world.boards_up()
    for on in (True, False):
        args = {"on": on, "for_s": 60, "force": True}
        refused = await world.cloud.ask("set", "lock1", args=args, by="staff:1")
        assert (refused.state, refused.reason) == (AckState.REFUSED, Reason.UNKNOWN_TARGET)
    assert world.switched(LOCK_1) == []
    # The same words at a table do switch it: the refusal is about the lock.
    done = await world.cloud.ask("set", "table1", args={"on": True, "for_s": 60}, by="staff:1")
    assert done.state is AckState.DONE
    assert world.switched(TABLE_1) == [True]


async def test_an_unlock_always_drops_by_itself(world: World) -> None:  # noqa: F811
    """The board ends the pulse: also when the controller is killed in the middle of it."""
    await world.spawn()
    await world.want()
    await world.boards_up()
    assert (await world.cloud.unlock("d1")).state is AckState.DONE
    world.kill()
    await world.coil_is(LOCK_1, False, 3)
    await world.spawn()
    await world.boards_up()
    assert world.pulses(LOCK_1) == 1


async def test_staff_unlock_at_any_time_and_guests_need_a_grant(
    world: World,  # noqa: F811
) -> None:
    await world.run()
    await world.want()
    await world.boards_up()
    refused = await world.cloud.unlock("d1", by="customer:1")
    assert (refused.state, refused.reason) == (AckState.REFUSED, Reason.NO_GRANT)
    assert world.pulses(LOCK_1) == 0
    assert (await world.cloud.unlock("d1", by="staff:1")).state is AckState.DONE
    await until(lambda: len(world.cloud.of(EventKind.ACCESS)) == 2)
    access = world.cloud.of(EventKind.ACCESS)
    assert [(body["by"], body["outcome"]) for body in access] == [
        ("command", "refused"),
        ("staff", "done"),
    ]


async def fire_store(world: World) -> None:  # noqa: F811
    """A store whose second input is a fire loop, closed at rest."""
    world.rig.set_input("io", 2, True)
    await world.run()
    desired = world.document()
    bindings = [binding.model_dump() for binding in desired.bindings]
    bindings.append(
        {
            "id": "fire",
            "board": "io",
            "capability": "hazard",
            "channel": 2,
            "role": "other",
            "rooms": [],
        }
    )
    await world.want(bindings=bindings)
    await world.boards_up()


async def test_a_fire_unlocks_every_door_as_long_as_it_lasts(world: World) -> None:  # noqa: F811
    await fire_store(world)
    assert world.pulses(LOCK_1) == world.pulses(LOCK_2) == 0
    world.rig.set_input("io", 2, False)  # the loop opens, or its wire is cut
    await until(lambda: world.pulses(LOCK_1) >= 2 and world.pulses(LOCK_2) >= 2, 30)
    access = await until(lambda: len(world.cloud.of(EventKind.ACCESS)) >= 2)
    assert access
    assert {body["by"] for body in world.cloud.of(EventKind.ACCESS)} == {"hazard"}
    world.rig.set_input("io", 2, True)
    await until(lambda: world.controller and not world.controller.hazard.alarm())
    await until(lambda: world.controller and not world.controller.hazard._tasks)
    calm = world.pulses(LOCK_1)
    await world.controller.reconciler.tick()  # type: ignore[union-attr]
    assert world.pulses(LOCK_1) == calm


async def test_control_without_an_alarm_no_lock_moves(world: World) -> None:  # noqa: F811
    await fire_store(world)
    now = world.now()
    await world.want(stay("s1", "r1", now - MINUTE, now + 60 * MINUTE))
    for _ in range(3):
        await world.controller.reconciler.tick()  # type: ignore[union-attr]
    assert world.pulses(LOCK_1) == world.pulses(LOCK_2) == 0
