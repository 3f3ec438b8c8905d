"""What staff may do: permissions are constants, roles are presets of them."""

from __future__ import annotations

from typing import Final

STORE_READ: Final = "store.read"
STORE_EDIT: Final = "store.edit"
ORDER_READ: Final = "order.read"
ORDER_CREATE: Final = "order.create"
ORDER_CANCEL: Final = "order.cancel"
ORDER_REFUND: Final = "order.refund"
PRICE_EDIT: Final = "price.edit"
DOOR_OPEN_REMOTE: Final = "door.open.remote"
DEVICE_READ: Final = "device.read"
DEVICE_CONTROL: Final = "device.control"
DEVICE_ENROL: Final = "device.enrol"
STAFF_READ: Final = "staff.read"
STAFF_EDIT: Final = "staff.edit"
REPORT_READ: Final = "report.read"

ALL: Final = frozenset(
    {
        STORE_READ,
        STORE_EDIT,
        ORDER_READ,
        ORDER_CREATE,
        ORDER_CANCEL,
        ORDER_REFUND,
        PRICE_EDIT,
        DOOR_OPEN_REMOTE,
        DEVICE_READ,
        DEVICE_CONTROL,
        DEVICE_ENROL,
        STAFF_READ,
        STAFF_EDIT,
        REPORT_READ,
    }
)

ROLES: Final[dict[str, frozenset[str]]] = {
    "owner": ALL,
    "manager": ALL - {STAFF_EDIT},
    "cashier": frozenset({STORE_READ, ORDER_READ, ORDER_CREATE, ORDER_CANCEL, DEVICE_READ}),
    "customer_service": frozenset(
        {STORE_READ, ORDER_READ, ORDER_CANCEL, DEVICE_READ, DEVICE_CONTROL, DOOR_OPEN_REMOTE}
    ),
    "cleaner": frozenset({STORE_READ, DEVICE_READ}),
    "finance": frozenset({STORE_READ, ORDER_READ, ORDER_REFUND, REPORT_READ}),
}

ROLE_NAMES: Final[dict[str, str]] = {
    "owner": "店主",
    "manager": "店长",
    "cashier": "收银",
    "customer_service": "客服",
    "cleaner": "保洁",
    "finance": "财务",
}


def of_role(role: str) -> frozenset[str]:
    """The permissions of a role; none for one that is not known."""
    return ROLES.get(role, frozenset())
