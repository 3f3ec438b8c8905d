"""What a merchant knows of its customers; made for everybody who has ordered."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from cloud_api.kit.ids import new_id
from cloud_api.migrations.types import INSTANT, JSON

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """The table, and a row for each customer of each merchant with the figures of their orders."""
    profile = op.create_table(
        "member_profile",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("merchant_id", sa.String(), sa.ForeignKey("merchant.id"), nullable=False),
        sa.Column("account_id", sa.String(), sa.ForeignKey("account.id"), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("tags", JSON, nullable=False),
        sa.Column("phone_tail", sa.String(4), nullable=False),
        *(sa.Column(n, sa.Integer(), nullable=False) for n in ("orders", "visits", "spent_fen")),
        sa.Column("first_at", INSTANT, nullable=False),
        sa.Column("last_at", INSTANT, nullable=False),
        sa.Column("merged_into", sa.String(), nullable=True),
        sa.UniqueConstraint("merchant_id", "account_id"),
    )
    for name, columns in (
        ("last", ["merchant_id", "last_at"]),
        ("spent", ["merchant_id", "spent_fen"]),
        ("visits", ["merchant_id", "visits"]),
        ("merchant_id", ["merchant_id"]),
        ("account_id", ["account_id"]),
        ("phone_tail", ["phone_tail"]),
    ):
        op.create_index(f"ix_member_profile_{name}", "member_profile", columns)
    rows = op.get_bind().execute(
        sa.text(
            "SELECT o.merchant_id, o.account_id, a.phone_tail, count(*) AS orders, "
            "sum(CASE WHEN o.status IN ('in_use','completed') THEN 1 ELSE 0 END) AS visits, "
            "sum(CASE WHEN o.status <> 'cancelled' THEN o.paid_fen - o.refunded_fen ELSE 0 END) "
            "AS spent_fen, min(o.created_at) AS first_at, max(o.starts_at) AS last_at "
            "FROM orders o JOIN account a ON a.id = o.account_id "
            "GROUP BY o.merchant_id, o.account_id, a.phone_tail"
        ).columns(first_at=INSTANT, last_at=INSTANT)
    )
    made = [
        {**dict(row), "id": new_id(), "name": None, "note": None, "tags": [], "merged_into": None}
        for row in rows.mappings()
    ]
    for start in range(0, len(made), 500):
        op.get_bind().execute(profile.insert(), made[start : start + 500])


def downgrade() -> None:
    """Only orders know who came."""
    op.drop_table("member_profile")
