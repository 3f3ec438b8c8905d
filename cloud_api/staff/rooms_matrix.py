"""The rows of the role matrix about rooms and their time: what everybody may see, and what staff may."""

from __future__ import annotations

from typing import Final

from cloud_api.staff.matrix_rows import ANYONE, Row, needs
from cloud_api.staff.permissions import STORE_READ

ROOMS: Final[dict[str, Row]] = {
    "GET /api/v1/stores": ANYONE,
    "GET /api/v1/stores/{store_id}": ANYONE,
    "GET /api/v1/stores/{store_id}/rooms": ANYONE,
    "GET /api/v1/stores/{store_id}/availability": ANYONE,
    "GET /api/v1/stores/{store_id}/live": ANYONE,
    "GET /api/v1/stores/{store_id}/calendar": ANYONE,
    "GET /api/v1/stores/{store_id}/media": ANYONE,
    "GET /api/v1/rooms/{room_id}": ANYONE,
    "GET /api/v1/rooms/{room_id}/availability": ANYONE,
    "GET /api/v1/rooms/{room_id}/menu": ANYONE,
    "GET /api/v1/rooms/{room_id}/booking-rules": ANYONE,
    "GET /api/v1/console/stores/{store_id}/live": needs(STORE_READ),
    "GET /api/v1/console/stores/{store_id}/calendar": needs(STORE_READ),
}
