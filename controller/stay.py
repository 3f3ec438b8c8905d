"""The life of a stay as a pure machine: scheduled → open → in_use → grace → overtime → ended.

``advance`` takes a stay, what the cloud now says about it, the time, and what the room's devices
show; it returns the stay as it is now and the transitions on the way. No I/O, no clock.

The end of paid time (``due``) lies on the store's line from the first unlock on, so that no step of
the clock cuts a stay or stretches it. An extension moves ``due`` by the difference of the two ends.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from controller.occupancy import RESTING_W, Signs, Verdict, judge
from controller.timekeeper import Jump, Now
from controller.usage import usage_of
from store_link.messages import ClockQuality, Stay, StayBody, StayState, UsageBody

VACANT_AFTER_S = (
    60.0  # a presence sensor flickers: the room is vacated after so long without a sign
)
EVIDENCE_KEPT = 60  # changes per kind kept for the report
ARRIVAL_S = 300.0  # openings of the door so soon after the first unlock are the guests coming in
SETTLE_S = 20.0  # after grace, until a meter shows the room without the devices that were cut
RUNNING = frozenset({StayState.IN_USE, StayState.GRACE, StayState.OVERTIME})


@dataclass(frozen=True, slots=True)
class StayRecord:
    """One stay. ``*_s`` seconds; ``since``, ``due``, ``entered`` … are seconds on the line.

    ``due`` is the paid end, ``stopped`` an earlier one (finished, revoked), ``held``: power went on
    without a gap from the stay before, so somebody may sit there who never unlocked for this one.
    """

    id: str
    room: str
    grant: str
    starts: int
    ends: int
    opens: int
    grace_s: int
    cap_s: int
    state: StayState = StayState.SCHEDULED
    finished: bool = False
    since: float = 0.0
    due: float | None = None
    stopped: float | None = None
    anchor: ClockQuality | None = None
    held: bool = False
    entered: float | None = None
    entered_at: int | None = None
    taken_last: float | None = None
    over_since: float | None = None
    power_s: float = 0.0
    power_since: float | None = None
    unsure_from: float | None = None
    off_due: float | None = None
    off_seen: bool = False
    evidence: dict[str, Any] = field(default_factory=dict)
    ended_at: int | None = None
    door_was: bool | None = None  # open, as last seen
    opened_last: float | None = None  # last line at which the door stood open
    door_blind: float | None = None  # last line at which the contact could not be read
    energy_last: float | None = None  # the meter's counter, Wh
    energy_wh: float | None = None  # counted since the first unlock
    keep: bool = False  # power stays on in overtime, while somebody is inside
    former: str | None = None  # the room that the guests were moved out of, …
    former_until: float | None = None  # … and how long it keeps its light for them

    @property
    def running(self) -> bool:
        """Somebody may be in the room: in use, in grace or overtime."""
        return self.state in RUNNING

    @property
    def was_used(self) -> bool:
        """Somebody entered for it, or may have sat there from the stay before."""
        return self.entered is not None or self.held

    @property
    def use_end(self) -> float | None:
        """Line at which use ends: the paid end, or before it when the guest or staff ended it."""
        if self.due is None or self.stopped is None:
            return self.due
        return min(self.due, self.stopped)

    @property
    def grace_end(self) -> float | None:
        """Line at which power goes off."""
        return None if self.use_end is None else self.use_end + self.grace_s


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the room's devices show now; None where nothing tells (no device, or not believable).

    ``presence_silent``: a sensor of people is there and will answer in a moment.
    ``power_on`` is the table's; ``switched`` of any device that the store switches; ``drawn_w`` and
    ``energy_wh`` (a counter) are of the room's own meters; ``values`` by kind, for the report.
    """

    presence: bool | None = None
    presence_silent: bool = False
    power_on: bool | None = None
    switched: bool | None = None
    drawn_w: float | None = None
    resting_w: float = RESTING_W
    door_open: bool | None = None
    energy_wh: float | None = None
    values: dict[str, bool | float | None] = field(default_factory=dict)


NOTHING = Evidence()


@dataclass(frozen=True, slots=True)
class Advance:
    """A stay after ``advance``: its transitions in order, and its usage if it ended now."""

    stay: StayRecord
    transitions: tuple[StayBody, ...] = ()
    usage: UsageBody | None = None


def new(paid: Stay, cap_s: int, now: Now) -> StayRecord:
    """A stay that the store hears of for the first time."""
    return StayRecord(
        id=paid.id,
        room=paid.room,
        grant=paid.grant,
        starts=paid.starts,
        ends=paid.ends,
        opens=paid.opens,
        grace_s=paid.grace_s,
        cap_s=cap_s,
        finished=paid.finished,
        since=now.line,
    )


def follows(stay: StayRecord, other: StayRecord, now: Now) -> bool:
    """Whether ``other`` comes so soon after ``stay`` that power is not cut between the two."""
    if other.room != stay.room or other.id == stay.id or other.finished:
        return False
    if other.state not in (StayState.SCHEDULED, StayState.OPEN) or stay.starts >= other.starts:
        return False
    until = stay.ends + stay.grace_s * 1000
    if stay.grace_end is not None:
        until = now.ms + round((stay.grace_end - now.line) * 1000)
    return other.starts <= until


def unlocked(stay: StayRecord, now: Now) -> Advance:
    """The door opened for this stay: the first time it begins to be used."""
    if stay.state is not StayState.OPEN:
        return Advance(stay)
    entered = replace(
        stay,
        entered=now.line,
        entered_at=now.ms,
        due=now.line + (stay.ends - now.ms) / 1000,
        anchor=now.quality,
    )
    return _to(entered, StayState.IN_USE, "unlock", now)


def advance(
    stay: StayRecord,
    paid: Stay | None,
    now: Now,
    seen: Evidence = NOTHING,
    successor: StayRecord | None = None,
    *,
    revoked: bool = False,
) -> Advance:
    """Bring ``stay`` to ``now``.

    ``paid`` is the cloud's present word (None: no longer listed), ``seen`` what the room shows,
    ``successor`` the next stay of the room if it follows directly, ``revoked`` whether its grant is.
    """
    extended = paid is not None and paid.ends > stay.ends and not paid.finished
    later = paid is not None and paid.opens > stay.opens
    stay = _hear(stay, paid, now)
    stay = _anchor(stay, now)
    stay = _measure(stay, now, seen)
    steps: list[StayBody] = []
    usage: UsageBody | None = None
    found = verdict(stay, seen)
    while True:
        step = _next(
            stay, paid, now, found, successor, extended=extended, later=later, revoked=revoked
        )
        if step is None:
            return Advance(stay, tuple(steps), usage)
        moved = _to(stay, step[0], step[1], now)
        stay, usage = moved.stay, moved.usage or usage
        steps.extend(moved.transitions)
        extended = False


def moved(stay: StayRecord, jumps: Iterable[Jump]) -> StayRecord:
    """The stay after the line jumped: instants noted since the gap keep their distance to now."""
    for jump in jumps:
        marks = {
            name: value + jump.by_s
            for name in (
                *("since", "entered", "taken_last", "over_since", "power_since"),
                *("opened_last", "door_blind"),
            )
            if (value := getattr(stay, name)) is not None and jump.moves(value)
        }
        if stay.former_until is not None and stay.former_until >= jump.after:
            marks["former_until"] = stay.former_until + jump.by_s
        if "entered" in marks and stay.due is not None:
            marks["due"] = stay.due + jump.by_s
        stay = replace(stay, **marks)
    return stay


def _hear(stay: StayRecord, paid: Stay | None, now: Now) -> StayRecord:
    if paid is None:
        return stay
    due = stay.due
    if due is not None:
        due += (paid.ends - stay.ends) / 1000
    elif stay.state is StayState.ENDED and stay.was_used and paid.ends > stay.ends:
        due = now.line + (paid.ends - now.ms) / 1000
    if paid.room != stay.room:
        stay = _move(stay, now)
    told: dict[str, Any] = {
        "room": paid.room,
        "grant": paid.grant,
        "starts": paid.starts,
        "ends": paid.ends,
        "opens": paid.opens,
        "grace_s": paid.grace_s,
        "finished": stay.finished or paid.finished,
        "due": due,
    }
    if all(getattr(stay, name) == value for name, value in told.items()):
        return stay  # nothing new, as at nearly every look
    heard = replace(stay, **told)
    if heard.over_since is not None and heard.grace_end is not None:
        # An extension pays up to its own end, also one that is heard after it: not charged again.
        heard = replace(heard, over_since=max(heard.over_since, heard.grace_end))
    return heard


def _move(stay: StayRecord, now: Now) -> StayRecord:
    """Into another room: what the devices of the old one showed says nothing of the new one, and
    guests who are inside have the time of a grace to carry their things over.
    """
    stay = replace(stay, door_was=None, opened_last=None, door_blind=now.line, energy_last=None)
    if not stay.running:
        return stay
    return replace(stay, former=stay.room, former_until=now.line + stay.grace_s, taken_last=None)


def _anchor(stay: StayRecord, now: Now) -> StayRecord:
    """Once the true time is known, a deadline set by a doubtful clock is set again by it; no stay
    gets longer than its own window by that.
    """
    if not stay.running or stay.due is None:
        return stay
    if now.unsure_from is not None and stay.unsure_from is None:
        stay = replace(stay, unsure_from=max(now.unsure_from, stay.entered or 0.0))
    elif now.unsure_from is None and now.quality is not ClockQuality.UNTRUSTED:
        stay = replace(stay, unsure_from=None)
    if now.quality is ClockQuality.SYNCED and stay.anchor is not ClockQuality.SYNCED:
        due = now.line + (stay.ends - now.ms) / 1000
        if stay.entered is not None:
            due = min(due, stay.entered + (stay.ends - stay.opens) / 1000)
        if stay.state is StayState.IN_USE:
            stay = replace(stay, due=due)
        stay = replace(stay, anchor=ClockQuality.SYNCED)
    return stay


def _measure(stay: StayRecord, now: Now, seen: Evidence) -> StayRecord:
    if stay.running:
        if seen.power_on and stay.power_since is None:
            stay = replace(stay, power_since=now.line)
        elif seen.power_on is False and stay.power_since is not None:
            stay = replace(
                stay, power_s=stay.power_s + now.line - stay.power_since, power_since=None
            )
        stay = _count_energy(_watch_door(stay, now, seen), seen)
        found = verdict(stay, seen)
        if found.taken:
            stay = replace(stay, taken_last=now.line)
        values: dict[str, bool | float | str | None] = dict(seen.values)
        if stay.state is not StayState.IN_USE:
            values["signs"] = "+".join(found.reasons) or None
        stay = _note(stay, now, values)
    return stay


def verdict(stay: StayRecord, seen: Evidence) -> Verdict:
    """Whether the room of a running stay is taken, by what its devices show and have shown."""
    opened_in = opened_end = None
    if stay.entered is not None and stay.door_was is not None:
        if stay.opened_last is not None:  # else nobody was seen to go in who could be inside still
            opened_in = _opened_since(stay, stay.entered + ARRIVAL_S)
        end = stay.use_end
        opened_end = None if end is None else _opened_since(stay, end)
    signs = Signs(
        presence=seen.presence,
        silent=seen.presence_silent,
        drawn_w=seen.drawn_w,
        switched=seen.switched,
        door_open=seen.door_open,
        opened_in=opened_in,
        opened_end=opened_end,
    )
    return judge(signs, seen.resting_w)


def _opened_since(stay: StayRecord, line: float) -> bool | None:
    if stay.opened_last is not None and stay.opened_last >= line:
        return True
    return None if stay.door_blind is not None and stay.door_blind >= line else False


def _watch_door(stay: StayRecord, now: Now, seen: Evidence) -> StayRecord:
    if seen.door_open is None:
        return replace(stay, door_blind=now.line)
    if seen.door_open and stay.entered is not None:
        stay = replace(stay, opened_last=now.line)
    return replace(stay, door_was=seen.door_open)


def _count_energy(stay: StayRecord, seen: Evidence) -> StayRecord:
    """Add what the counter went on by; one that fell was exchanged or reset, and began at zero."""
    if seen.energy_wh is None or stay.entered is None:
        return stay
    if stay.energy_last is None or stay.energy_wh is None:
        return replace(stay, energy_last=seen.energy_wh, energy_wh=stay.energy_wh or 0.0)
    fell = seen.energy_wh < stay.energy_last
    more = seen.energy_wh - (0.0 if fell else stay.energy_last)
    return replace(stay, energy_last=seen.energy_wh, energy_wh=stay.energy_wh + more)


def _note(stay: StayRecord, now: Now, values: dict[str, bool | float | str | None]) -> StayRecord:
    evidence = None
    for kind, value in values.items():
        noted = stay.evidence.get(kind, [])
        if value is None or (noted and noted[-1][1] == value) or len(noted) >= EVIDENCE_KEPT:
            continue
        evidence = evidence or dict(stay.evidence)
        evidence[kind] = [*noted, [now.ms, value]]
    return stay if evidence is None else replace(stay, evidence=evidence)


def _next(
    stay: StayRecord,
    paid: Stay | None,
    now: Now,
    found: Verdict,
    successor: StayRecord | None,
    *,
    extended: bool,
    later: bool,
    revoked: bool,
) -> tuple[StayState, str] | None:
    """The one step that is due, if any."""
    gone = revoked or paid is None
    match stay.state:
        case StayState.SCHEDULED | StayState.OPEN:
            return _before_entry(stay, now, gone=gone, later=later, revoked=revoked)
        case StayState.IN_USE:
            assert stay.due is not None
            if stay.finished or revoked:
                return StayState.GRACE, "finished" if stay.finished else "revoked"
            return (StayState.GRACE, "end") if now.line >= stay.due else None
        case StayState.GRACE | StayState.OVERTIME:
            again = _in_use_again(stay, now, extended=extended, gone=gone, revoked=revoked)
            if again is not None:
                return StayState.IN_USE, again
            assert stay.grace_end is not None
            if extended and stay.state is StayState.OVERTIME and now.line < stay.grace_end:
                return StayState.GRACE, "extended"
            if successor is not None and now.ms >= successor.starts:
                return StayState.ENDED, "next_stay"
            if stay.state is StayState.GRACE:
                return _after_grace(stay, now, found)
            return _in_overtime(stay, now, found)
        case StayState.ENDED:
            if extended and stay.due is not None and now.line < stay.due and not revoked:
                return StayState.IN_USE, "extended"
            if not (gone or stay.was_used or stay.finished) and now.ms < stay.ends:
                return StayState.SCHEDULED, "listed"  # moved out of the days told, and in again
    return None


def _in_use_again(
    stay: StayRecord, now: Now, *, extended: bool, gone: bool, revoked: bool
) -> str | None:
    """Why a stay whose use was over is in use again: extended, or its guests were in before their right was
    taken back, and have it again.
    """
    if stay.due is None or now.line >= stay.due or stay.finished or revoked:
        return None
    if extended:
        return "extended"
    in_grace = stay.state is StayState.GRACE and stay.stopped is not None
    return "given_back" if in_grace and not gone else None


def _before_entry(
    stay: StayRecord, now: Now, *, gone: bool, later: bool, revoked: bool
) -> tuple[StayState, str] | None:
    if stay.finished:
        return StayState.ENDED, "finished"
    if gone:
        return StayState.ENDED, "revoked" if revoked else "cancelled"
    if now.ms >= stay.ends:
        return (StayState.GRACE if stay.held else StayState.ENDED), "end"
    if stay.state is StayState.SCHEDULED and now.ms >= stay.opens:
        return StayState.OPEN, "window"
    if stay.state is StayState.OPEN and later and not stay.held and now.ms < stay.opens:
        return StayState.SCHEDULED, "moved"
    return None


def _after_grace(stay: StayRecord, now: Now, found: Verdict) -> tuple[StayState, str] | None:
    assert stay.grace_end is not None
    if now.line < stay.grace_end:
        return None
    if now.line >= stay.grace_end + stay.cap_s:
        return StayState.ENDED, "grace_over"  # found too late: nobody watched, nothing to charge
    lately = stay.taken_last is not None and now.line - stay.taken_last < VACANT_AFTER_S
    if not lately and found.pending and now.line < stay.grace_end + SETTLE_S:
        return None  # power is off; the meter will tell in a moment whether anything still draws
    return (StayState.OVERTIME if lately else StayState.ENDED), "grace_over"


def _in_overtime(stay: StayRecord, now: Now, found: Verdict) -> tuple[StayState, str] | None:
    assert stay.grace_end is not None
    if now.line >= stay.grace_end + stay.cap_s:
        return StayState.ENDED, "cap"
    last = stay.taken_last if stay.taken_last is not None else stay.since
    if not found.taken and now.line - last >= VACANT_AFTER_S:
        return StayState.ENDED, "vacated" if found.taken is False else "no_evidence"
    return None


def _to(stay: StayRecord, state: StayState, why: str, now: Now) -> Advance:
    step = StayBody(stay=stay.id, room=stay.room, was=stay.state, now=state, why=why)
    after = replace(stay, state=state, since=now.line)
    usage = None
    if state is StayState.GRACE:
        after = replace(after, over_since=None)
        if stay.due is None:
            after = replace(after, due=now.line - (now.ms - stay.ends) / 1000, anchor=now.quality)
        elif now.line < stay.due:
            after = replace(after, stopped=now.line)
    elif state is StayState.SCHEDULED:
        after = replace(after, due=None, off_due=None, off_seen=False, ended_at=None)
    elif state is StayState.OVERTIME:
        after = replace(after, over_since=stay.grace_end)
    elif state is StayState.IN_USE:
        after = replace(
            after, stopped=None, over_since=None, off_due=None, off_seen=False, ended_at=None
        )
    elif state is StayState.ENDED:
        after = _close(replace(after, state=stay.state), now)
        after = replace(after, state=state)
        usage = None if why == "cancelled" else usage_of(stay, after, now)
    return Advance(after, (step,), usage)


def _close(stay: StayRecord, now: Now) -> StayRecord:
    power_s = stay.power_s
    if stay.power_since is not None:
        power_s += now.line - stay.power_since
    kept = stay.keep and stay.state is StayState.OVERTIME
    off_due = now.line if kept else stay.grace_end
    return replace(stay, power_s=power_s, power_since=None, off_due=off_due, ended_at=now.ms)
