"""The watchdog is fed by real progress alone."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

from controller.watchdog import BEAT_S, UNREAD_S, Notifier, Watchdog
from firmware_bridge.contract import BoardState
from store_link.clock import ManualClock
from tests.controller.cloud import until
from tests.controller.simulation import START
from tests.controller.world import World


class Systemd:
    """The end of the socket that systemd holds."""

    def __init__(self, directory: Path) -> None:
        self.path = str(directory / "notify")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.path)
        self._socket.setblocking(False)

    def heard(self) -> list[str]:
        found = []
        while True:
            try:
                found.append(self._socket.recv(4096).decode())
            except BlockingIOError:
                return found

    def close(self) -> None:
        self._socket.close()


async def test_it_is_fed_while_the_loop_turns_the_journal_answers_and_boards_are_read(
    world: World, tmp_path: Path
) -> None:
    systemd = Systemd(tmp_path)
    try:
        controller = await world.run()
        await world.want()
        await world.boards_up()
        notifier = Notifier({"NOTIFY_SOCKET": systemd.path, "WATCHDOG_USEC": "300000"})
        clock = ManualClock(START)
        dog = Watchdog(
            controller.state,
            controller.reconciler,
            controller.journal,
            controller.bridge,
            clock,
            notifier,
        )
        await until(lambda: controller.reconciler.turned > 0)
        assert await dog.progress()
        assert not await dog.progress()  # nothing turned since
        assert dog.stuck == "the loop does not turn"
        await controller.reconciler.tick()
        assert await dog.progress()
        # A cable that is out is no reason to start again …
        world.rig.set_fault("relay", {"dead": True})
        await until(lambda: controller.bridge.board_state("relay").state == "offline", 30)
        clock.pass_time(UNREAD_S * 2)
        await controller.reconciler.tick()
        assert await dog.progress()
        # … a thread that has died behind a board that counts as online is.
        controller.bridge.board_state = lambda _: BoardState("online")  # type: ignore[method-assign,assignment]
        await controller.reconciler.tick()
        assert await dog.progress()
        clock.pass_time(UNREAD_S + 1)
        await controller.reconciler.tick()
        assert not await dog.progress()
        assert dog.stuck == "board relay counts as online and is not read"
        del controller.bridge.board_state
        world.rig.set_fault("relay", {"dead": False})
        # A journal that hangs (a card that died) does not answer.
        async with controller.journal._db._lock:
            dog._turned = -1
            async with asyncio.timeout(10):
                assert not await dog.progress()
        assert dog.stuck == "the journal does not answer"
        systemd.heard()
        feeding = asyncio.create_task(dog.run())
        await until(lambda: "WATCHDOG=1" in systemd.heard())
        feeding.cancel()
    finally:
        systemd.close()


def test_without_systemd_nothing_is_told_and_nothing_fed(tmp_path: Path) -> None:
    quiet = Notifier({})
    assert quiet.limit_s is None
    quiet.tell("READY=1")
    gone = Notifier({"NOTIFY_SOCKET": str(tmp_path / "nobody"), "WATCHDOG_USEC": "1000000"})
    gone.tell("READY=1")
    assert gone.limit_s == 1.0
    assert Notifier({"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"}).limit_s is None
    # In a container: a file that is as old as the last progress.
    beat = tmp_path / "beat"
    file = Notifier({"KAIMEN_EDGE_BEAT": str(beat)})
    assert file.limit_s == BEAT_S
    file.tell("READY=1")
    assert not beat.exists(), "ready is not progress"
    file.tell("WATCHDOG=1")
    assert beat.exists()
    Notifier({"KAIMEN_EDGE_BEAT": str(tmp_path / "no" / "beat")}).tell("WATCHDOG=1")  # and goes on
