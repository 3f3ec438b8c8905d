"""Puts the controller together and runs it: journal, boards, reconcile loop, link to the cloud."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from controller import __version__, comfort, modes, renewing
from controller.cloud_http import CloudRefused, CloudUnreachable, send_diagnostics
from controller.commands import Commands
from controller.desired import DesiredKeeper
from controller.diagnostics import Diagnostics
from controller.hazard import HazardWatch
from controller.identity import Identity
from controller.journal.records import mark_from
from controller.journal.store import Journal, JournalError
from controller.left_over import settle_left_over
from controller.pulsing import Pulsing
from controller.readers import Readers
from controller.reconcile import Reconciler
from controller.report import Reporter
from controller.state import StoreState
from controller.timekeeper import Timekeeper, boot_id, kernel_synced
from controller.uplink import Cloud, Uplink
from controller.voice import Voice
from controller.watchdog import Notifier, Watchdog
from firmware_bridge.bridge import FirmwareBridge
from firmware_bridge.contract import Bridge
from store_link.clock import BusinessClock, Clock, WireClock, ms
from store_link.link import Backoff, random_nonce
from store_link.messages import EventKind, StayState

if TYPE_CHECKING:
    from controller.local.server import LocalServer

log = structlog.get_logger(__name__)

DRAIN_S = 3.0
TICK_S = 1.0
PRUNE_S = 3600.0


class Controller:
    """One store. ``await start()``, then ``await stop()``; parts are open for tests."""

    def __init__(
        self,
        identity: Identity,
        state_dir: Path,
        ports: Mapping[str, str],
        *,
        wire: Clock | None = None,
        clock_file: Path | None = None,
        synced: Callable[[], bool] = kernel_synced,
        boot: Callable[[], str] = boot_id,
        bridge: Bridge | None = None,
        backoff: Backoff | None = None,
        local: str = "",
        diagnostics: bool = True,
        notifier: Notifier | None = None,
        memory: Path | None = None,
    ) -> None:
        self.ports = dict(ports)
        self._local_address = local
        self._memory = memory
        self._may_diagnose = diagnostics
        self.notifier = notifier or Notifier()
        self._feeding: asyncio.Task[None] | None = None
        self._renewing: asyncio.Task[None] | None = None
        self.local: LocalServer | None = None
        self.identity = identity
        self.state_dir = state_dir
        self.wire = wire or WireClock()
        self.business = BusinessClock(clock_file, self.wire)
        self.bridge: Bridge = bridge or FirmwareBridge(ports, clock=self.wire)
        self.state = StoreState(identity.store, identity.keys)
        self._synced = synced
        self._kernel_boot = boot
        self._backoff = backoff
        self._scheduler = AsyncIOScheduler(timezone="UTC")
        self._run: asyncio.Task[None] | None = None
        self.journal: Journal
        self.timekeeper: Timekeeper
        self.reconciler: Reconciler
        self.hazard: HazardWatch
        self.voice: Voice
        self.comfort: comfort.Comfort
        self.commands: Commands
        self.readers: Readers
        self.uplink: Uplink
        self.watchdog: Watchdog
        self.diagnostics: Diagnostics

    async def start(self) -> None:
        """Open the journal, settle what a crash left, read the boards, go to work."""
        self.journal = await Journal.open(self.state_dir / "journal.db", self._memory)
        saved = mark_from(await self.journal.get("clock"))
        self.timekeeper = Timekeeper(self.business, saved, self._synced, self._kernel_boot())
        now = self.timekeeper.read()
        self.state.stays = {stay.id: stay for stay in await self.journal.stays()}
        self.state.overrides = {o.binding: o for o in await self.journal.overrides()}
        self.state.modes = modes.from_json(await self.journal.get(modes.KEPT_AS, {}))
        self.state.climates = await comfort.kept(self.journal)
        self.state.aired = dict(await self.journal.get(comfort.AIRED_AS, {}))
        self.state.carried = dict(await self.journal.get("carried", {}))
        left_over = await settle_left_over(self.journal, self.state, self.timekeeper, self.wire)
        boots = int(await self.journal.get("boots", 0)) + 1
        boot = random_nonce()
        async with self.journal.write(now) as tx:
            await tx.put("boots", boots)
            await tx.event(EventKind.BOOT, {"boot": boot, "count": boots, "version": __version__})
        self.reconciler = Reconciler(
            self.state, self.journal, self.bridge, self.timekeeper, self._changed
        )
        keeper = DesiredKeeper(
            self.state, self.journal, self.bridge, self.reconciler, self.timekeeper
        )
        self.hazard = HazardWatch(self.state, self.journal, self.bridge, self.timekeeper)
        self.voice = Voice(self.state, self.bridge, self.timekeeper)
        self.comfort = comfort.Comfort(self.state, self.journal, self.bridge, self.timekeeper)
        self.reconciler.on_tick = self._look
        pulsing = Pulsing(self.wire)
        self.readers = Readers(
            state=self.state,
            journal=self.journal,
            bridge=self.bridge,
            reconciler=self.reconciler,
            timekeeper=self.timekeeper,
            business_ahead_ms=lambda: round(self.business.offset_s * 1000),
            mac=self.identity.mac().secret,
            link_up=lambda: self.uplink.side.up,
            pulsing=pulsing,
            say=self.voice.announce,
        )
        self.commands = Commands(
            state=self.state,
            journal=self.journal,
            bridge=self.bridge,
            reconciler=self.reconciler,
            timekeeper=self.timekeeper,
            wire=self.wire,
            business_ahead_ms=lambda: round(self.business.offset_s * 1000),
            uplink=lambda: self.uplink,
            pulsing=pulsing,
            comfort=self.comfort,
            send_bundle=self._send_bundle,
        )
        reporter = Reporter(
            self.state, self.bridge, self.journal, self.timekeeper, keeper, self.wire
        )
        self.diagnostics = Diagnostics(
            self.identity,
            self.state_dir,
            self.ports,
            state=self.state,
            reporter=reporter,
            timekeeper=self.timekeeper,
            wire=self.wire,
            acked=lambda: self.uplink.acked,
        )
        self.uplink = Uplink(
            Cloud(
                self.identity.store,
                self.identity.cloud,
                self.identity.endpoint(self.state_dir),
                self.identity.mac(),
            ),
            boot=boot,
            wire=self.wire,
            journal=self.journal,
            keeper=keeper,
            commands=self.commands,
            reporter=reporter,
            timekeeper=self.timekeeper,
            keys=lambda: self.state.keys,
            acked=int(await self.journal.get("acked", 0)),
            left_over=left_over,
            backoff=self._backoff,
        )
        self.bridge.on_change(self._board_changed)
        self.bridge.on_event(self.readers.hear)
        await self.bridge.start()
        await keeper.restore()
        self._run = asyncio.create_task(self.reconciler.run(), name="reconcile")
        self._begin_ticking()
        self.reconciler.wake()
        await self.uplink.start()
        self._serve_installers(reporter)
        self.watchdog = Watchdog(
            self.state, self.reconciler, self.journal, self.bridge, self.wire, self.notifier
        )
        self._feeding = asyncio.create_task(self.watchdog.run(), name="watchdog")
        self._renewing = asyncio.create_task(renewing.run(self.state_dir), name="renewing")
        self.notifier.tell("READY=1")
        log.info("started", store=self.identity.store, journal=self.journal.id, boots=boots)

    async def stop(self) -> None:
        """End in order: no new commands, those under way, the link, the boards, the journal."""
        self.notifier.tell("STOPPING=1")
        for task in (self._feeding, self._renewing):
            if task is not None:
                task.cancel()
        if self.local is not None:
            await self.local.stop()
        self._scheduler.shutdown(wait=False)
        await asyncio.gather(self.commands.drain(DRAIN_S), self.readers.drain(DRAIN_S))
        await self.uplink.stop()
        if self._run is not None:
            self._run.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._run
        await self.reconciler.stop()
        await self.hazard.stop()
        await self.voice.stop()
        await self.comfort.stop()
        await self.bridge.stop()
        await self.journal.close()
        log.info("stopped")

    def _serve_installers(self, reporter: Reporter) -> None:
        """The page for installers, where it is wanted: a store without it does not even load it."""
        if not self._local_address:
            return
        from controller.local.serve import serve

        self.local = serve(self, reporter, self._local_address)

    async def _send_bundle(self, bundle: str) -> tuple[bool, str]:
        if not self._may_diagnose:
            return False, "this store sends none (KAIMEN_EDGE_DIAGNOSTICS=off)"
        if not self.identity.cloud:
            return False, "this store knows no address of its cloud"
        content = await self.diagnostics.bundle()
        identity, at = self.identity, ms(self.wire.now())
        try:
            await asyncio.to_thread(
                send_diagnostics,
                identity.cloud,
                identity.store,
                identity.mac().secret,
                at,
                bundle,
                content,
                30.0,
            )
        except (CloudRefused, CloudUnreachable) as error:
            return False, str(error)
        return True, f"{len(content)} bytes"

    def _look(self) -> None:
        self.hazard.look()
        self.voice.look()
        self.comfort.look()

    def _changed(self) -> None:
        self.uplink.changed()

    def _board_changed(self, board: str) -> None:
        self.reconciler.wake(board)
        self.uplink.changed()

    def _begin_ticking(self) -> None:
        self._scheduler.add_job(
            self._tick,
            "interval",
            seconds=TICK_S,
            id="tick",
            coalesce=True,
            max_instances=1,
            misfire_grace_time=None,
        )
        self._scheduler.add_job(
            self._prune,
            "interval",
            seconds=PRUNE_S,
            id="prune",
            coalesce=True,
            max_instances=1,
            misfire_grace_time=None,
        )
        self._scheduler.start()
        # It counts by the wall clock: when that steps back it would sleep until it is caught up.
        self.reconciler.on_stall = self._tick_anew

    async def _tick(self) -> None:
        """A coroutine, since the scheduler would give a plain function to a thread."""
        self.reconciler.wake()

    def _tick_anew(self) -> None:
        self._scheduler.reschedule_job("tick", trigger="interval", seconds=TICK_S)
        self._scheduler.reschedule_job("prune", trigger="interval", seconds=PRUNE_S)

    async def _prune(self) -> None:
        now = self.timekeeper.read()
        try:
            await self.journal.prune(self.uplink.acked, now, self.state.paid)
        except JournalError:
            log.exception("prune_failed")
            return
        kept = {stay.id for stay in await self.journal.stays()}
        async with self.reconciler.lock:
            for key, stay in list(self.state.stays.items()):
                if stay.state is StayState.ENDED and key not in kept:
                    self.state.stays.pop(key)
