"""Who answers for an address that hears of events: who made it, as the log of acts has it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0041"
down_revision = "0040"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """One column, filled from the log."""
    op.add_column("webhook", sa.Column("kept_by", sa.String(), nullable=False, server_default=""))
    op.execute(
        "UPDATE webhook SET kept_by = coalesce((SELECT e.by FROM audit_entry e "
        "WHERE e.merchant_id = webhook.merchant_id AND e.subject = 'webhook:' || webhook.id "
        "AND e.action = 'webhook.make' ORDER BY e.seq LIMIT 1), '')"
    )


def downgrade() -> None:
    """It goes."""
    with op.batch_alter_table("webhook") as batch:
        batch.drop_column("kept_by")
