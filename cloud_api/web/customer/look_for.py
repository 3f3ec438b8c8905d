"""What somebody looks for on the first page: words, a place, and what the room has to be.

The place stands in a cookie of this browser session, rounded to about a hundred metres, and in no address.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, time
from typing import Final
from urllib.parse import urlencode

from cloud_api.claims.find import Wanted
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.money import yuan
from cloud_api.web.pages import Visit
from cloud_api.web.view_models import FilterChip

PLACE_COOKIE: Final = "kaimen_place"
NOW: Final = "now"
TONIGHT: Final = "tonight"
_EVENING: Final = time(19)
_SEATS: Final = (4, 6, 8)
_CHEAP_FEN: Final = 4000  # an hour


@dataclass(frozen=True, slots=True)
class Looked:
    """The first page's own question, as it stands in its address."""

    q: str = ""
    when: str = ""
    seats: int = 0
    most_fen: int = 0

    def href(self, **other: object) -> str:
        """The first page with something else asked."""
        asked = replace(self, **other)  # type: ignore[arg-type]
        told = {"q": asked.q, "when": asked.when, "seats": asked.seats, "most_fen": asked.most_fen}
        query = urlencode({name: value for name, value in told.items() if value})
        return f"/?{query}" if query else "/"

    def wanted(self, seen: Visit) -> Wanted:
        """As the search takes it. "Tonight" is from seven, or from now where that is later."""
        evening = datetime.combine(seen.now.date(), _EVENING, seen.zone)
        return Wanted(
            text=self.q.strip().replace("\0", ""),
            place=place_of(seen),
            seats=max(0, min(self.seats, 100)),
            most_fen=self.most_fen if self.most_fen > 0 else None,
            free_now=self.when == NOW,
            free_at=max(evening, seen.now) if self.when == TONIGHT else None,
        )

    def chips(self) -> tuple[FilterChip, ...]:
        """One tap asks, another takes it back."""
        now, tonight = self.when == NOW, self.when == TONIGHT
        cheap = self.most_fen == _CHEAP_FEN
        return (
            FilterChip(_("现在能进"), self.href(when="" if now else NOW), now),
            FilterChip(_("今晚"), self.href(when="" if tonight else TONIGHT), tonight),
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
