"""How far it is to a store: the great circle (haversine) on a round earth, good to half a per cent."""

from __future__ import annotations

from math import asin, cos, radians, sin, sqrt
from typing import Final

from cloud_api.stores.models import Store

EARTH_M: Final = 6_371_008.8  # mean radius, IUGG


def distance_m(store: Store, place: tuple[float, float] | None) -> int | None:
    """Metres from ``place`` (latitude, longitude in degrees); None where one of both has no position."""
    if place is None or store.lat is None or store.lon is None:
        return None
    return metres(place, (store.lat, store.lon))


def metres(here: tuple[float, float], there: tuple[float, float]) -> int:
    """Between two positions in degrees."""
    lat1, lon1, lat2, lon2 = map(radians, (*here, *there))
    inner = sin((lat2 - lat1) / 2) ** 2 + cos(lat1) * cos(lat2) * sin((lon2 - lon1) / 2) ** 2
    return round(2 * EARTH_M * asin(sqrt(min(1.0, inner))))
