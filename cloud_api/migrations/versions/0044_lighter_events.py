"""Events and lines of the feed are written most: they carry what somebody looks up by, and no more."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0044"
down_revision = "0043"
branch_labels = None
depends_on = None

# PostgreSQL named the two by itself; SQLite's have no name until one is lent to them.
_NAMES = {"fk": "%(table_name)s_%(column_0_name)s_fkey"}
_OWNERS = ("merchant", "store")
_ACCESS = sa.text("kind = 'access'")
_HAS_ACCOUNT = sa.text("account_id IS NOT NULL")


def upgrade() -> None:
    """Who an event belongs to is held by its journal's cursor; access alone is looked up by store."""
    for column in ("kind", "merchant_id", "store_id"):
        op.drop_index(f"ix_store_event_{column}", table_name="store_event")
    with op.batch_alter_table("store_event", naming_convention=_NAMES) as batch:
        for owner in _OWNERS:
            batch.drop_constraint(f"store_event_{owner}_id_fkey", type_="foreignkey")
    op.create_index(
        "store_event_access",
        "store_event",
        ["store_id", "received_at"],
        postgresql_where=_ACCESS,
        sqlite_where=_ACCESS,
    )
    for column in ("account_id", "store_id"):
        op.drop_index(f"ix_feed_{column}", table_name="feed")
    op.create_index(
        "feed_of_account",
        "feed",
        ["account_id"],
        postgresql_where=_HAS_ACCOUNT,
        sqlite_where=_HAS_ACCOUNT,
    )


def downgrade() -> None:
    """All of them again."""
    op.drop_index("feed_of_account", table_name="feed")
    for column in ("account_id", "store_id"):
        op.create_index(f"ix_feed_{column}", "feed", [column])
    op.drop_index("store_event_access", table_name="store_event")
    with op.batch_alter_table("store_event", naming_convention=_NAMES) as batch:
        for owner in _OWNERS:
            batch.create_foreign_key(f"store_event_{owner}_id_fkey", owner, [f"{owner}_id"], ["id"])
    for column in ("kind", "merchant_id", "store_id"):
        op.create_index(f"ix_store_event_{column}", "store_event", [column])
