"""What hours, slots and packages cost; coupons of the house; members; more of what a room is."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from cloud_api.migrations.types import INSTANT, JSON

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_LIST = sa.text("'[]'")
_MAP = sa.text("'{}'")
_COLUMNS = (
    ("quote", sa.Column("kind", sa.String(), nullable=False, server_default="hourly")),
    ("quote", sa.Column("product_id", sa.String(), nullable=True)),
    ("quote", sa.Column("coupon_id", sa.String(), nullable=True)),
    ("quote", sa.Column("detail", JSON, nullable=False, server_default=_MAP)),
    ("room", sa.Column("equipment", JSON, nullable=False, server_default=_LIST)),
    ("room", sa.Column("tags", JSON, nullable=False, server_default=_LIST)),
    ("room", sa.Column("kind", sa.String(20), nullable=False, server_default="")),
    ("room", sa.Column("about", sa.String(), nullable=False, server_default="")),
    ("room", sa.Column("selling", sa.String(), nullable=False, server_default="bookable")),
    ("room", sa.Column("retired_at", INSTANT, nullable=True)),
    ("store", sa.Column("hours", JSON, nullable=True)),
    ("store", sa.Column("days", JSON, nullable=False, server_default=_MAP)),
    ("store", sa.Column("holidays", sa.String(), nullable=False, server_default="CN")),
    ("store", sa.Column("about", sa.String(), nullable=False, server_default="")),
    ("store", sa.Column("contact", sa.String(), nullable=False, server_default="")),
    ("store", sa.Column("lat", sa.Float(), nullable=True)),
    ("store", sa.Column("lon", sa.Float(), nullable=True)),
    ("store", sa.Column("wifi_name", sa.String(), nullable=False, server_default="")),
    ("store", sa.Column("wifi_password", sa.Text(), nullable=True)),
    ("tariff", sa.Column("room_kind", sa.String(), nullable=True)),
    ("tariff", sa.Column("holidays", sa.String(), nullable=False, server_default="any")),
)
_TABLES = (
    "coupon_grant",
    "coupon",
    "membership",
    "member_level",
    "slot",
    "package",
    "extra",
    "price_rule",
)


def upgrade() -> None:
    """Prices of before hold as they are: on any day, by the minute, for every kind of room."""
    op.create_table(
        "coupon",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("merchant_id", sa.String(), nullable=False),
        sa.Column("name", sa.String(40), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("off_fen", sa.Integer(), nullable=False),
        sa.Column("per_cent", sa.Integer(), nullable=False),
        sa.Column("cap_fen", sa.Integer(), nullable=True),
        sa.Column("minutes", sa.Integer(), nullable=False),
        sa.Column("min_fen", sa.Integer(), nullable=False),
        sa.Column("min_minutes", sa.Integer(), nullable=False),
        sa.Column("stores", JSON, nullable=False),
        sa.Column("room_kinds", JSON, nullable=False),
        sa.Column("products", JSON, nullable=False),
        sa.Column("weekdays", sa.Integer(), nullable=False),
        sa.Column("holidays", sa.String(), nullable=False),
        sa.Column("from_minute", sa.Integer(), nullable=False),
        sa.Column("until_minute", sa.Integer(), nullable=False),
        sa.Column("valid_from", sa.Date(), nullable=True),
        sa.Column("valid_until", sa.Date(), nullable=True),
        sa.Column("valid_days", sa.Integer(), nullable=True),
        sa.Column("stock", sa.Integer(), nullable=True),
        sa.Column("issued", sa.Integer(), nullable=False),
        sa.Column("per_person", sa.Integer(), nullable=False),
        sa.Column("code", sa.String(20), nullable=True),
        sa.Column("stopped_at", INSTANT, nullable=True),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.CheckConstraint("kind IN ('off','discount','add_time')"),
        sa.CheckConstraint("issued >= 0 AND (stock IS NULL OR issued <= stock)"),
        sa.CheckConstraint("off_fen >= 0 AND min_fen >= 0 AND minutes >= 0 AND min_minutes >= 0"),
        sa.CheckConstraint("per_cent BETWEEN 1 AND 100"),
        sa.CheckConstraint("per_person BETWEEN 1 AND 100"),
        sa.ForeignKeyConstraint(
            ["merchant_id"],
            ["merchant.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("merchant_id", "code"),
    )
    op.create_index("ix_coupon_merchant_id", "coupon", ["merchant_id"])

    op.create_table(
        "member_level",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("merchant_id", sa.String(), nullable=False),
        sa.Column("name", sa.String(20), nullable=False),
        sa.Column("per_cent", sa.Integer(), nullable=False),
        sa.Column("sort", sa.Integer(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.CheckConstraint("per_cent BETWEEN 10 AND 100"),
        sa.ForeignKeyConstraint(
            ["merchant_id"],
            ["merchant.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("merchant_id", "name"),
    )
    op.create_index("ix_member_level_merchant_id", "member_level", ["merchant_id"])

    op.create_table(
        "coupon_grant",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("merchant_id", sa.String(), nullable=False),
        sa.Column("coupon_id", sa.String(), nullable=False),
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("nth", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("order_id", sa.String(), nullable=True),
        sa.Column("last_order_id", sa.String(), nullable=True),
        sa.Column("expires_at", INSTANT, nullable=True),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("used_at", INSTANT, nullable=True),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.CheckConstraint(
            "(state = 'used') = (order_id IS NOT NULL)", name="ck_coupon_grant_order"
        ),
        sa.CheckConstraint("state IN ('unused','used','revoked')"),
        sa.ForeignKeyConstraint(
            ["account_id"],
            ["account.id"],
        ),
        sa.ForeignKeyConstraint(
            ["coupon_id"],
            ["coupon.id"],
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id"],
            ["merchant.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("coupon_id", "account_id", "nth"),
    )
    op.create_index("ix_coupon_grant_account_id", "coupon_grant", ["account_id"])
    op.create_index("ix_coupon_grant_coupon_id", "coupon_grant", ["coupon_id"])
    op.create_index("ix_coupon_grant_merchant_id", "coupon_grant", ["merchant_id"])
    op.create_index("ix_coupon_grant_order_id", "coupon_grant", ["order_id"])

    op.create_table(
        "extra",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("merchant_id", sa.String(), nullable=False),
        sa.Column("store_id", sa.String(), nullable=False),
        sa.Column("name", sa.String(40), nullable=False),
        sa.Column("unit", sa.String(8), nullable=False),
        sa.Column("price_fen", sa.Integer(), nullable=False),
        sa.Column("most", sa.Integer(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("sort", sa.Integer(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.CheckConstraint("price_fen >= 0 AND most BETWEEN 1 AND 99"),
        sa.ForeignKeyConstraint(
            ["merchant_id"],
            ["merchant.id"],
        ),
        sa.ForeignKeyConstraint(
            ["store_id"],
            ["store.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_extra_merchant_id", "extra", ["merchant_id"])
    op.create_index("ix_extra_store_id", "extra", ["store_id"])

    op.create_table(
        "membership",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("merchant_id", sa.String(), nullable=False),
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("level_id", sa.String(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"],
            ["account.id"],
        ),
        sa.ForeignKeyConstraint(
            ["level_id"],
            ["member_level.id"],
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id"],
            ["merchant.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("merchant_id", "account_id"),
    )
    op.create_index("ix_membership_account_id", "membership", ["account_id"])
    op.create_index("ix_membership_level_id", "membership", ["level_id"])
    op.create_index("ix_membership_merchant_id", "membership", ["merchant_id"])

    op.create_table(
        "package",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("merchant_id", sa.String(), nullable=False),
        sa.Column("store_id", sa.String(), nullable=False),
        sa.Column("rooms", JSON, nullable=False),
        sa.Column("room_kinds", JSON, nullable=False),
        sa.Column("name", sa.String(40), nullable=False),
        sa.Column("about", sa.String(), nullable=False),
        sa.Column("minutes", sa.Integer(), nullable=False),
        sa.Column("price_fen", sa.Integer(), nullable=False),
        sa.Column("weekdays", sa.Integer(), nullable=False),
        sa.Column("holidays", sa.String(), nullable=False),
        sa.Column("from_minute", sa.Integer(), nullable=False),
        sa.Column("until_minute", sa.Integer(), nullable=False),
        sa.Column("valid_from", sa.Date(), nullable=True),
        sa.Column("valid_until", sa.Date(), nullable=True),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("sort", sa.Integer(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.CheckConstraint(
            "from_minute >= 0 AND from_minute < until_minute AND until_minute <= 1440"
        ),
        sa.CheckConstraint("price_fen >= 0 AND minutes > 0 AND weekdays BETWEEN 1 AND 127"),
        sa.ForeignKeyConstraint(
            ["merchant_id"],
            ["merchant.id"],
        ),
        sa.ForeignKeyConstraint(
            ["store_id"],
            ["store.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_package_merchant_id", "package", ["merchant_id"])
    op.create_index("ix_package_store_id", "package", ["store_id"])

    op.create_table(
        "price_rule",
        sa.Column("store_id", sa.String(), nullable=False),
        sa.Column("merchant_id", sa.String(), nullable=False),
        sa.Column("unit_minutes", sa.Integer(), nullable=False),
        sa.Column("least_minutes", sa.Integer(), nullable=False),
        sa.Column("payg", sa.Boolean(), nullable=False),
        sa.Column("payg_unit_minutes", sa.Integer(), nullable=False),
        sa.Column("payg_least_minutes", sa.Integer(), nullable=False),
        sa.Column("payg_prepay_minutes", sa.Integer(), nullable=False),
        sa.CheckConstraint("payg_least_minutes BETWEEN 0 AND 1440"),
        sa.CheckConstraint("payg_prepay_minutes BETWEEN 30 AND 1440"),
        sa.CheckConstraint("payg_unit_minutes BETWEEN 1 AND 240"),
        sa.CheckConstraint("unit_minutes BETWEEN 1 AND 240 AND least_minutes BETWEEN 0 AND 1440"),
        sa.ForeignKeyConstraint(
            ["merchant_id"],
            ["merchant.id"],
        ),
        sa.ForeignKeyConstraint(
            ["store_id"],
            ["store.id"],
        ),
        sa.PrimaryKeyConstraint("store_id"),
    )
    op.create_index("ix_price_rule_merchant_id", "price_rule", ["merchant_id"])

    op.create_table(
        "slot",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("merchant_id", sa.String(), nullable=False),
        sa.Column("store_id", sa.String(), nullable=False),
        sa.Column("rooms", JSON, nullable=False),
        sa.Column("room_kinds", JSON, nullable=False),
        sa.Column("name", sa.String(40), nullable=False),
        sa.Column("from_minute", sa.Integer(), nullable=False),
        sa.Column("until_minute", sa.Integer(), nullable=False),
        sa.Column("weekdays", sa.Integer(), nullable=False),
        sa.Column("holidays", sa.String(), nullable=False),
        sa.Column("price_fen", sa.Integer(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("sort", sa.Integer(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.CheckConstraint("from_minute BETWEEN 0 AND 1439 AND until_minute BETWEEN 0 AND 1440"),
        sa.CheckConstraint("price_fen >= 0 AND weekdays BETWEEN 1 AND 127"),
        sa.ForeignKeyConstraint(
            ["merchant_id"],
            ["merchant.id"],
        ),
        sa.ForeignKeyConstraint(
            ["store_id"],
            ["store.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_slot_merchant_id", "slot", ["merchant_id"])
    op.create_index("ix_slot_store_id", "slot", ["store_id"])
    for table, column in _COLUMNS:
        op.add_column(table, column._copy())


def downgrade() -> None:
    """Back to hourly prices alone."""
    for table, column in reversed(_COLUMNS):
        op.drop_column(table, column.name)
    for name in _TABLES:
        op.drop_table(name)
