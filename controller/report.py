"""Says what is true in the store now: the body of ``up/reported``."""

from __future__ import annotations

from controller import __version__
from controller.desired import DesiredKeeper
from controller.journal.store import Journal
from controller.sense import Sense
from controller.state import StoreState
from controller.timekeeper import Timekeeper
from firmware_bridge.contract import Bridge, Capability
from store_link.clock import Clock, ms
from store_link.messages import StayState
from store_link.reports import (
    AirReport,
    BoardReport,
    ClimateReport,
    ModeReport,
    OutboxReport,
    Override,
    Quality,
    Reported,
    StayReport,
    Value,
)
from store_link.shapes import Millis


class Reporter:
    """Builds reports from the state, the bridge's readings and the journal."""

    def __init__(
        self,
        state: StoreState,
        bridge: Bridge,
        journal: Journal,
        timekeeper: Timekeeper,
        keeper: DesiredKeeper,
        wire: Clock,
    ) -> None:
        self._state = state
        self._bridge = bridge
        self._journal = journal
        self._time = timekeeper
        self._keeper = keeper
        self._wire = wire
        self._sense = Sense(state, bridge)

    async def build(self, nonce: str, boot: str, acked: int) -> Reported:
        """The report of this moment, for the connection ``nonce``."""
        depth, oldest, _ = await self._journal.waiting(acked)
        epoch, rev = self._state.version
        return Reported(
            store=self._state.store,
            boot=boot,
            nonce=nonce,
            sent_at=ms(self._wire.now()),
            epoch=epoch,
            rev=rev,
            journal=self._journal.id,
            version=__version__,
            clock=self._time.read().quality,
            boards=self._boards(),
            values=self._values(),
            stays=tuple(
                StayReport(id=stay.id, room=stay.room, state=stay.state)
                for stay in self._state.stays.values()
                if stay.state is not StayState.ENDED or stay.id in self._state.paid
            ),
            overrides=tuple(
                Override(
                    binding=override.binding,
                    on=override.on,
                    until=override.until,
                    command=override.command,
                )
                for override in self._state.overrides.values()
            ),
            modes=tuple(
                ModeReport(room=room, mode=record.mode, until=record.until)
                for room, record in self._state.modes.items()
                if not record.over
            ),
            climates=tuple(
                ClimateReport(
                    binding=held.binding,
                    setpoint=held.aim.setpoint,
                    until=held.until,
                    command=held.command,
                )
                for held in self._state.climates.values()
                if held.aim.setpoint is not None
            ),
            airs=self._airs(),
            outbox=OutboxReport(
                depth=depth,
                oldest_at=oldest,
                full=self._journal.full(),
                in_memory=self._journal.in_memory,
            ),
        )

    def _boards(self) -> tuple[BoardReport, ...]:
        if self._state.desired is None:
            return ()
        reports = []
        for board in self._state.desired.boards:
            if board.id in self._keeper.unfit:
                report = BoardReport(
                    id=board.id, state="refused", detail=self._keeper.unfit[board.id], why="unfit"
                )
            else:
                seen = self._bridge.board_state(board.id)
                report = BoardReport(
                    id=board.id, state=seen.state, detail=seen.detail, why=seen.why
                )
            reports.append(report)
        return tuple(reports)

    def _airs(self) -> tuple[AirReport, ...]:
        found = []
        for binding in self._state.bindings.values():
            if binding.capability != Capability.CLIMATE_SET:
                continue
            air = self._bridge.air(binding.board, binding.channel)
            held = self._state.climates.get(binding.id)
            worst = next((r for r in (air.mode, air.fan) if r.quality not in ("ok", "never")), None)
            found.append(
                AirReport(
                    binding=binding.id,
                    mode=air.mode.value,
                    fan=air.fan.value,
                    quality=Quality((worst or air.setpoint).quality),
                    modes=air.modes,
                    fans=air.fans,
                    until=None if held is None else held.until,
                )
            )
        return tuple(found)

    def _values(self) -> dict[str, Value]:
        """By binding; the bridge's monotonic instants become wire time."""
        now_ms, now_s = ms(self._wire.now()), self._wire.monotonic()
        values = {}
        for binding in self._state.bindings.values():
            reading = self._sense.reading(binding)
            at: Millis | None = None
            if reading.read_at is not None:
                at = max(0, now_ms - round((now_s - reading.read_at) * 1000))
            values[binding.id] = Value(value=reading.value, quality=Quality(reading.quality), at=at)
        return values
