"""Staff: passwords, second factors, logins that say what they are, invitations, roles, the platform."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from cloud_api.migrations.types import INSTANT, JSON

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_NEW = (
    "impersonation",
    "platform_admin",
    "invitation",
    "staff_role",
    "setup_code",
    "recovery_code",
    "totp",
    "password",
)


def upgrade() -> None:
    """Who a person is and what they may do."""
    op.add_column("account", sa.Column("second_factor_at", INSTANT, nullable=True))
    op.add_column(
        "login", sa.Column("kind", sa.String(), nullable=False, server_default=sa.text("'sms'"))
    )
    op.add_column("login", sa.Column("address", sa.Text(), nullable=True))
    op.add_column("login", sa.Column("last_seen_at", INSTANT, nullable=True))
    op.add_column("login", sa.Column("strong_at", INSTANT, nullable=True))
    # Written out: the one form of a column with a check that both engines add without a new table.
    op.execute(
        "ALTER TABLE merchant ADD COLUMN second_factor VARCHAR DEFAULT 'off' NOT NULL "
        "CHECK (second_factor IN ('off','owner','all'))"
    )
    op.add_column("merchant", sa.Column("suspended_at", INSTANT, nullable=True))
    op.add_column(
        "merchant",
        sa.Column("suspended_why", sa.String(), nullable=False, server_default=sa.text("''")),
    )
    _accounts()
    _staff()
    _platform()


def _accounts() -> None:
    op.create_table(
        "password",
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.Column("changed_at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"]),
        sa.PrimaryKeyConstraint("account_id"),
    )
    op.create_table(
        "totp",
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("confirmed_at", INSTANT, nullable=True),
        sa.Column("last_step", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"]),
        sa.PrimaryKeyConstraint("account_id"),
    )
    op.create_table(
        "recovery_code",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("code_hash", sa.String(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("used_at", INSTANT, nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("code_hash"),
    )
    op.create_index("ix_recovery_code_account_id", "recovery_code", ["account_id"])
    op.create_table(
        "setup_code",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("code_hash", sa.String(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("expires_at", INSTANT, nullable=False),
        sa.Column("used_at", INSTANT, nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("code_hash"),
    )
    op.create_index("ix_setup_code_account_id", "setup_code", ["account_id"])


def _staff() -> None:
    op.create_table(
        "staff_role",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("merchant_id", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("name", sa.String(20), nullable=False),
        sa.Column("permissions", JSON, nullable=True),
        sa.Column("refund_fen", sa.Integer(), nullable=True),
        sa.Column("waiver_fen", sa.Integer(), nullable=True),
        sa.Column("second_factor", sa.Boolean(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("updated_at", INSTANT, nullable=False),
        sa.CheckConstraint("refund_fen >= 0 AND waiver_fen >= 0"),
        sa.ForeignKeyConstraint(["merchant_id"], ["merchant.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("merchant_id", "key"),
    )
    op.create_index("ix_staff_role_merchant_id", "staff_role", ["merchant_id"])
    op.create_table(
        "invitation",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("merchant_id", sa.String(), nullable=False),
        sa.Column("token_hash", sa.String(), nullable=False),
        sa.Column("phone", sa.Text(), nullable=False),
        sa.Column("phone_index", sa.String(), nullable=False),
        sa.Column("phone_tail", sa.String(4), nullable=False),
        sa.Column("name", sa.String(40), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("store_ids", JSON, nullable=True),
        sa.Column("invited_by", sa.String(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("expires_at", INSTANT, nullable=False),
        sa.Column("accepted_at", INSTANT, nullable=True),
        sa.Column("revoked_at", INSTANT, nullable=True),
        sa.ForeignKeyConstraint(["merchant_id"], ["merchant.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("token_hash"),
    )
    op.create_index("ix_invitation_merchant_id", "invitation", ["merchant_id"])
    op.create_index("ix_invitation_phone_index", "invitation", ["phone_index"])


def _platform() -> None:
    op.create_table(
        "platform_admin",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("name", sa.String(40), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("removed_at", INSTANT, nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("account_id"),
    )
    op.create_table(
        "impersonation",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("merchant_id", sa.String(), nullable=False),
        sa.Column("staff_id", sa.String(), nullable=False),
        sa.Column("admin_id", sa.String(), nullable=False),
        sa.Column("login_id", sa.String(), nullable=False),
        sa.Column("read_only", sa.Boolean(), nullable=False),
        sa.Column("why", sa.String(), nullable=False),
        sa.Column("started_at", INSTANT, nullable=False),
        sa.Column("expires_at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(["merchant_id"], ["merchant.id"]),
        sa.ForeignKeyConstraint(["staff_id"], ["staff.id"]),
        sa.ForeignKeyConstraint(["admin_id"], ["platform_admin.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("login_id"),
    )
    op.create_index("ix_impersonation_merchant_id", "impersonation", ["merchant_id"])
    op.create_index("ix_impersonation_admin_id", "impersonation", ["admin_id"])


def downgrade() -> None:
    """Back before it."""
    for table in _NEW:
        op.drop_table(table)
    for table, columns in (
        ("merchant", ("suspended_why", "suspended_at")),
        ("login", ("strong_at", "last_seen_at", "address", "kind")),
        ("account", ("second_factor_at",)),
    ):
        for column in columns:
            op.drop_column(table, column)
    with op.batch_alter_table("merchant") as batch:  # SQLite drops a column with a check only so
        batch.drop_column("second_factor")
