"""What a store does by itself: scenes, schedules, staff's keys; and bundles for who helps it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from cloud_api.kit.columns import Encrypted, Json, UTCDateTime

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

_STORE = ("entry_most", "entry_again_s", "quiet_until", "quiet_from", "say_ended", "say_welcome")


def upgrade() -> None:
    """Columns mean what stores did before; three tables begin empty."""
    keep = sa.Column("overtime_power", sa.String(), nullable=False, server_default="cut")
    op.add_column("store", keep)
    op.add_column("store", sa.Column("scenes", Json, nullable=True))
    no, none = sa.false(), "0"
    for name in ("say_welcome", "say_ended"):
        op.add_column("store", sa.Column(name, sa.Boolean(), nullable=False, server_default=no))
    for name in ("quiet_from", "quiet_until"):
        op.add_column("store", sa.Column(name, sa.String(), nullable=True))
    for name in ("entry_again_s", "entry_most"):
        op.add_column("store", sa.Column(name, sa.Integer(), nullable=False, server_default=none))
    op.add_column("room", sa.Column("scenes", Json, nullable=True))
    op.add_column("door", sa.Column("cards_binding_id", sa.String(), nullable=True))
    op.add_column("binding", sa.Column("lead_s", sa.Integer(), nullable=True))
    op.add_column("binding", sa.Column("linger_s", sa.Integer(), nullable=True))
    op.create_table(
        "device_schedule",
        *_owned(),
        sa.Column("name", sa.String(40), nullable=False),
        sa.Column("bindings", Json, nullable=False),
        sa.Column("days", Json, nullable=False),
        sa.Column("begins", sa.String(5), nullable=False),
        sa.Column("ends", sa.String(5), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
    )
    op.create_table(
        "staff_key",
        *_owned(store=False),
        sa.Column("staff_id", sa.String(), sa.ForeignKey("staff.id"), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("secret", Encrypted("staff_key.secret"), nullable=False),
        sa.Column("tail", sa.String(4), nullable=False),
        sa.Column("doors", Json, nullable=True),
        sa.Column("begins", sa.String(5), nullable=True),
        sa.Column("ends", sa.String(5), nullable=True),
        sa.Column("until", UTCDateTime(), nullable=True),
        sa.Column("made_by", sa.String(), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("revoked_at", UTCDateTime(), nullable=True),
    )
    op.create_table(
        "diagnostics",
        *_owned(),
        sa.Column("asked_by", sa.String(), nullable=False),
        sa.Column("why", sa.String(), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("received_at", UTCDateTime(), nullable=True),
        sa.Column("content", Encrypted("diagnostics.content"), nullable=True),
    )
    for table in ("device_schedule", "staff_key", "diagnostics"):
        op.create_index(f"ix_{table}_merchant_id", table, ["merchant_id"])
    for table in ("device_schedule", "diagnostics"):
        op.create_index(f"ix_{table}_store_id", table, ["store_id"])
    op.create_index("ix_staff_key_staff_id", "staff_key", ["staff_id"])


def _owned(*, store: bool = True) -> list[sa.Column[str]]:
    columns = [
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("merchant_id", sa.String(), sa.ForeignKey("merchant.id"), nullable=False),
    ]
    if store:
        columns.append(
            sa.Column("store_id", sa.String(), sa.ForeignKey("store.id"), nullable=False)
        )
    return columns


def downgrade() -> None:
    """Stores behave as they all did."""
    for table in ("diagnostics", "staff_key", "device_schedule"):
        op.drop_table(table)
    op.drop_column("binding", "linger_s")
    op.drop_column("binding", "lead_s")
    op.drop_column("door", "cards_binding_id")
    op.drop_column("room", "scenes")
    for name in (*_STORE, "scenes", "overtime_power"):
        op.drop_column("store", name)
