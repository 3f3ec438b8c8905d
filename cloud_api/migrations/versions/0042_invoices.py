"""Invoices that guests ask for."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from cloud_api.kit.columns import UTCDateTime

revision = "0042"
down_revision = "0041"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """One row per order."""
    op.create_table(
        "invoice_request",
        sa.Column("id", sa.String(), primary_key=True),
        *(
            sa.Column(f"{one}_id", sa.String(), sa.ForeignKey(f"{table}.id"), nullable=False)
            for one, table in (
                ("merchant", "merchant"),
                ("store", "store"),
                ("account", "account"),
                ("order", "orders"),
            )
        ),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("tax_no", sa.String(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("amount_fen", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("number", sa.String(), nullable=False),
        sa.Column("why", sa.String(), nullable=False),
        sa.Column("decided_by", sa.String(), nullable=True),
        sa.Column("decided_at", UTCDateTime(), nullable=True),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.UniqueConstraint("order_id"),
        sa.CheckConstraint("kind IN ('person','company')"),
        sa.CheckConstraint("state IN ('asked','issued','refused','withdrawn')"),
        sa.CheckConstraint("amount_fen > 0"),
    )
    for one in ("merchant", "store", "account"):
        op.create_index(f"ix_invoice_request_{one}_id", "invoice_request", [f"{one}_id"])


def downgrade() -> None:
    """They go."""
    op.drop_table("invoice_request")
