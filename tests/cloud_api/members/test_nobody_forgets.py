"""Every table that says whose something is: in the export, and cleared or kept for a reason, or named here."""

from __future__ import annotations

import inspect
import sys
from typing import Final

from sqlalchemy import Table
from sqlmodel import SQLModel

from cloud_api.auth import identities
from cloud_api.coupons import service as coupons
from cloud_api.kit.personal import holders
from cloud_api.migrations.tables import metadata
from cloud_api.notifications import choices
from cloud_api.support import photos
from cloud_api.worker import register_jobs

# Not in the export: proofs of who somebody is, and figures without a name.
NOT_TOLD: Final = {
    "password": "a hash",
    "totp": "a secret",
    "recovery_code": "hashes",
    "setup_code": "a hash",
    "feed": "what pages were told; it goes after days",
    "data_export": "the copies themselves; the page of one's data lists them",
    "platform_admin": "a right in the installation, not a guest's",
    "report_guest": "counts by day for statistics; what they are made of is told",
    "report_life": "first and last visit for statistics; the orders are told",
    "report_number": "a guest's bit in the statistics; the orders are told",
    "team": "who opened it is in group orders",
    "invitation": "to work somewhere; the number is gone once it is used",
    "groupbuy_bought": "a count that limits; the orders are told",
    "gift_lot": "parts of the balance whose moves are told",
    "wallet": "the sum of the moves that are told",
    "wallet_hold": "kept while a payment runs; its end is a move",
    "topup": "told as a payment and as moves of the balance",
}
# Stays after somebody is deleted: under an account that has no number any more.
KEPT: Final = {
    "orders": "books", "payment_attempt": "books", "refund_attempt": "books", "order_change": "books",
    "overtime_charge": "books", "deposit": "books", "refund_wait": "books", "blocked_customer": "no word of theirs",
    "group_order": "books", "groupbuy_bought": "books", "team": "books", "coupon_grant": "books",
    "platform_use": "books", "topup": "books", "wallet": "books", "wallet_move": "books", "wallet_hold": "books",
    "gift_lot": "books", "report_guest": "counts", "report_life": "counts", "report_number": "counts", "access_grant": "the door's log",
    "data_export": "the file goes after a week", "invitation": "to work somewhere", "platform_admin": "blocks: staff",
    "staff": "blocks: staff",
}  # fmt: skip
NO_PERSON: Final = {
    "platform_deal",
    "platform_difference",
}  # an account of a platform, not a person


_PARTS: Final = {"export": "sections", "forget": "forget"}  # of a package's personal_parts
_BESIDE: Final = {
    "export": (identities.of, coupons.mine, choices.choices),
    "forget": (photos.forget,),
}


def _tables() -> dict[str, type[SQLModel]]:
    """By name, those whose rows are somebody's."""
    found = {}
    metadata()
    for mapper in SQLModel._sa_registry.mappers:
        table = mapper.local_table
        assert isinstance(table, Table)
        whose = {column.name for column in table.columns} & {"account_id", "opened_by"}
        refers = any(key.column.table.name == "account" for key in table.foreign_keys)
        if (whose or refers) and table.name not in NO_PERSON:
            found[table.name] = mapper.class_
    return found


def _sources(method: str) -> str:
    """The program text of every holder's ``method`` and of the modules that it calls beside it."""
    told = []
    for holder in holders():
        module = sys.modules[type(holder).__module__]
        told.append(inspect.getsource(getattr(type(holder), method)))
        if method == "export" and hasattr(holder, "_mine"):
            told.append(inspect.getsource(type(holder)._mine))
        parts = f"{module.__name__}_parts"
        if parts in sys.modules:
            told.append(inspect.getsource(getattr(sys.modules[parts], _PARTS[method])))
    told += [inspect.getsource(one) for one in _BESIDE[method]]
    return "\n".join(told)


def _forgotten(method: str, excused: dict[str, str]) -> set[str]:
    text = _sources(method)
    return {
        name
        for name, model in _tables().items()
        if name not in excused and name != "account" and model.__name__ not in text
    }


def test_no_table_of_a_persons_is_forgotten_in_the_export_or_at_the_end() -> None:
    """Reviews, tickets and refund requests were in no copy, and their words outlived the account."""
    register_jobs()
    assert _forgotten("export", NOT_TOLD) == set()
    assert _forgotten("forget", KEPT) == set()
    assert set(NOT_TOLD) | set(KEPT) <= set(_tables()) | {"invitation"}


def test_a_new_table_with_a_customer_in_it_fails_until_somebody_says_what_becomes_of_it() -> None:
    """The negative control: without its excuse, a table that no holder names is found."""
    register_jobs()
    less = {name: why for name, why in NOT_TOLD.items() if name != "wallet_hold"}
    assert _forgotten("export", less) == {"wallet_hold"}
