"""The installers' page: behind a PIN that cannot be guessed, showing what is so, moving nothing."""

from __future__ import annotations

import asyncio
import json
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from controller.app import Controller
from controller.identity import write_private
from controller.local.pin import FILE, PAUSE_S, TRIES, Gate, new_pin
from controller.masking import MASK, masked
from store_link.messages import AckState
from tests.controller.cloud import QUICK, until
from tests.controller.world import LOCK_1, MINUTE, World, stay


@pytest.fixture
async def page(world: World) -> AsyncIterator[httpx.AsyncClient]:
    """The page of a running store, not logged in yet."""
    world.controller = Controller(
        world.identity,
        world.state_dir,
        world.ports,
        wire=world.wire,
        clock_file=world.clock_file,
        synced=lambda: True,
        backoff=QUICK,
        local="127.0.0.1:0",
    )
    await world.controller.start()
    await world.controller.uplink.side.wait_up(30)
    await world._online(None)
    assert world.controller.local is not None
    base = f"http://127.0.0.1:{world.controller.local.port}"
    async with httpx.AsyncClient(base_url=base, trust_env=False) as client:
        yield client


async def test_what_hangs_here_the_last_commands_and_a_self_test(
    world: World, page: httpx.AsyncClient
) -> None:
    assert "kaimen-edge pin" in (await page.get("/")).text
    pin = new_pin(world.state_dir)
    assert stat.S_IMODE((world.state_dir / FILE).stat().st_mode) == 0o600
    assert pin not in (world.state_dir / FILE).read_text()
    for path in ("/live", "/self-test"):
        method = "POST" if path == "/self-test" else "GET"
        assert (await page.request(method, path)).status_code == 401
    assert (await page.post("/login", data={"pin": "00000000"})).status_code == 403
    other = {"Origin": "http://evil.example"}
    assert (await page.post("/login", data={"pin": pin}, headers=other)).status_code == 403
    assert (await page.post("/login", data={"pin": pin})).status_code == 303

    now = world.now()
    await world.want(stay("s1", "r1", now - MINUTE, now + 60 * MINUTE))
    await world.boards_up()
    assert (await world.cloud.unlock("d1", "g-s1")).state is AckState.DONE
    async with asyncio.timeout(30):  # the answer is given before how it ended is written down
        while "办好了" not in (home := await page.get("/")).text:
            await asyncio.sleep(0.05)
    for word in (
        "连着",
        "对准了",
        "waveshare.modbus-rtu-relay-8ch",
        "在线",
        "门锁 1",
        "开门",
        "办好了",
    ):
        assert word in home.text, word
    assert "g-s1" not in home.text
    assert "default-src 'self'" in home.headers["content-security-policy"]
    pulses = world.pulses(LOCK_1)
    tested = (await page.post("/self-test")).text
    assert "全部都好" in tested
    assert "读到 4 处" in tested
    world.rig.set_fault("io", {"dead": True})
    assert world.controller is not None
    bridge = world.controller.bridge
    await until(lambda: bridge.board_state("io").state == "offline", 30)
    tested = (await page.post("/self-test")).text
    assert "1 处要看一下" in tested
    assert "不回话" in (await page.get("/live")).text
    assert world.pulses(LOCK_1) == pulses
    assert (await page.post("/logout")).status_code == 303
    assert (await page.get("/live")).status_code == 401


def test_guessing_is_slow_for_everybody_and_slower_each_time(tmp_path: Path) -> None:
    """Eight digits at five a minute, then fewer: centuries. Who knows the PIN waits as well."""
    time = [0.0]
    pin = new_pin(tmp_path)
    gate = Gate(tmp_path, lambda: time[0])
    for round_ in range(3):
        for _ in range(TRIES):
            assert gate.wait_s == 0
            assert gate.log_in("x") is None
        assert PAUSE_S * 2**round_ <= gate.wait_s <= PAUSE_S * 2**round_ + 1
        assert gate.log_in(pin) is None
        time[0] += PAUSE_S * 2**round_ + 1
    token = gate.log_in(pin)
    assert token is not None
    assert gate.known(token)
    time[0] += 1799
    assert gate.known(token)
    time[0] += 1801
    assert not gate.known(token)
    (tmp_path / FILE).write_text("{")
    assert gate.log_in(pin) is None


async def test_a_port_that_is_taken_stops_no_store(world: World, page: httpx.AsyncClient) -> None:
    assert world.controller is not None
    taken = page.base_url.port
    await world.stop()
    import socket

    with socket.socket() as blocker:
        blocker.bind(("127.0.0.1", taken or 0))
        blocker.listen()
        controller = Controller(
            world.identity,
            world.state_dir,
            world.ports,
            wire=world.wire,
            clock_file=world.clock_file,
            synced=lambda: True,
            backoff=QUICK,
            local=f"127.0.0.1:{taken}",
        )
        world.controller = controller
        await controller.start()
        await controller.uplink.side.wait_up(30)
        assert controller.local is not None
        assert controller.local.port is None


async def test_a_bundle_holds_what_helps_and_no_secret(world: World) -> None:
    write_private(world.state_dir / "identity.json", world.identity.model_dump_json().encode())
    controller = await world.run()
    now = world.now()
    grant = "01J8ZZZZZZZZZZZZZZZZZZZZZZ"
    await world.want(stay("s1", "r1", now - MINUTE, now + 60 * MINUTE, grant=grant))
    await world.boards_up()
    assert (await world.cloud.unlock("d1", grant)).state is AckState.DONE
    raw = await controller.diagnostics.bundle()
    told = json.loads(raw)
    assert told["version"]
    assert told["report"]["boards"][0]["state"] == "online"
    assert told["document"]["counts"]["stays"] == 1
    assert told["commands"][0]["action"] == "unlock"
    assert any(event["kind"] == "access" for event in told["events"])
    assert any("clock" in one["text"] for one in told["doctor"])
    for secret in (world.cloud.mac.secret.hex(), grant, "BEGIN"):
        assert secret.encode() not in raw
    # Where there is no address, or the owner of the machine says no, nothing leaves.
    assert (
        await world.cloud.ask("diagnose", world.store, args={"bundle": "b", "consent": "x"})
    ).state == "failed"


def test_secrets_are_struck_out_by_name_and_by_looks() -> None:
    given = {
        "pin": "424242",
        "nested": [{"mac_key": "ab" * 32, "fine": 3}],
        "text": f"code K1:{'A' * 175} of 13800000001 at https://u:p@x/ {'0f' * 16}",
        "pins": 4,
        "keyboard": "x",
    }
    found = masked(given)
    assert found["pin"] == MASK
    assert found["nested"] == [{"mac_key": MASK, "fine": 3}]
    assert found["text"] == f"code {MASK} of {MASK} at https://{MASK}x/ {MASK}"
    assert (found["pins"], found["keyboard"]) == (4, "x")
