"""Devices, prices, room time."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from cloud_api.migrations.types import INSTANT, JSON

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Devices, prices, room time."""
    op.create_table(
        "board",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("merchant_id", sa.String(), nullable=False),
        sa.Column("store_id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("profile", sa.String(), nullable=False),
        sa.Column("port", sa.String(), nullable=False),
        sa.Column("params", JSON, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
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
    with op.batch_alter_table("board", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_board_merchant_id"), ["merchant_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_board_store_id"), ["store_id"], unique=False)

    op.create_table(
        "device_command",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("merchant_id", sa.String(), nullable=False),
        sa.Column("store_id", sa.String(), nullable=False),
        sa.Column("target", sa.String(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("args", JSON, nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("why", sa.String(), nullable=False),
        sa.Column("order_id", sa.String(), nullable=True),
        sa.Column("instance", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("evidence", JSON, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("expires_at", INSTANT, nullable=False),
        sa.Column("sent_at", INSTANT, nullable=True),
        sa.Column("accepted_at", INSTANT, nullable=True),
        sa.Column("final_at", INSTANT, nullable=True),
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
    with op.batch_alter_table("device_command", schema=None) as batch_op:
        batch_op.create_index(
            "device_command_target", ["store_id", "target", "created_at"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_device_command_merchant_id"), ["merchant_id"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_device_command_order_id"), ["order_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_device_command_store_id"), ["store_id"], unique=False)

    op.create_table(
        "enrolment_code",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("merchant_id", sa.String(), nullable=False),
        sa.Column("store_id", sa.String(), nullable=False),
        sa.Column("code_hash", sa.String(), nullable=False),
        sa.Column("made_by", sa.String(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("expires_at", INSTANT, nullable=False),
        sa.Column("used_at", INSTANT, nullable=True),
        sa.ForeignKeyConstraint(
            ["merchant_id"],
            ["merchant.id"],
        ),
        sa.ForeignKeyConstraint(
            ["store_id"],
            ["store.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("code_hash"),
    )
    with op.batch_alter_table("enrolment_code", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_enrolment_code_merchant_id"), ["merchant_id"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_enrolment_code_store_id"), ["store_id"], unique=False)

    op.create_table(
        "store_credential",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("merchant_id", sa.String(), nullable=False),
        sa.Column("store_id", sa.String(), nullable=False),
        sa.Column("serial", sa.String(), nullable=False),
        sa.Column("mqtt_user", sa.String(), nullable=False),
        sa.Column("certificate", sa.String(), nullable=False),
        sa.Column("mac_kid", sa.String(), nullable=False),
        sa.Column("mac_key", sa.Text(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("expires_at", INSTANT, nullable=False),
        sa.Column("revoked_at", INSTANT, nullable=True),
        sa.ForeignKeyConstraint(
            ["merchant_id"],
            ["merchant.id"],
        ),
        sa.ForeignKeyConstraint(
            ["store_id"],
            ["store.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("mac_kid"),
        sa.UniqueConstraint("mqtt_user"),
        sa.UniqueConstraint("serial"),
    )
    with op.batch_alter_table("store_credential", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_store_credential_merchant_id"), ["merchant_id"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_store_credential_store_id"), ["store_id"], unique=False
        )
        batch_op.create_index(
            "one_live_credential",
            ["store_id"],
            unique=True,
            postgresql_where=sa.text("revoked_at IS NULL"),
            sqlite_where=sa.text("revoked_at IS NULL"),
        )

    op.create_table(
        "store_status",
        sa.Column("store_id", sa.String(), nullable=False),
        sa.Column("merchant_id", sa.String(), nullable=False),
        sa.Column("online", sa.Boolean(), nullable=False),
        sa.Column("boot", sa.String(), nullable=True),
        sa.Column("nonce", sa.String(), nullable=True),
        sa.Column("presence_at", INSTANT, nullable=True),
        sa.Column("reported", JSON, nullable=True),
        sa.Column("reported_at", INSTANT, nullable=True),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("rev", sa.Integer(), nullable=False),
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
    with op.batch_alter_table("store_status", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_store_status_merchant_id"), ["merchant_id"], unique=False
        )

    op.create_table(
        "binding",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("merchant_id", sa.String(), nullable=False),
        sa.Column("store_id", sa.String(), nullable=False),
        sa.Column("board_id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("capability", sa.String(), nullable=False),
        sa.Column("channel", sa.Integer(), nullable=True),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("rooms", JSON, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(
            ["board_id"],
            ["board.id"],
        ),
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
    with op.batch_alter_table("binding", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_binding_board_id"), ["board_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_binding_merchant_id"), ["merchant_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_binding_store_id"), ["store_id"], unique=False)

    op.create_table(
        "quote",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("merchant_id", sa.String(), nullable=False),
        sa.Column("store_id", sa.String(), nullable=False),
        sa.Column("room_id", sa.String(), nullable=False),
        sa.Column("starts_at", INSTANT, nullable=False),
        sa.Column("ends_at", INSTANT, nullable=False),
        sa.Column("total_fen", sa.Integer(), nullable=False),
        sa.Column("lines", JSON, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("expires_at", INSTANT, nullable=False),
        sa.CheckConstraint("starts_at < ends_at"),
        sa.CheckConstraint("total_fen >= 0"),
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
    with op.batch_alter_table("quote", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_quote_merchant_id"), ["merchant_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_quote_room_id"), ["room_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_quote_store_id"), ["store_id"], unique=False)

    op.create_table(
        "room_claim",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("merchant_id", sa.String(), nullable=False),
        sa.Column("store_id", sa.String(), nullable=False),
        sa.Column("room_id", sa.String(), nullable=False),
        sa.Column("order_id", sa.String(), nullable=True),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("starts_at", INSTANT, nullable=False),
        sa.Column("ends_at", INSTANT, nullable=False),
        sa.Column("block_from", INSTANT, nullable=False),
        sa.Column("block_until", INSTANT, nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("released_why", sa.String(), nullable=True),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.CheckConstraint("kind IN ('booking','maintenance','cleaning','external')"),
        sa.CheckConstraint("state IN ('held','confirmed','in_use','released')"),
        sa.CheckConstraint(
            "block_from <= starts_at AND starts_at < ends_at AND ends_at <= block_until"
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
    with op.batch_alter_table("room_claim", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_room_claim_block_from"), ["block_from"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_room_claim_merchant_id"), ["merchant_id"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_room_claim_order_id"), ["order_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_room_claim_room_id"), ["room_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_room_claim_store_id"), ["store_id"], unique=False)

    op.create_table(
        "tariff",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("merchant_id", sa.String(), nullable=False),
        sa.Column("store_id", sa.String(), nullable=False),
        sa.Column("room_id", sa.String(), nullable=True),
        sa.Column("name", sa.String(40), nullable=False),
        sa.Column("weekdays", sa.Integer(), nullable=False),
        sa.Column("from_minute", sa.Integer(), nullable=False),
        sa.Column("until_minute", sa.Integer(), nullable=False),
        sa.Column("hourly_fen", sa.Integer(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.CheckConstraint(
            "from_minute >= 0 AND from_minute < until_minute AND until_minute <= 1440"
        ),
        sa.CheckConstraint("hourly_fen >= 0"),
        sa.CheckConstraint("weekdays BETWEEN 1 AND 127"),
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
    with op.batch_alter_table("tariff", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_tariff_merchant_id"), ["merchant_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_tariff_store_id"), ["store_id"], unique=False)


def downgrade() -> None:
    """Drop them."""
    for name in (
        "tariff",
        "room_claim",
        "quote",
        "binding",
        "store_status",
        "store_credential",
        "enrolment_code",
        "device_command",
        "board",
    ):
        op.drop_table(name)
