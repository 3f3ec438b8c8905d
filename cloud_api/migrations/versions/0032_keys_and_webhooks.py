"""Keys for other software, and what is told to it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from cloud_api.kit.columns import Encrypted
from cloud_api.migrations.types import INSTANT, JSON

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "api_key",
        *_own(),
        sa.Column("start", sa.String(16), nullable=False),
        sa.Column("token_hash", sa.String(), nullable=False, unique=True),
        sa.Column("permissions", JSON, nullable=False),
        sa.Column("store_ids", JSON, nullable=True),
        sa.Column("created_by", sa.String(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("last_used_at", INSTANT, nullable=True),
        sa.Column("revoked_at", INSTANT, nullable=True),
    )
    op.create_index("ix_api_key_merchant_id", "api_key", ["merchant_id"])
    op.create_table(
        "webhook",
        *_own(),
        sa.Column("url", Encrypted("webhook.url"), nullable=False),
        sa.Column("host", sa.String(), nullable=False),
        sa.Column("secret", Encrypted("webhook.secret"), nullable=False),
        sa.Column("old_secret", Encrypted("webhook.old_secret"), nullable=True),
        sa.Column("old_until", INSTANT, nullable=True),
        sa.Column("kinds", JSON, nullable=False),
        sa.Column("store_ids", JSON, nullable=True),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("stopped_why", sa.String(), nullable=False),
        sa.Column("failing_since", INSTANT, nullable=True),
        sa.Column("from_feed", sa.BigInteger(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
    )
    op.create_index("ix_webhook_merchant_id", "webhook", ["merchant_id"])
    op.create_table(
        "webhook_delivery",
        sa.Column("id", sa.String(), primary_key=True),
        _merchant(),
        sa.Column("webhook_id", sa.String(), sa.ForeignKey("webhook.id"), nullable=False),
        sa.Column("feed_id", sa.BigInteger(), nullable=True),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("body", JSON, nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("replays", sa.Integer(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("took_ms", sa.Integer(), nullable=True),
        sa.Column("said", sa.String(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("tried_at", INSTANT, nullable=True),
        sa.UniqueConstraint("webhook_id", "feed_id"),
        sa.CheckConstraint("state IN ('waiting','sent','failed')"),
    )
    op.create_index("ix_webhook_delivery_merchant_id", "webhook_delivery", ["merchant_id"])
    op.create_index("webhook_delivery_list", "webhook_delivery", ["webhook_id", "id"])


def _own() -> list[sa.Column[str]]:
    return [
        sa.Column("id", sa.String(), primary_key=True),
        _merchant(),
        sa.Column("name", sa.String(40), nullable=False),
    ]


def _merchant() -> sa.Column[str]:
    return sa.Column("merchant_id", sa.String(), sa.ForeignKey("merchant.id"), nullable=False)


def downgrade() -> None:
    """They go."""
    for name in ("webhook_delivery", "webhook", "api_key"):
        op.drop_table(name)
