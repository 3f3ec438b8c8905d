"""Codes at the door: passes, PINs, staff's cards and codes; judged alone, whether or not a cloud is there.

A code is looked at once. It is verified, its use is written down, and then the lock is pulsed; the stay
begins, and is written, the moment the board has answered. A crash in between is reported as unknown and never
pulsed again (left_over.py). Whoever tries many bad codes is
slowed down; a good pass opens the door all the same. The code itself is written nowhere.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, field

import structlog
from ulid import ULID

from controller.access import by_pin, by_staff, extends, may_enter, needs_pin, rooms_of, too_often
from controller.entries import By, Entries, Entry, instant
from controller.journal.store import ENTRY, Journal, JournalError
from controller.journal.tx import Tx
from controller.modes import open_to_all
from controller.pulsing import Pulsing
from controller.reconcile import Reconciler
from controller.state import StoreState
from controller.stay import StayRecord
from controller.timekeeper import Now, Timekeeper
from firmware_bridge.contract import BoardEvent, Bridge, Capability
from store_link.clock import from_ms
from store_link.messages import (
    AccessBody,
    AckState,
    Binding,
    Door,
    EventKind,
    Reason,
    VoucherBody,
)
from store_link.passes import PassError, PassReason, parse, verify
from store_link.staff_keys import Kind, is_code

log = structlog.get_logger(__name__)

BAD_CODES = 5
WITHIN_S = 60.0
PAUSE_S = 30.0

_PIN = re.compile(r"[0-9]{6}", re.ASCII)
_VOUCHER = re.compile(r"KV1\.[0-9A-Z]{26}\.[0-9]{1,12}\.[0-9a-f]{32}", re.ASCII)
SAME_VOUCHER_S = 8.0  # a phone held before a reader is read more than once
NO_LINK = "voucher_offline"  # the clip that a speaker at the door plays, where it has it
_CODE_DOMAIN = b"kaimen/1/code\n"
# What somebody produces who tries: the others are refusals of codes that the cloud did sign.
_MADE_UP = frozenset(
    {
        PassReason.LENGTH,
        PassReason.PREFIX,
        PassReason.MALFORMED,
        PassReason.UNKNOWN_KEY,
        PassReason.BAD_SIGNATURE,
    }
)


class Refused(Exception):
    """A code that opens nothing. ``made_up``: it counts as an attempt."""

    def __init__(
        self,
        reason: Reason,
        grant: str | None = None,
        *,
        made_up: bool = False,
        staff: str | None = None,
    ) -> None:
        super().__init__(reason.value)
        self.reason = reason
        self.grant = grant
        self.made_up = made_up
        self.staff = staff


@dataclass(frozen=True, slots=True)
class Shown:
    """What was held before a reader or typed at it. The text is in no repr: it opens doors."""

    text: str = field(repr=False)
    card: bool = False

    @property
    def key(self) -> Kind | None:
        """What of staff's this may be."""
        if self.card:
            return "card"
        return "code" if is_code(self.text) else None

    @property
    def typed(self) -> bool:
        """Whether somebody may have tried it out by hand."""
        return not self.card and (is_code(self.text) or _PIN.fullmatch(self.text) is not None)

    @property
    def by(self) -> By:
        """What the entry is called in events."""
        if self.key is not None:
            return "staff"
        return "pin" if self.typed else "pass"


@dataclass(slots=True)
class Attempts:
    """Bad codes at one door. Times are seconds on the store's line."""

    at: deque[float] = field(default_factory=lambda: deque(maxlen=BAD_CODES))
    paused_until: float = 0.0

    def paused(self, now: Now) -> bool:
        """Whether PINs are not tried and bad codes not noted at this moment."""
        return now.line < self.paused_until

    def bad(self, now: Now) -> bool:
        """Count one; True if that was one too many."""
        self.at.append(now.line)
        if len(self.at) < BAD_CODES or now.line - self.at[0] > WITHIN_S:
            return False
        self.at.clear()
        self.paused_until = now.line + PAUSE_S
        return True


class Readers:
    """Hears codes and opens doors. ``hear`` may be given to ``Bridge.on_event``."""

    def __init__(
        self,
        *,
        state: StoreState,
        journal: Journal,
        bridge: Bridge,
        reconciler: Reconciler,
        timekeeper: Timekeeper,
        business_ahead_ms: Callable[[], int],
        mac: bytes,
        link_up: Callable[[], bool],
        pulsing: Pulsing,
        say: Callable[[tuple[str, ...], str], None] = lambda _rooms, _clip: None,
    ) -> None:
        self._say = say
        self._vouchers: dict[str, tuple[str, float]] = {}  # door → what was shown last, and when
        self._state = state
        self._journal = journal
        self._reconciler = reconciler
        self._time = timekeeper
        self._ahead_ms = business_ahead_ms
        self._mac = mac
        self._link_up = link_up
        self._pulsing = pulsing
        self._entries = Entries(state, journal, bridge, reconciler, timekeeper, pulsing)
        self._attempts: dict[str, Attempts] = {}
        self._one_at_a_time = asyncio.Lock()  # uses are counted one after the other
        self._tasks: set[asyncio.Task[None]] = set()

    def hear(self, event: BoardEvent) -> None:
        """Take what a device said; returns at once."""
        card = event.capability is Capability.INPUT_CARD
        if not card and event.capability is not Capability.INPUT_CODE:
            return
        for door in self._state.doors.values():
            reader = self._state.bindings.get((door.cards if card else door.reader) or "")
            if reader is not None and reader.board == event.board and _hears(reader, card=card):
                shown = Shown(event.value, card=card)
                task = asyncio.create_task(self.read(door, reader, shown), name="code")
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
                return

    async def drain(self, timeout_s: float) -> None:
        """Let entries that are under way end, within ``timeout_s``."""
        if self._tasks:
            await asyncio.wait(list(self._tasks), timeout=timeout_s)

    async def read(self, door: Door, reader: Binding, shown: Shown) -> None:
        """Judge one code at ``door`` and act on it."""
        try:
            if not shown.card and _VOUCHER.fullmatch(shown.text):
                await self._ask_cloud(door, shown)
                return
            async with self._one_at_a_time:
                entry = await self._judge(door, reader, shown)
            if entry is not None:
                await self._entries.open(entry)
        except JournalError:
            # A use that cannot be counted opens nothing; that somebody stood here is told later.
            body = AccessBody(
                door=door.id, by=shown.by, outcome=AckState.FAILED, reason=Reason.DEVICE_ERROR
            )
            self._journal.owe(self._time.read(), lambda tx: tx.event(EventKind.ACCESS, body))
        except Exception:
            log.exception("code_failed")  # the code is in no local of a logged frame

    async def _ask_cloud(self, door: Door, shown: Shown) -> None:
        """A voucher: only the cloud knows whether it is whole. Asked now or not at all.

        Without a link it stays as it is, and the door says so; nothing is kept to be asked later.
        """
        now = self._time.read()
        code = self._hash(shown.text)
        last, at = self._vouchers.get(door.id, ("", 0.0))
        if code == last and now.line - at < SAME_VOUCHER_S:
            return
        self._vouchers[door.id] = (code, now.line)
        desired = self._state.desired
        if not self._link_up() or desired is None or not desired.entry.vouchers:
            log.info("voucher_shown_offline", door=door.id)
            self._say(door.rooms, NO_LINK)
            return
        log.info("voucher_shown", door=door.id)
        body = VoucherBody(door=door.id, text=shown.text)

        async def write(tx: Tx) -> None:
            await tx.event(EventKind.VOUCHER, body)

        await self._journal.keep(now, write)

    # ------------------------------------------------------------------------------------ judging

    async def _judge(self, door: Door, reader: Binding, shown: Shown) -> Entry | None:
        try:
            now = await self._reconciler.tick()
        except JournalError:
            now = self._time.read()
        attempts = self._attempts.setdefault(door.id, Attempts())
        anybody = open_to_all(self._state.modes, door, now)
        if shown.typed and attempts.paused(now) and not anybody:
            return None
        try:
            if shown.key is not None:
                staff = self._staff(door, shown.key, shown.text, now)
                return await self._let_in(door, shown, now, staff)
            stay = await self._guest(door, reader, shown, now)
            return await self._admit(door, shown.by, stay, now)
        except Refused as refusal:
            if anybody and refusal.reason is not Reason.PULSE_RUNNING:
                return await self._let_in(door, shown, now, refusal.staff)
            await self._refuse(door, shown, refusal, now, attempts)
            return None

    def _staff(self, door: Door, kind: Kind, text: str, now: Now) -> str:
        staff, reason = by_staff(self._state, door, kind, text, now, self._mac)
        if staff is None or reason is not None:
            unknown = staff is None
            raise Refused(reason or Reason.NO_GRANT, made_up=unknown, staff=staff)
        return staff

    async def _let_in(self, door: Door, shown: Shown, now: Now, staff: str | None) -> Entry | None:
        """Staff, or anybody where the door is open to all: nothing is counted."""
        lock = self._state.lock_of(door)
        if lock is None:
            raise Refused(Reason.UNKNOWN_TARGET, staff=staff)
        if not self._pulsing.take(door):
            if staff is None:
                return None
            raise Refused(Reason.PULSE_RUNNING, staff=staff)
        how = shown.key if shown.by == "staff" else None
        told = {"door": door.id, "by": shown.by, "staff": staff, "how": how, "at": instant(now)}
        entry = Entry(f"{ENTRY}{ULID()}", door, lock, shown.by, told, staff=staff, how=how)
        try:
            async with self._journal.write(now) as tx:
                await tx.put(entry.key, told)
        except BaseException:
            self._pulsing.give_back(door)
            raise
        return entry

    async def _guest(self, door: Door, reader: Binding, shown: Shown, now: Now) -> StayRecord:
        if shown.typed:
            stay, reason = by_pin(self._state, door, shown.text, now, self._mac)
            if stay is None:
                wrong = reason is Reason.WRONG_PIN
                raise Refused(reason or Reason.WRONG_PIN, made_up=wrong)
        else:
            stay = await self._by_pass(door, reader, shown.text, now)
        often = await too_often(self._state, self._journal, stay.grant, now)
        if often is not None:
            raise Refused(often, stay.grant)
        return stay

    async def _by_pass(self, door: Door, reader: Binding, text: str, now: Now) -> StayRecord:
        try:
            grant = parse(text).grant
            uses, _ = await self._journal.uses(grant)
            claim = verify(
                text,
                store=self._state.store,
                ring=self._state.keys,
                now=from_ms(now.ms),
                clock_quality=now.quality,
                revoked=self._state.revoked,
                door_rooms=[room.index for room in rooms_of(self._state.desired, door)],
                uses_of_grant=lambda _: uses,
            )
        except PassError as error:
            made_up = error.reason in _MADE_UP
            raise Refused(error.reason.reason, made_up=made_up) from None
        link_up = self._link_up()
        if not link_up and extends(self._state, claim, self._ahead_ms()):
            now = await self._carry(claim.grant, claim.expires * 1000)
        stay, reason = may_enter(self._state, door, claim.grant, now, claim)
        if stay is None:
            raise Refused(reason or Reason.NO_GRANT, claim.grant)
        has_keys = reader.role == "keypad"
        if needs_pin(claim, now, link_up=link_up, has_keys=has_keys):
            raise Refused(Reason.PIN_NEEDED, claim.grant)
        return stay

    async def _carry(self, grant: str, ends: int) -> Now:
        """An extension that the document does not know of yet came with the pass."""
        async with self._reconciler.lock:
            carried = {**self._state.carried, grant: ends}
            async with self._journal.write(self._time.read()) as tx:
                await tx.put("carried", carried)
            self._state.carry(grant, ends)
        return await self._reconciler.tick()

    async def _admit(self, door: Door, by: By, stay: StayRecord, now: Now) -> Entry:
        """Write the use down; from here on nobody else pulses the lock."""
        lock = self._state.lock_of(door)
        if lock is None:
            raise Refused(Reason.UNKNOWN_TARGET, stay.grant)
        if not self._pulsing.take(door):
            raise Refused(Reason.PULSE_RUNNING, stay.grant)
        told = {"door": door.id, "by": by, "grant": stay.grant, "stay": stay.id, "at": instant(now)}
        if self._state.present(stay) is None:  # it begins by the pass, and is nowhere else yet
            told["begins"] = asdict(stay)
        entry = Entry(f"{ENTRY}{ULID()}", door, lock, by, told, stay)
        try:
            async with self._journal.write(now) as tx:
                await tx.use_grant(stay.grant)
                await tx.put(entry.key, told)
        except BaseException:
            self._pulsing.give_back(door)
            raise
        return entry

    async def _refuse(
        self, door: Door, shown: Shown, refusal: Refused, now: Now, attempts: Attempts
    ) -> None:
        paused = attempts.paused(now)
        if refusal.made_up and paused:
            return  # nobody fills our disk by scanning nonsense
        too_many = refusal.made_up and attempts.bad(now)
        by = shown.by
        log.info("code_refused", door=door.id, by=by, reason=refusal.reason.value)
        running = refusal.reason is Reason.PULSE_RUNNING
        body = AccessBody(
            door=door.id,
            by=by,
            grant=refusal.grant,
            outcome=AckState.DUPLICATE if running else AckState.REFUSED,
            reason=refusal.reason,
            code=self._hash(shown.text),
            staff=refusal.staff,
            how=shown.key if by == "staff" else None,
        )
        if too_many:
            log.warning("codes_slowed", door=door.id, for_s=PAUSE_S)

        async def write(tx: Tx) -> None:
            await tx.event(EventKind.ACCESS, body)
            if too_many:
                slowed = {"door": door.id, "by": by, "outcome": "refused", "reason": "too_many"}
                await tx.event(EventKind.ACCESS, AccessBody.model_validate(slowed))

        await self._journal.keep(now, write)

    def _hash(self, text: str) -> str:
        """By which two refusals of one code can be told to be so; useless without the store's key."""
        digest = hmac.new(self._mac, _CODE_DOMAIN + text.encode(), hashlib.sha256)
        return digest.hexdigest()[:16]


def _hears(reader: Binding, *, card: bool) -> bool:
    wanted = Capability.INPUT_CARD if card else Capability.INPUT_CODE
    return reader.capability == wanted and reader.role in ("reader", "keypad")
