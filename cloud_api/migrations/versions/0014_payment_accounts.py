"""Payment accounts as settings."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from cloud_api.migrations.types import INSTANT, JSON

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_CHECKS = {
    "account_min": "min_fen IS NULL OR min_fen > 0",
    "account_max": "max_fen IS NULL OR max_fen > 0",
    "account_span": "min_fen IS NULL OR max_fen IS NULL OR min_fen <= max_fen",
}
_COLUMNS = ("position", "min_fen", "max_fen", "channels", "expires_at", "checked_at", "checked")


def upgrade() -> None:
    """An account has a place on the page, limits, channels, and how its last try went."""
    with op.batch_alter_table("provider_account", schema=None) as table:
        table.add_column(sa.Column("position", sa.Integer(), nullable=False, server_default="0"))
        table.add_column(sa.Column("min_fen", sa.Integer(), nullable=True))
        table.add_column(sa.Column("max_fen", sa.Integer(), nullable=True))
        table.add_column(sa.Column("channels", JSON, nullable=False, server_default="[]"))
        table.add_column(sa.Column("expires_at", INSTANT, nullable=True))
        table.add_column(sa.Column("checked_at", INSTANT, nullable=True))
        table.add_column(sa.Column("checked", sa.String(), nullable=True))
        for name, condition in _CHECKS.items():
            table.create_check_constraint(name, condition)


def downgrade() -> None:
    """Accounts are credentials alone again."""
    with op.batch_alter_table("provider_account", schema=None) as table:
        for name in _CHECKS:
            table.drop_constraint(name, type_="check")
        for name in reversed(_COLUMNS):
            table.drop_column(name)
