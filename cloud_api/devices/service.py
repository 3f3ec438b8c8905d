"""What the other packages use of devices, in one place; the rules stand in the modules named below.

``codes``: enrolment codes · ``commands``: commands to a store · ``status``: what a store reports ·
``control``: staff switching things by hand.
"""

from cloud_api.devices.codes import code_hash, make_enrolment_code, use_enrolment_code
from cloud_api.devices.commands import (
    FINAL_STATES,
    ON_ITS_WAY,
    StoreOffline,
    StoreRef,
    answer,
    answer_with,
    create_command,
    get_command,
    last_command,
    wait_for,
)
from cloud_api.devices.control import clear_binding, set_binding
from cloud_api.devices.status import (
    StoreStatusView,
    ValueView,
    bindings_of,
    boards_of,
    get_status,
)

__all__ = [
    "FINAL_STATES",
    "ON_ITS_WAY",
    "StoreOffline",
    "StoreRef",
    "StoreStatusView",
    "ValueView",
    "answer",
    "answer_with",
    "bindings_of",
    "boards_of",
    "clear_binding",
    "code_hash",
    "create_command",
    "get_command",
    "get_status",
    "last_command",
    "make_enrolment_code",
    "set_binding",
    "use_enrolment_code",
    "wait_for",
]
