"""``kaimen-demo run`` as an operator lives with it: it ends when told or killed, and begins again."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import func, select

from cloud_api.staff.models import StaffMember
from cloud_api.stores.models import Door, Room, Store
from demo.people import until
from demo.processes import pick_port
from demo.seed import ROOMS
from demo.sight import Sight, quarter
from tests.support.stage import RunningStage

pytestmark = pytest.mark.timeout(300)
GONE_S = 10.0
PROGRAMS = 6


@contextlib.contextmanager
def taken(port: int) -> Iterator[None]:
    """Somebody else listens at a port, if not really somebody else does."""
    with socket.socket() as other:
        with contextlib.suppress(OSError):
            other.bind(("127.0.0.1", port))
            other.listen()
        yield


def nobody_left(run: RunningStage) -> None:
    until(run.alive, lambda left: left == [], "every process to be gone", GONE_S)


def seeded(eyes: Sight) -> tuple[int, ...]:
    """How many stores, rooms, doors and owners there are."""

    async def count(session: Any) -> tuple[int, ...]:
        tables = (Store, Room, Door, StaffMember)
        return tuple(
            [
                (await session.exec(select(func.count()).select_from(table))).one()
                for table in tables
            ]
        )

    found: tuple[int, ...] = eyes.read(count)
    return found


@pytest.mark.xdist_group("stage")
def test_it_ends_or_is_killed_takes_other_ports_and_goes_on_with_its_data(
    running_stage: RunningStage,
):
    """After Ctrl-C and on other ports all is as it was; a busy port is evaded and told.

    ``kill -9`` gives nobody time to tidy up: the leashes feel it and end their programs. SIGTERM ends the
    stage that all these tests share, see tests/conftest.py. What they did is data to go on with.
    """
    run = running_stage
    eyes = run.eyes()
    before, known = eyes.stage.ports, seeded(eyes)
    assert known[0] >= 1
    assert known[1] >= len(ROOMS)
    assert len(run.alive()) >= 2 * PROGRAMS  # each program and its leash: the search finds them
    for person in (eyes.guest, eyes.owner):
        person.log_in()
    eyes.learn_the_store()
    order = eyes.guest.book(
        eyes.rooms["竹间"], quarter(eyes.clock.now() + timedelta(hours=2)), hours=1
    )
    assert run.stop(signal.SIGINT) == 0  # Ctrl-C reaches the whole group
    nobody_left(run)

    with taken(8000):
        run.start(any_ports=False)
    anew = run.eyes()
    assert anew.stage.ports["web"] not in {8000, before["web"]}
    assert anew.stage.ports["mqtt"] != before["mqtt"]
    printed = re.findall(r"http://127\.0\.0\.1:(\d+)", run.said)
    assert str(anew.stage.ports["web"]) in printed
    assert str(anew.stage.ports["panel"]) in printed
    assert seeded(anew) == known
    anew.other.log_in()  # who was logged in still is, and others can
    assert anew.guest.get(f"/orders/{order['id']}")["id"] == order["id"]
    anew.online()  # the controller knows the broker's new port
    anew.learn_the_store()
    answer = anew.owner.post(
        f"/console/doors/{anew.doors['竹间门'].id}/unlock", {"why": "试一下门"}
    )
    assert answer["state"] == "done", answer
    assert anew.pulses("竹间") == 1
    assert len(run.alive()) >= 2 * PROGRAMS
    os.kill(run.pid, signal.SIGKILL)
    nobody_left(run)
    assert run.stop(signal.SIGKILL) == -signal.SIGKILL

    run.start()
    assert all(program["running"] for program in run.state()["programs"])
    assert seeded(run.eyes()) == known


@pytest.mark.parametrize(
    ("told", "while_starting"), [(signal.SIGINT, "数据库"), (signal.SIGTERM, "云端")]
)
def test_it_can_be_ended_while_it_starts(tmp_path: Path, told: signal.Signals, while_starting: str):
    """Somebody who changed their mind waits for nothing and leaves nothing behind."""
    run = RunningStage(tmp_path / "stage")
    run.start(only_until=while_starting)
    assert run.stop(told) == 0
    nobody_left(run)


def test_a_free_port_is_taken_as_wished():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = int(probe.getsockname()[1])
    assert pick_port(free, "127.0.0.1") == free
    with taken(free):
        assert pick_port(free, "127.0.0.1") != free
