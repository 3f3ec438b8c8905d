"""Takes in desired documents: verified, newer, kept on the disk, then in force."""

from __future__ import annotations

import contextlib

import structlog

from controller.journal.store import Journal, JournalError
from controller.journal.tx import Tx
from controller.reconcile import Reconciler
from controller.state import StoreState, parse_envelope
from controller.timekeeper import Timekeeper
from firmware_bridge.contract import BoardConfig, Bridge
from store_link.codec import CodecError, decode
from store_link.messages import Board, Desired, Reason
from store_link.signing import EnvelopeError, Purpose, open_signed

log = structlog.get_logger(__name__)


class DesiredKeeper:
    """Applies what the cloud wants. ``unfit`` names boards that this store cannot drive, and why."""

    def __init__(
        self,
        state: StoreState,
        journal: Journal,
        bridge: Bridge,
        reconciler: Reconciler,
        timekeeper: Timekeeper,
    ) -> None:
        self._state = state
        self._journal = journal
        self._bridge = bridge
        self._reconciler = reconciler
        self._time = timekeeper
        self.unfit: dict[str, str] = {}

    async def restore(self) -> None:
        """Put the kept document in force, at start."""
        kept = await self._journal.desired()
        if kept is None:
            return
        try:
            desired = parse_envelope(kept.payload)
        except CodecError:
            log.exception("kept_desired_unreadable")
            return
        self._state.adopt(desired)
        await self._configure(desired)

    async def take(self, envelope: bytes) -> bool:
        """Apply ``envelope`` if it is the cloud's, for this store, and newer. Returns whether.

        Raises EnvelopeError or CodecError for what is not a document of ours.
        """
        payload = open_signed(envelope, Purpose.DESIRED, self._state.store, self._state.keys)
        desired = decode(payload, Desired)
        if desired.store != self._state.store:
            raise EnvelopeError(Reason.OTHER_STORE)
        async with self._reconciler.lock:
            if (desired.epoch, desired.rev) <= self._state.version:
                return False

            async def write(tx: Tx) -> None:
                await tx.put_desired(desired.epoch, desired.rev, envelope)
                await tx.put("carried", {})

            # In force also where the disk has no room: after a restart the cloud sends it again.
            await self._journal.keep(self._time.read(), write)
            self._state.carried.clear()  # what passes brought is in the newer document, or undone
            self._state.adopt(desired)
            await self._configure(desired)
        log.info("desired_applied", epoch=desired.epoch, rev=desired.rev, stays=len(desired.stays))
        with contextlib.suppress(JournalError):
            await self._reconciler.tick()
        return True

    async def _configure(self, desired: Desired) -> None:
        """Tell the bridge its boards. A board that it refuses is left out and reported: the others,
        and the stays, must not suffer for it.
        """
        fit: list[BoardConfig] = []
        self.unfit = {}
        wanted = [_config(board) for board in desired.boards]
        try:
            await self._bridge.configure(wanted)
            return
        except (ValueError, KeyError) as error:
            log.warning("boards_refused", error=str(error))
        for config in wanted:
            try:
                await self._bridge.configure([*fit, config])
                fit.append(config)
            except (ValueError, KeyError) as error:
                self.unfit[config.id] = str(error)
        await self._bridge.configure(fit)


def _config(board: Board) -> BoardConfig:
    return BoardConfig(board.id, board.profile, board.port, dict(board.params))
