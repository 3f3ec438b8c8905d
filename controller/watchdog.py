"""Tells systemd that the store makes progress, and only then (``Type=notify``, ``WatchdogSec=``).

Fed while three things are true: the loop has turned since the last time, the journal answers a question,
and no board that counts as online has gone without a reading for a minute (its port's thread has died).
A disk that is full, a cable that is out, a board that is dead are no reason to start again.
The protocol is that of sd_notify(3): datagrams to the socket named in ``NOTIFY_SOCKET``. Where there is no
systemd (a container) the file named in ``KAIMEN_EDGE_BEAT`` is touched instead, for whoever looks how old
it is.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Mapping
from pathlib import Path

import structlog

from controller.journal.store import Journal, JournalError
from controller.plan import SWITCH_CAPABILITY
from controller.reconcile import Reconciler
from controller.sense import Sense
from controller.state import StoreState
from firmware_bridge.contract import Bridge
from store_link.clock import Clock

log = structlog.get_logger(__name__)

ANSWER_S = 5.0
UNREAD_S = 60.0
BEAT_S = 30.0  # the limit where there is only a file


class Notifier:
    """Datagrams to systemd, or the age of a file; silent where nobody listens."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")
        limit = environment.get("WATCHDOG_USEC", "")
        mine = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        beat = environment.get("KAIMEN_EDGE_BEAT", "")
        self._beat = Path(beat) if beat else None
        self.limit_s = BEAT_S if beat else None
        if limit.isdigit() and mine:
            self.limit_s = int(limit) / 1e6

    def tell(self, state: str) -> None:
        """``READY=1``, ``WATCHDOG=1``, ``STATUS=…``, ``STOPPING=1``."""
        if self._beat is not None and state == "WATCHDOG=1":
            try:
                self._beat.touch()
            except OSError as error:
                log.warning("beat_not_written", why=str(error))
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
            try:
                out.sendto(state.encode(), address)
            except OSError as error:
                log.warning("systemd_not_told", why=str(error))


class Watchdog:
    """``await run()`` for ever; ``progress`` says whether it would feed now, and what is wrong."""

    def __init__(
        self,
        state: StoreState,
        reconciler: Reconciler,
        journal: Journal,
        bridge: Bridge,
        wire: Clock,
        notifier: Notifier,
    ) -> None:
        self._state = state
        self._reconciler = reconciler
        self._journal = journal
        self._bridge = bridge
        self._wire = wire
        self._sense = Sense(state, bridge)
        self._notifier = notifier
        self._turned = -1
        self._fresh: dict[
            str, float
        ] = {}  # board -> monotonic: when it was last read, or not online
        self.stuck = ""  # why it was not fed last

    async def run(self) -> None:
        """Feed at a third of the limit; nothing to do without one."""
        if self._notifier.limit_s is None:
            return
        while True:
            if await self.progress():
                self._notifier.tell("WATCHDOG=1")
            else:
                log.error("watchdog_not_fed", why=self.stuck)
                self._notifier.tell(f"STATUS=no progress: {self.stuck}")
            await asyncio.sleep(self._notifier.limit_s / 3)

    async def progress(self) -> bool:
        """Whether there is any since the last call."""
        self.stuck = await self._wrong()
        return not self.stuck

    async def _wrong(self) -> str:
        turned, self._turned = self._turned, self._reconciler.turned
        if self._turned == turned:
            return "the loop does not turn"
        try:
            async with asyncio.timeout(ANSWER_S):
                await self._journal.get("boots")
        except TimeoutError:
            return "the journal does not answer"
        except JournalError:
            pass  # the disk says no: it has an answer, and the store goes on without
        unread = self._unread()
        return f"board {unread} counts as online and is not read" if unread else ""

    def _unread(self) -> str | None:
        now = self._wire.monotonic()
        polled: dict[str, bool] = {}
        for binding in self._state.bindings.values():
            if binding.capability == SWITCH_CAPABILITY:
                good = self._sense.reading(binding).quality == "ok"
                polled[binding.board] = polled.get(binding.board, False) or good
        for board, good in polled.items():
            if good or self._bridge.board_state(board).state != "online":
                self._fresh[board] = now
            elif now - self._fresh.setdefault(board, now) > UNREAD_S:
                return board
        return None
