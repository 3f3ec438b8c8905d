"""What somebody looks for on the first page: words, a place, a time, and what the room has to be.

The place stands in a cookie of this browser session, rounded to about a hundred metres, and in no address.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta
from typing import Final
from urllib.parse import urlencode

from cloud_api.claims.find import Wanted
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.money import yuan
from cloud_api.stores.facilities import KINDS, WORDS
from cloud_api.web import words
from cloud_api.web.customer.changes import day_word, local_time, times
from cloud_api.web.pages import Visit
from cloud_api.web.view_models import FilterChip
from cloud_api.web.view_models.booking import FindForm

PLACE_COOKIE: Final = "kaimen_place"
NOW: Final = "now"
TONIGHT: Final = "tonight"
_EVENING: Final = time(19)
_SEATS: Final = (4, 6, 8)
_CHEAP_FEN: Final = 4000  # an hour
_AHEAD_DAYS: Final = 14
_STEP: Final = 30  # minutes
_LENGTHS: Final = (60, 120, 180, 240, 300, 360, 480)
_ASKED: Final = tuple(kind for kind in KINDS if kind != "other")


@dataclass(frozen=True, slots=True)
class Looked:
    """The first page's own question, as it stands in its address. ``day`` and ``time`` are local."""

    q: str = ""
    when: str = ""
    seats: int = 0
    most_fen: int = 0
    day: str = ""
    time: str = ""
    minutes: int = 0
    facility: tuple[str, ...] = ()
    house: str = ""  # a merchant's own front: its stores alone

    def parts(self, **other: object) -> tuple[tuple[str, str], ...]:
        """What is asked, with something else; a chosen time and now or tonight exclude each other."""
        asked = replace(self, **other)  # type: ignore[arg-type]
        if not asked.day:
            asked = replace(asked, time="", minutes=0)
        told: list[tuple[str, object]] = [
            ("when", "" if asked.day else asked.when),
            ("seats", asked.seats),
            ("most_fen", asked.most_fen),
            ("day", asked.day),
            ("time", asked.time),
            ("minutes", asked.minutes),
            *(("facility", kind) for kind in asked.facility if kind in _ASKED),
            ("house", asked.house),
        ]
        return tuple((name, str(value)) for name, value in told if value)

    def href(self, **other: object) -> str:
        """The first page with something else asked."""
        query = urlencode([*([("q", self.q)] if self.q else []), *self.parts(**other)])
        return f"/?{query}" if query else "/"

    def at(self, seen: Visit) -> datetime | None:
        """The time that was chosen, not before now; None where none was, or none that there is."""
        asked = local_time(seen, self.day, self.time)
        near = asked is not None and asked.date() <= seen.now.date() + timedelta(days=366)
        return max(asked, seen.now) if asked is not None and near else None

    def wanted(self, seen: Visit) -> Wanted:
        """As the search takes it. "Tonight" is from seven, or from now where that is later."""
        evening = datetime.combine(seen.now.date(), _EVENING, seen.zone)
        at = self.at(seen)
        if at is None and self.when == TONIGHT:
            at = max(evening, seen.now)
        return Wanted(
            text=self.q.strip().replace("\0", ""),
            place=place_of(seen),
            seats=max(0, min(self.seats, 100)),
            facilities=frozenset(self.facility) & frozenset(_ASKED),
            most_fen=self.most_fen if self.most_fen > 0 else None,
            free_now=self.when == NOW and at is None,
            free_at=at,
            minutes=self.minutes or None,
            merchant_id=self.house,
        )

    def chips(self, seen: Visit) -> tuple[FilterChip, ...]:
        """One tap asks, another takes it back; what was chosen in the sheet stands first."""
        now, tonight = self.when == NOW, self.when == TONIGHT
        cheap = self.most_fen == _CHEAP_FEN
        at = self.at(seen)
        chosen = [
            FilterChip(
                _(WORDS[kind]),
                self.href(facility=tuple(other for other in self.facility if other != kind)),
                True,
            )
            for kind in self.facility
            if kind in _ASKED
        ]
        if at is not None:
            text = words.moment(at, seen.now)
            if self.minutes:
                text = f"{text} · {words.hours(self.minutes)}"
            chosen.insert(0, FilterChip(text, self.href(day=""), True))
        return (
            *chosen,
            FilterChip(_("现在能进"), self.href(when="" if now else NOW, day=""), now),
            FilterChip(_("今晚"), self.href(when="" if tonight else TONIGHT, day=""), tonight),
            *(
                FilterChip(
                    _("{n} 人").format(n=n),
                    self.href(seats=0 if self.seats == n else n),
                    self.seats == n,
                )
                for n in _SEATS
            ),
            FilterChip(
                _("{sum}/小时以内").format(sum=yuan(_CHEAP_FEN)),
                self.href(most_fen=0 if cheap else _CHEAP_FEN),
                cheap,
            ),
        )

    def form(self, seen: Visit) -> FindForm:
        """The sheet in which a time and facilities are chosen."""
        at, today = self.at(seen), seen.now.date()
        hour = seen.now.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
        shown = f"{at or hour:%H:%M}"
        kept = [*([("q", self.q)] if self.q else [])]
        kept += [(n, v) for n, v in self.parts(day="", facility=()) if n != "when" or at is None]
        return FindForm(
            keep=tuple(kept),
            days=(
                ("", _("不限时间")),
                *(
                    (day.isoformat(), day_word(day, today))
                    for day in (today + timedelta(days=n) for n in range(_AHEAD_DAYS + 1))
                ),
            ),
            times=tuple((text, text) for text in times(_STEP, shown)),
            lengths=tuple((n, words.hours(n)) for n in _LENGTHS),
            facilities=tuple((kind, _(WORDS[kind])) for kind in _ASKED),
            day=at.date().isoformat() if at is not None else "",
            time=shown,
            minutes=self.minutes or 120,
            chosen=self.facility,
        )


def place_of(seen: Visit) -> tuple[float, float] | None:
    """Latitude and longitude in degrees, if this browser told them and they are on the earth."""
    parts = seen.request.cookies.get(PLACE_COOKIE, "").split("_")
    try:
        lat, lng = (float(part) for part in parts)
    except ValueError:
        return None
    return (lat, lng) if -90 <= lat <= 90 and -180 <= lng <= 180 else None


def away(metres: int | None) -> str:
    """``850 m``, ``1.2 km``, ``12 km``; "" where it is not known."""
    if metres is None:
        return ""
    if metres < 1000:
        return f"{round(metres, -1)} m"
    return f"{metres / 1000:.1f} km" if metres < 10_000 else f"{metres // 1000} km"
