"""Who may enter: pure rules with a closed list of refusals, the same for a tap and for a pass."""

from __future__ import annotations

from controller import schedule
from controller.journal.store import Journal
from controller.state import StoreState
from controller.stay import StayRecord
from controller.timekeeper import Now
from store_link.messages import ClockQuality, Desired, Door, Reason, Room, StayState
from store_link.passes import TOLERANCE_S, Pass, pin_matches
from store_link.rules import StaffKey
from store_link.staff_keys import Kind, staff_key_matches

FRESH_S = 180  # a phone renews its pass every minute; older than this it is a kept one


def may_enter(
    state: StoreState, door: Door, grant: str, now: Now, claim: Pass | None = None
) -> tuple[StayRecord | None, Reason | None]:
    """The stay for which ``door`` opens to ``grant`` now, or why it does not.

    ``state.stays`` must have been advanced to ``now``. ``claim`` is a verified pass: where the store
    has not heard of its grant yet, the answer is a new stay, open within the pass's own window, which
    the caller keeps once the door was opened for it.
    """
    if grant in state.revoked:
        return None, Reason.REVOKED
    stays = [stay for stay in state.stays.values() if stay.grant == grant]
    if not stays:
        return (None, Reason.NO_GRANT) if claim is None else _begin(state, door, claim, now)
    here = [stay for stay in stays if stay.room in door.rooms]
    if not here:
        return None, Reason.OTHER_ROOM
    for stay in here:
        if stay.state in (StayState.OPEN, StayState.IN_USE):
            return stay, None
    if any(stay.state is StayState.SCHEDULED and now.ms < stay.opens for stay in here):
        return None, Reason.TOO_EARLY
    return None, Reason.OVER


def _begin(
    state: StoreState, door: Door, claim: Pass, now: Now
) -> tuple[StayRecord | None, Reason | None]:
    """A stay that begins by a pass. Its id is the grant's, until the document brings its own."""
    starts, ends = claim.not_before * 1000, claim.expires * 1000
    if now.ms < starts - TOLERANCE_S * 1000:
        return None, Reason.TOO_EARLY
    if now.ms >= ends:
        return None, Reason.OVER
    for room in rooms_of(state.desired, door):
        if room.index in claim.room_indexes:
            begun = StayRecord(
                id=claim.grant,
                room=room.id,
                grant=claim.grant,
                starts=starts,
                ends=ends,
                opens=starts,
                grace_s=room.grace_s,
                cap_s=room.overtime_cap_s,
                state=StayState.OPEN,
                since=now.line,
            )
            return begun, None
    return None, Reason.OTHER_ROOM


def rooms_of(desired: Desired | None, door: Door) -> list[Room]:
    """The rooms whose guests may open ``door``."""
    return [] if desired is None else [room for room in desired.rooms if room.id in door.rooms]


def by_pin(
    state: StoreState, door: Door, pin: str, now: Now, mac_key: bytes
) -> tuple[StayRecord | None, Reason | None]:
    """The stay for which ``door`` opens to a typed PIN now, or why it does not.

    With a clock that cannot be trusted a PIN lets in only those whose stay runs.
    """
    for verifier in () if state.desired is None else state.desired.pins:
        if pin_matches(mac_key, verifier.grant, pin, verifier.hmac):
            stay, reason = may_enter(state, door, verifier.grant, now)
            untrusted = now.quality is ClockQuality.UNTRUSTED
            if stay is not None and untrusted and stay.state is not StayState.IN_USE:
                return None, Reason.CLOCK_UNTRUSTED
            return stay, reason
    return None, Reason.WRONG_PIN


async def too_often(state: StoreState, journal: Journal, grant: str, now: Now) -> Reason | None:
    """Why a grant that may enter may not do so again just now: the store's rules of entry.

    Asked only where there are such rules: most stores have none.
    """
    rules = None if state.desired is None else state.desired.entry
    if rules is None or not (rules.most or rules.again_after_s):
        return None
    uses, last_at = await journal.uses(grant)
    if rules.most and uses >= rules.most:
        return Reason.USED_UP
    if last_at is not None and 0 <= now.ms - last_at < rules.again_after_s * 1000:
        return Reason.USED_LATELY
    return None


def by_staff(
    state: StoreState, door: Door, kind: Kind, text: str, now: Now, mac_key: bytes
) -> tuple[str | None, Reason | None]:
    """The member of staff for whom ``door`` opens to this card or code now, or why it does not.

    The second is None only with the first; a reason with a name says whose it was. With a clock that
    cannot be trusted times are not asked: somebody must be able to come and mend it.
    """
    for key in () if state.desired is None else state.desired.staff:
        if key.kind == kind and staff_key_matches(mac_key, kind, key.staff, text, key.hmac):
            return key.staff, _staff_refusal(state, key, door, now)
    return None, Reason.NO_GRANT if kind == "card" else Reason.WRONG_PIN


def _staff_refusal(state: StoreState, key: StaffKey, door: Door, now: Now) -> Reason | None:
    if key.doors is not None and door.id not in key.doors:
        return Reason.OTHER_ROOM
    if now.quality is ClockQuality.UNTRUSTED:
        return None
    if key.until is not None and now.ms >= key.until:
        return Reason.OVER
    if key.begins is not None and key.ends is not None and state.desired is not None:
        clock = schedule.local_clock(state.desired, now)
        if not schedule.within(clock, key.begins, key.ends):
            return Reason.TOO_EARLY
    return None


def needs_pin(claim: Pass, now: Now, *, link_up: bool, has_keys: bool) -> bool:
    """Whether this pass alone is not enough: kept for long while a fresh one could be had.

    At a reader without keys a phone in a dead spot could not type its PIN: there a pass that was
    renewed once counts for its whole window, and only one made for keeping is refused.
    """
    if not link_up:
        return False
    if not claim.rotating:
        return True
    return has_keys and now.ms - claim.not_before * 1000 > FRESH_S * 1000


def extends(state: StoreState, claim: Pass, ahead_ms: int) -> bool:
    """Whether the pass brings a later end than the applied document, and was made after it.

    ``ahead_ms`` is by how much business time is ahead of wire time, which the document carries.
    """
    if state.desired is None or not claim.rotating:
        return False
    newer = claim.not_before * 1000 > state.desired.sent_at + ahead_ms
    return newer and any(
        stay.grant == claim.grant and not stay.finished and claim.expires * 1000 > stay.ends
        for stay in state.paid.values()
    )
