"""Rules of booking, changes of orders, friends, waiting guests, tickets and reviews."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from cloud_api.migrations.types import INSTANT, JSON

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """What booking, changing and asking need."""
    op.create_table(
        "blocked_customer",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("merchant_id", sa.String(), nullable=False),
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("why", sa.String(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("until", INSTANT, nullable=True),
        sa.Column("lifted_at", INSTANT, nullable=True),
        sa.Column("lifted_by", sa.String(), nullable=True),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"],
            ["account.id"],
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id"],
            ["merchant.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        op.f("ix_blocked_customer_account_id"), "blocked_customer", ["account_id"], unique=False
    )
    op.create_index(
        op.f("ix_blocked_customer_merchant_id"), "blocked_customer", ["merchant_id"], unique=False
    )

    op.create_table(
        "order_export",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("merchant_id", sa.String(), nullable=False),
        sa.Column("staff_id", sa.String(), nullable=False),
        sa.Column("form", sa.String(), nullable=False),
        sa.Column("wanted", JSON, nullable=False),
        sa.Column("store_ids", JSON, nullable=True),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("expires_at", INSTANT, nullable=False),
        sa.CheckConstraint("state IN ('waiting','running','done','failed')"),
        sa.ForeignKeyConstraint(
            ["merchant_id"],
            ["merchant.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        op.f("ix_order_export_merchant_id"), "order_export", ["merchant_id"], unique=False
    )
    op.create_index(op.f("ix_order_export_staff_id"), "order_export", ["staff_id"], unique=False)

    op.create_table(
        "booking_rule",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("merchant_id", sa.String(), nullable=False),
        sa.Column("store_id", sa.String(), nullable=False),
        sa.Column("room_id", sa.String(), nullable=True),
        sa.Column("rules", JSON, nullable=False),
        sa.Column("updated_at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(
            ["merchant_id"],
            ["merchant.id"],
        ),
        sa.ForeignKeyConstraint(
            ["room_id"],
            ["room.id"],
        ),
        sa.ForeignKeyConstraint(
            ["store_id"],
            ["store.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        op.f("ix_booking_rule_merchant_id"), "booking_rule", ["merchant_id"], unique=False
    )
    op.create_index(op.f("ix_booking_rule_store_id"), "booking_rule", ["store_id"], unique=False)

    op.create_table(
        "wait_entry",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("merchant_id", sa.String(), nullable=False),
        sa.Column("store_id", sa.String(), nullable=False),
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("room_id", sa.String(), nullable=True),
        sa.Column("starts_at", INSTANT, nullable=False),
        sa.Column("ends_at", INSTANT, nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("passed", sa.Integer(), nullable=False),
        sa.Column("claim_id", sa.String(), nullable=True),
        sa.Column("offered_room_id", sa.String(), nullable=True),
        sa.Column("offer_expires_at", INSTANT, nullable=True),
        sa.Column("order_id", sa.String(), nullable=True),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.CheckConstraint("state <> 'offered' OR claim_id IS NOT NULL"),
        sa.CheckConstraint("state IN ('waiting','offered','taken','left','over')"),
        sa.CheckConstraint("starts_at < ends_at"),
        sa.ForeignKeyConstraint(
            ["account_id"],
            ["account.id"],
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id"],
            ["merchant.id"],
        ),
        sa.ForeignKeyConstraint(
            ["room_id"],
            ["room.id"],
        ),
        sa.ForeignKeyConstraint(
            ["store_id"],
            ["store.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_wait_entry_account_id"), "wait_entry", ["account_id"], unique=False)
    op.create_index(op.f("ix_wait_entry_merchant_id"), "wait_entry", ["merchant_id"], unique=False)
    op.create_index(op.f("ix_wait_entry_store_id"), "wait_entry", ["store_id"], unique=False)

    op.create_table(
        "order_change",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("merchant_id", sa.String(), nullable=False),
        sa.Column("store_id", sa.String(), nullable=False),
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("order_id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("why", sa.String(), nullable=False),
        sa.Column("was_room_id", sa.String(), nullable=False),
        sa.Column("was_starts_at", INSTANT, nullable=False),
        sa.Column("was_ends_at", INSTANT, nullable=False),
        sa.Column("room_id", sa.String(), nullable=False),
        sa.Column("starts_at", INSTANT, nullable=False),
        sa.Column("ends_at", INSTANT, nullable=False),
        sa.Column("lines", JSON, nullable=False),
        sa.Column("fee_fen", sa.Integer(), nullable=False),
        sa.Column("diff_fen", sa.Integer(), nullable=False),
        sa.Column("total_fen", sa.Integer(), nullable=False),
        sa.Column("claim_ids", JSON, nullable=False),
        sa.Column("hold_expires_at", INSTANT, nullable=False),
        sa.Column("applied_at", INSTANT, nullable=True),
        sa.Column("told_epoch", sa.Integer(), nullable=True),
        sa.Column("told_rev", sa.Integer(), nullable=True),
        sa.Column("confirmed_at", INSTANT, nullable=True),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.CheckConstraint("kind IN ('move','extension')"),
        sa.CheckConstraint("state IN ('held','applied','lapsed')"),
        sa.CheckConstraint("fee_fen >= 0 AND total_fen >= 0"),
        sa.CheckConstraint("starts_at < ends_at AND was_starts_at < was_ends_at"),
        sa.ForeignKeyConstraint(
            ["account_id"],
            ["account.id"],
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id"],
            ["merchant.id"],
        ),
        sa.ForeignKeyConstraint(
            ["order_id"],
            ["orders.id"],
        ),
        sa.ForeignKeyConstraint(
            ["room_id"],
            ["room.id"],
        ),
        sa.ForeignKeyConstraint(
            ["store_id"],
            ["store.id"],
        ),
        sa.ForeignKeyConstraint(
            ["was_room_id"],
            ["room.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        op.f("ix_order_change_account_id"), "order_change", ["account_id"], unique=False
    )
    op.create_index(
        op.f("ix_order_change_merchant_id"), "order_change", ["merchant_id"], unique=False
    )
    op.create_index(op.f("ix_order_change_order_id"), "order_change", ["order_id"], unique=False)
    op.create_index(op.f("ix_order_change_store_id"), "order_change", ["store_id"], unique=False)

    op.create_table(
        "order_guest",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("merchant_id", sa.String(), nullable=False),
        sa.Column("store_id", sa.String(), nullable=False),
        sa.Column("order_id", sa.String(), nullable=False),
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("joined_at", INSTANT, nullable=False),
        sa.Column("removed_at", INSTANT, nullable=True),
        sa.ForeignKeyConstraint(
            ["account_id"],
            ["account.id"],
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id"],
            ["merchant.id"],
        ),
        sa.ForeignKeyConstraint(
            ["order_id"],
            ["orders.id"],
        ),
        sa.ForeignKeyConstraint(
            ["store_id"],
            ["store.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("order_id", "account_id"),
    )
    op.create_index(op.f("ix_order_guest_account_id"), "order_guest", ["account_id"], unique=False)
    op.create_index(
        op.f("ix_order_guest_merchant_id"), "order_guest", ["merchant_id"], unique=False
    )
    op.create_index(op.f("ix_order_guest_order_id"), "order_guest", ["order_id"], unique=False)
    op.create_index(op.f("ix_order_guest_store_id"), "order_guest", ["store_id"], unique=False)

    op.create_table(
        "order_share",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("merchant_id", sa.String(), nullable=False),
        sa.Column("store_id", sa.String(), nullable=False),
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("order_id", sa.String(), nullable=False),
        sa.Column("token", sa.String(), nullable=False),
        sa.Column("most", sa.Integer(), nullable=False),
        sa.Column("revoked_at", INSTANT, nullable=True),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"],
            ["account.id"],
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id"],
            ["merchant.id"],
        ),
        sa.ForeignKeyConstraint(
            ["order_id"],
            ["orders.id"],
        ),
        sa.ForeignKeyConstraint(
            ["store_id"],
            ["store.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("order_id"),
        sa.UniqueConstraint("token"),
    )
    op.create_index(op.f("ix_order_share_account_id"), "order_share", ["account_id"], unique=False)
    op.create_index(
        op.f("ix_order_share_merchant_id"), "order_share", ["merchant_id"], unique=False
    )
    op.create_index(op.f("ix_order_share_store_id"), "order_share", ["store_id"], unique=False)

    op.create_table(
        "review",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("merchant_id", sa.String(), nullable=False),
        sa.Column("store_id", sa.String(), nullable=False),
        sa.Column("room_id", sa.String(), nullable=False),
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("order_id", sa.String(), nullable=False),
        sa.Column("stars", sa.Integer(), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("photos", JSON, nullable=False),
        sa.Column("reply", sa.String(), nullable=False),
        sa.Column("replied_by", sa.String(), nullable=True),
        sa.Column("replied_at", INSTANT, nullable=True),
        sa.Column("hidden_at", INSTANT, nullable=True),
        sa.Column("hidden_by", sa.String(), nullable=True),
        sa.Column("hidden_why", sa.String(), nullable=True),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.CheckConstraint("hidden_at IS NULL OR hidden_why IS NOT NULL"),
        sa.CheckConstraint("stars BETWEEN 1 AND 5"),
        sa.ForeignKeyConstraint(
            ["account_id"],
            ["account.id"],
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id"],
            ["merchant.id"],
        ),
        sa.ForeignKeyConstraint(
            ["order_id"],
            ["orders.id"],
        ),
        sa.ForeignKeyConstraint(
            ["room_id"],
            ["room.id"],
        ),
        sa.ForeignKeyConstraint(
            ["store_id"],
            ["store.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("order_id"),
    )
    op.create_index(op.f("ix_review_account_id"), "review", ["account_id"], unique=False)
    op.create_index(op.f("ix_review_merchant_id"), "review", ["merchant_id"], unique=False)
    op.create_index(op.f("ix_review_room_id"), "review", ["room_id"], unique=False)
    op.create_index(op.f("ix_review_store_id"), "review", ["store_id"], unique=False)

    op.create_table(
        "ticket",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("merchant_id", sa.String(), nullable=False),
        sa.Column("store_id", sa.String(), nullable=False),
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("order_id", sa.String(), nullable=True),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("subject", sa.String(80), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("assigned_to", sa.String(), nullable=True),
        sa.Column("last_at", INSTANT, nullable=False),
        sa.Column("closed_at", INSTANT, nullable=True),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.CheckConstraint("kind IN ('inquiry','complaint','repair','dispute')"),
        sa.CheckConstraint("state IN ('open','answered','closed')"),
        sa.ForeignKeyConstraint(
            ["account_id"],
            ["account.id"],
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id"],
            ["merchant.id"],
        ),
        sa.ForeignKeyConstraint(
            ["order_id"],
            ["orders.id"],
        ),
        sa.ForeignKeyConstraint(
            ["store_id"],
            ["store.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_ticket_account_id"), "ticket", ["account_id"], unique=False)
    op.create_index(op.f("ix_ticket_merchant_id"), "ticket", ["merchant_id"], unique=False)
    op.create_index(op.f("ix_ticket_order_id"), "ticket", ["order_id"], unique=False)
    op.create_index(op.f("ix_ticket_store_id"), "ticket", ["store_id"], unique=False)

    op.create_table(
        "ticket_message",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("merchant_id", sa.String(), nullable=False),
        sa.Column("store_id", sa.String(), nullable=False),
        sa.Column("ticket_id", sa.String(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("photos", JSON, nullable=False),
        sa.Column("inside", sa.Boolean(), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(
            ["merchant_id"],
            ["merchant.id"],
        ),
        sa.ForeignKeyConstraint(
            ["store_id"],
            ["store.id"],
        ),
        sa.ForeignKeyConstraint(
            ["ticket_id"],
            ["ticket.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        op.f("ix_ticket_message_merchant_id"), "ticket_message", ["merchant_id"], unique=False
    )
    op.create_index(
        op.f("ix_ticket_message_store_id"), "ticket_message", ["store_id"], unique=False
    )
    op.create_index(
        op.f("ix_ticket_message_ticket_id"), "ticket_message", ["ticket_id"], unique=False
    )

    for name, kind in (("source", "app"), ("staff_note", "")):
        op.add_column("orders", sa.Column(name, sa.String(), nullable=False, server_default=kind))
    op.add_column(
        "orders", sa.Column("cancel_fee_fen", sa.Integer(), nullable=False, server_default="0")
    )
    op.add_column("orders", sa.Column("made_by", sa.String(), nullable=True))
    op.add_column("orders", sa.Column("series_id", sa.String(), nullable=True))
    op.create_index(op.f("ix_orders_series_id"), "orders", ["series_id"], unique=False)


def downgrade() -> None:
    """Take it back."""
    op.drop_index(op.f("ix_orders_series_id"), "orders")
    for name in ("series_id", "made_by", "cancel_fee_fen", "staff_note", "source"):
        op.drop_column("orders", name)
    for table in (
        *("ticket_message", "ticket", "review", "order_share", "order_guest", "order_change"),
        *("wait_entry", "order_export", "booking_rule", "blocked_customer"),
    ):
        op.drop_table(table)
