"""Audit, backups, privacy: the chained log of acts, runs of backups, exports of a person's data."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from cloud_api.migrations.types import INSTANT, JSON

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables; guards are put up afterwards (migrations/guards.py)."""
    op.create_table(
        "audit_entry",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("merchant_id", sa.String(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("store_id", sa.String(), nullable=True),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("wire_at", INSTANT, nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("via", sa.String(), nullable=False),
        sa.Column("ip", sa.String(), nullable=False),
        sa.Column("login_id", sa.String(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("before", sa.Text(), nullable=True),
        sa.Column("after", sa.Text(), nullable=True),
        sa.Column("why", sa.String(), nullable=False),
        sa.Column("prev", sa.String(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.UniqueConstraint("merchant_id", "seq"),
    )
    op.create_index("ix_audit_entry_store_id", "audit_entry", ["store_id"])
    op.create_index("audit_entry_wire_at", "audit_entry", ["merchant_id", "wire_at"])
    op.create_index("audit_entry_subject", "audit_entry", ["merchant_id", "subject"])
    op.create_table(
        "audit_head",
        sa.Column("merchant_id", sa.String(), primary_key=True),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
    )
    op.create_table(
        "audit_checkpoint",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("merchant_id", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("kid", sa.String(), nullable=False),
        sa.Column("signature", sa.String(), nullable=False),
        sa.UniqueConstraint("merchant_id", "number"),
        sa.CheckConstraint("kind IN ('daily','prune','restore')"),
    )
    op.create_table(
        "backup_run",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("slot", sa.String(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("stage", sa.String(), nullable=False),
        sa.Column("done_bytes", sa.BigInteger(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("started_at", INSTANT, nullable=True),
        sa.Column("heartbeat_at", INSTANT, nullable=True),
        sa.Column("finished_at", INSTANT, nullable=True),
        sa.Column("name", sa.String(), nullable=True),
        sa.Column("place", sa.String(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("error", sa.String(), nullable=True),
        sa.Column("reported", sa.Boolean(), nullable=False),
        sa.Column("manifest", JSON, nullable=True),
        sa.Column("verified_at", INSTANT, nullable=True),
        sa.CheckConstraint("state IN ('asked','running','good','failed')"),
    )
    op.create_index("ix_backup_run_slot", "backup_run", ["slot"])
    op.create_table(
        "data_export",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("account_id", sa.String(), sa.ForeignKey("account.id"), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("content", sa.Text(), nullable=True),
        sa.Column("size_bytes", sa.Integer(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("ready_at", INSTANT, nullable=True),
        sa.Column("expires_at", INSTANT, nullable=True),
        sa.CheckConstraint("state IN ('asked','ready','expired')"),
    )
    op.create_index("ix_data_export_account_id", "data_export", ["account_id"])


def downgrade() -> None:
    """Back before it."""
    op.drop_table("data_export")
    op.drop_table("backup_run")
    op.drop_table("audit_checkpoint")
    op.drop_table("audit_head")
    op.drop_table("audit_entry")
