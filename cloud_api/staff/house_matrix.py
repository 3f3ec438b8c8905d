"""The rows of the role matrix about running the house: cleaning, members, the way to a store that is open.

What of it is whose is asked in the services.
"""

from __future__ import annotations

from typing import Final

from cloud_api.staff.matrix_rows import Row, needs
from cloud_api.staff.permissions import (
    CAMPAIGN_EDIT,
    CLEANING_DO,
    CLEANING_MANAGE,
    COUPON_EDIT,
    CUSTOMER_EDIT,
    CUSTOMER_MERGE,
    CUSTOMER_READ,
    DOOR_OPEN_CLEANING,
    ORDER_CANCEL,
    ORDER_READ,
    STORE_EDIT,
    STORE_READ,
    TICKET_HANDLE,
)

HOUSE: Final[dict[str, Row]] = {
    "GET /api/v1/console/members": needs(CUSTOMER_READ),
    "GET /api/v1/console/members/{account_id}": needs(CUSTOMER_READ),
    "PUT /api/v1/console/members/{account_id}/profile": needs(CUSTOMER_READ, CUSTOMER_EDIT),
    "PUT /api/v1/console/members/{account_id}/level": needs(CUSTOMER_READ, CUSTOMER_EDIT),
    "POST /api/v1/console/members/{account_id}/block": needs(CUSTOMER_READ, ORDER_CANCEL),
    "POST /api/v1/console/members/{account_id}/coupons": needs(CUSTOMER_READ, COUPON_EDIT),
    "POST /api/v1/console/members/{account_id}/merge": needs(
        CUSTOMER_READ, CUSTOMER_MERGE, fresh=True
    ),
    "POST /api/v1/console/bulk/members": needs(CUSTOMER_READ),
    "POST /api/v1/console/bulk/campaigns": needs(CAMPAIGN_EDIT),
    "POST /api/v1/console/bulk/tickets": needs(TICKET_HANDLE),
    "POST /api/v1/console/bulk/rooms": needs(STORE_READ),  # each act its own: bulk/rooms.py
    "POST /api/v1/console/bulk/orders": needs(ORDER_READ),  # and bulk/orders.py
    "POST /api/v1/console/bulk/orders/foresee": needs(ORDER_CANCEL),
    "GET /console/orders/cancel": needs(ORDER_READ, ORDER_CANCEL),
    "POST /api/v1/console/stores/{store_id}/boards": needs(STORE_EDIT),
    "DELETE /api/v1/console/boards/{board_id}": needs(STORE_EDIT),
    "POST /api/v1/console/boards/{board_id}/bindings": needs(STORE_EDIT),
    "DELETE /api/v1/console/bindings/{binding_id}": needs(STORE_EDIT),
    "POST /api/v1/console/stores/{store_id}/doors": needs(STORE_EDIT),
    "GET /console/opening": needs(STORE_EDIT),
    "GET /console/wiring": needs(STORE_EDIT),
    "GET /console/timeline": needs(ORDER_READ, STORE_READ),
    "GET /console/calendar": needs(ORDER_READ),
    "GET /console/members": needs(CUSTOMER_READ),
    "GET /console/members/{account_id}": needs(CUSTOMER_READ),
    "GET /api/v1/console/cleaning/tasks": needs(CLEANING_DO),
    "POST /api/v1/console/cleaning/tasks": needs(CLEANING_MANAGE),
    "GET /api/v1/console/cleaning/tasks/{task_id}": needs(CLEANING_DO),
    "POST /api/v1/console/cleaning/tasks/{task_id}/grab": needs(CLEANING_DO),
    "POST /api/v1/console/cleaning/tasks/{task_id}/give-up": needs(CLEANING_DO),
    "POST /api/v1/console/cleaning/tasks/{task_id}/start": needs(CLEANING_DO),
    "POST /api/v1/console/cleaning/tasks/{task_id}/finish": needs(CLEANING_DO),
    "POST /api/v1/console/cleaning/tasks/{task_id}/photos": needs(CLEANING_DO),
    "POST /api/v1/console/cleaning/tasks/{task_id}/doors/{door_id}/unlock": needs(
        CLEANING_DO, DOOR_OPEN_CLEANING
    ),
    "POST /api/v1/console/cleaning/tasks/{task_id}/assign": needs(CLEANING_MANAGE),
    "POST /api/v1/console/cleaning/tasks/{task_id}/approve": needs(CLEANING_MANAGE),
    "POST /api/v1/console/cleaning/tasks/{task_id}/reject": needs(CLEANING_MANAGE),
    "POST /api/v1/console/cleaning/tasks/{task_id}/call-off": needs(CLEANING_MANAGE),
    "GET /api/v1/console/stores/{store_id}/cleaning-rule": needs(CLEANING_MANAGE),
    "PUT /api/v1/console/stores/{store_id}/cleaning-rule": needs(CLEANING_MANAGE),
    "GET /api/v1/console/cleaning/sheet": needs(CLEANING_DO),
    "GET /api/v1/console/cleaning/sheet.csv": needs(CLEANING_DO),
    "GET /console/cleaning": needs(CLEANING_DO),
    "GET /console/cleaning/sheet": needs(CLEANING_DO),
    "GET /console/cleaning/rules": needs(CLEANING_MANAGE),
    "GET /console/cleaning/tasks/{task_id}": needs(CLEANING_DO),
}
