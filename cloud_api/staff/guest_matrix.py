"""The rows of the role matrix about what guests are shown, advised, and choose for themselves."""

from __future__ import annotations

from typing import Final

from cloud_api.staff.matrix_rows import ANYONE, PERSON, Row

GUESTS: Final[dict[str, Row]] = {
    "GET /brand/{merchant_id}.css": ANYONE,
    "GET /mini": ANYONE,  # where the mini-program begins
    "GET /mini/again": ANYONE,
    "GET /{name}.txt": ANYONE,  # by which WeChat sees whose the address is
    "GET /api/v1/groupbuy/recommendations": ANYONE,  # of a guest, from their own orders
    "GET /s/{store_id}/offers": ANYONE,
    "GET /api/v1/me/levels": PERSON,
    "GET /api/v1/me/notice-choices": PERSON,
    "PUT /api/v1/me/notice-choices": PERSON,
    "GET /me/notices/choices": PERSON,
    "POST /api/v1/orders/{order_id}/invoice": PERSON,
    "GET /api/v1/orders/{order_id}/invoice": PERSON,
    "POST /api/v1/orders/{order_id}/invoice/withdraw": PERSON,
    "GET /orders/{order_id}/invoice": PERSON,
    "POST /d/{token}": PERSON,  # a tap on the door without a script
}
