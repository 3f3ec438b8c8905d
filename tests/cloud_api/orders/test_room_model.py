"""Random lives of one room's bookings: hold, pay, change, extend, cancel, expire, go in, finish."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.cloud_api.databases import SqliteTemplates
from tests.cloud_api.orders.room_model import Ground, OneRoom
from tests.concurrency.races import drop_guard


@pytest.fixture
def ground(db_url: str, tmp_path: Path) -> Iterator[Ground]:
    made = Ground(db_url, tmp_path)
    yield made
    made.close()


def _live(ground: Ground, lives: int, acts: int) -> None:
    machine = type("OneRoomHere", (OneRoom,), {"ground": ground})
    # A failing life is told as it was: to shorten it takes longer than the suite may.
    phases = [phase for phase in Phase if phase is not Phase.shrink]
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=lives, stateful_step_count=acts, deadline=None, phases=phases
        ),
    )


def test_a_few_lives(ground: Ground) -> None:
    _live(ground, lives=6, acts=20)


def test_control_without_the_guard_a_life_goes_wrong(
    sqlite_templates: SqliteTemplates, tmp_path: Path
) -> None:
    """The negative control: the model does notice a room that is sold twice."""
    with sqlite_templates.fresh() as url:
        ground = Ground(url, tmp_path)
        ground.runner.run(drop_guard(ground.cloud.db))
        with pytest.raises(AssertionError):
            _live(ground, lives=40, acts=20)
        ground.close()


@pytest.mark.soak
def test_many_lives(ground: Ground) -> None:
    _live(ground, lives=300, acts=60)
