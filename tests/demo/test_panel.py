"""The demonstration's page over a stage that runs: what it shows is so, what it does happens."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import httpx
import pytest

from demo.people import until
from demo.processes import local_http
from demo.seed import ROOMS, STORE
from demo.stage import ORDER
from tests.support.stage import RunningStage

pytestmark = [pytest.mark.xdist_group("stage"), pytest.mark.timeout(240)]


def get(stage: RunningStage, path: str) -> httpx.Response:
    return local_http().get(f"{stage.panel}{path}", timeout=10)


def board(stage: RunningStage, name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(one for one in stage.state()["boards"] if one["name"] == name)
    return found


def test_it_shows_programs_boards_doors_and_where_to_go(running_stage: RunningStage):
    state = running_stage.state()
    assert state["store"] == STORE
    assert [one["name"] for one in state["programs"]] == list(ORDER)
    assert all(one["running"] for one in state["programs"])
    assert [one["name"] for one in state["boards"]][:4] == [*(r.name for r in ROOMS), "人体感应"]
    first = state["boards"][0]
    assert [one["name"] for one in first["coils"]][:5] == ["门锁", "麻将机", "灯", "空调", "大门锁"]
    assert [door["name"] for door in first["doors"]] == ["竹间门", "大门"]
    for link in [*state["links"], *first["doors"]]:
        answer = local_http().get(
            link["url"],
            headers={"accept": "text/html"},
            timeout=20,
            follow_redirects=True,
        )
        assert answer.is_success, (link, answer.status_code)


@pytest.mark.parametrize("path", ["/", "/panel.css", "/panel.js", "/static/css/tokens.css"])
def test_its_files_are_served(running_stage: RunningStage, path: str):
    assert get(running_stage, path).is_success


def test_the_stream_says_the_same_as_the_state(running_stage: RunningStage):
    with local_http().stream("GET", f"{running_stage.panel}/stream", timeout=10) as lines:
        line = next(one for one in lines.iter_lines() if one.startswith("data: "))
    assert json.loads(line.removeprefix("data: ")).keys() == running_stage.state().keys()


def test_the_clock_moves_forward_for_the_cloud_as_well(running_stage: RunningStage):
    eyes = running_stage.eyes()
    eyes.owner.log_in()
    before = datetime.fromisoformat(running_stage.state()["now"])
    answer = running_stage.press("/clock", {"advance_s": 3600})
    assert answer.is_success
    after = running_stage.state()
    moved = (datetime.fromisoformat(after["now"]) - before).total_seconds()
    assert 3600 <= moved < 3630
    assert abs(after["offset_s"] - answer.json()["offset_s"]) <= 1
    in_cloud = until(
        lambda: eyes.owner.get(f"/console/stores/{eyes.stage.store_id}/timeline", day="2000-01-01"),
        lambda seen: "now" in seen,
        "the cloud's time",
    )["now"]
    assert (
        abs(
            (
                datetime.fromisoformat(in_cloud) - datetime.fromisoformat(after["now"])
            ).total_seconds()
        )
        < 30
    )


@pytest.mark.parametrize("seconds", [0, -60, 86_401, "60", 1.5, True, None])
def test_the_clock_takes_whole_seconds_forward_only(running_stage: RunningStage, seconds: object):
    before = running_stage.state()["offset_s"]
    assert running_stage.press("/clock", {"advance_s": seconds}).status_code == 409
    assert running_stage.state()["offset_s"] == before


def test_a_plug_is_pulled_and_put_back(running_stage: RunningStage):
    def runs() -> bool:
        return next(
            bool(p["running"]) for p in running_stage.state()["programs"] if p["name"] == "sms"
        )

    assert running_stage.press("/programs/sms/kill").json() == {"running": False}
    assert not runs()
    assert running_stage.press("/programs/sms/start").json() == {"running": True}
    assert runs()
    sms = f"{running_stage.stage.url('sms')}/messages"
    until(lambda: _answers(sms), bool, "the phone to be on again", 40)


@pytest.mark.parametrize("path", ["/programs/nobody/kill", "/programs/sms/paint"])
def test_there_is_nothing_else_to_pull(running_stage: RunningStage, path: str):
    assert running_stage.press(path).status_code == 409


def test_a_sensor_is_pressed(running_stage: RunningStage):
    for on in (True, False):
        running_stage.press("/boards/inputs/inputs/2", {"on": on})
        assert board(running_stage, "人体感应")["inputs"][1] == {
            "channel": 2,
            "name": "梅间",
            "on": on,
            "words": ["有人", "没人"],
        }


def test_a_board_falls_silent_and_heals(running_stage: RunningStage):
    name = board(running_stage, "听雨")["id"]
    assert running_stage.press(f"/boards/{name}/fault", {"dead": True}).is_success
    assert board(running_stage, "听雨")["dead"]
    assert running_stage.press(f"/boards/{name}/fault", {"dead": False}).is_success
    assert not board(running_stage, "听雨")["dead"]


def test_boards_without_power_are_shown_and_told(running_stage: RunningStage):
    running_stage.press("/programs/boards/kill")
    try:
        assert all(one["dead"] for one in running_stage.state()["boards"])
        answer = running_stage.press("/boards/inputs/inputs/1", {"on": True})
        assert (answer.status_code, answer.json()["detail"]) == (
            409,
            "继电器板断电了，先给它通电。",
        )
    finally:
        running_stage.press("/programs/boards/start")
    until(
        running_stage.state,
        lambda seen: not any(one["dead"] for one in seen["boards"]),
        "the boards to answer",
        40,
    )
    eyes = running_stage.eyes()
    eyes.owner.log_in()
    eyes.online(60)


def test_only_codes_of_this_store_are_drawn(running_stage: RunningStage):
    code = board(running_stage, "竹间")["doors"][0]["code"]
    answer = get(running_stage, code)
    assert answer.headers["content-type"] == "image/svg+xml"
    assert answer.text.startswith("<svg ")
    assert get(running_stage, "/doors/elsewhere.svg").status_code == 409


def _answers(url: str) -> bool:
    try:
        return local_http().get(url, timeout=3).is_success
    except httpx.HTTPError:
        return False
