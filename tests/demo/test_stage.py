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

pytestmark = [pytest.mark.xdist_group("stage"), pytest.mark.timeout(300)]
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


def test_it_takes_other_ports_ends_or_is_killed_and_goes_on_with_its_data(tmp_path: Path):
    """A busy port is evaded and told; after SIGTERM and on other ports all is as it was.

    ``kill -9`` gives nobody time to tidy up: the leashes feel it and end their programs.
    """
    folder = tmp_path / "stage"
    first = RunningStage(folder, any_ports=False)
    with taken(8000):
        first.start()
    eyes = first.eyes()
    before = eyes.stage.ports
    assert eyes.stage.ports["web"] != 8000
    printed = re.findall(r"http://127\.0\.0\.1:(\d+)", first.said)
    assert str(eyes.stage.ports["web"]) in printed
    assert str(eyes.stage.ports["panel"]) in printed
    assert len(first.alive()) >= 2 * PROGRAMS  # each program and its leash: the search finds them
    eyes.guest.log_in()
    eyes.learn_the_store()
    order = eyes.guest.book(
        eyes.rooms["竹间"], quarter(eyes.clock.now() + timedelta(hours=2)), hours=1
    )
    assert first.stop(signal.SIGTERM) == 0
    nobody_left(first)

    again = RunningStage(folder)
    again.start()
    anew = again.eyes()
    assert anew.stage.ports["web"] != before["web"]
    assert anew.stage.ports["mqtt"] != before["mqtt"]
    assert seeded(anew) == (1, len(ROOMS), len(ROOMS) + 1, 1)
    for person in (anew.guest, anew.owner):
        person.log_in()
    assert anew.guest.get(f"/orders/{order['id']}")["id"] == order["id"]
    anew.online()  # the controller knows the broker's new port
    anew.learn_the_store()
    answer = anew.owner.post(
        f"/console/doors/{anew.doors['竹间门'].id}/unlock", {"why": "试一下门"}
    )
    assert answer["state"] == "done", answer
    assert anew.pulses("竹间") == 1
    assert len(again.alive()) >= 2 * PROGRAMS
    os.kill(again.pid, signal.SIGKILL)
    nobody_left(again)
    assert again.stop(signal.SIGKILL) == -signal.SIGKILL

    third = RunningStage(folder)
    third.start()
    assert all(program["running"] for program in third.state()["programs"])
    assert seeded(third.eyes())[0] == 1
    assert third.stop(signal.SIGINT) == 0  # Ctrl-C reaches the whole group
    nobody_left(third)


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
