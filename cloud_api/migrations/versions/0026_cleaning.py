"""Tasks to clean rooms, their rule per store, their history; photos that are evidence of something."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from cloud_api.migrations.types import INSTANT, JSON

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

_STATES = "'open','taken','cleaning','to_check','rejected','done','cancelled'"


def upgrade() -> None:
    """Make the tables; no store has a rule of its own yet."""
    op.add_column("media", sa.Column("subject", sa.String(), nullable=True))
    op.create_index("ix_media_subject", "media", ["subject"])
    op.create_table(
        "cleaning_rule",
        sa.Column("id", sa.String(), primary_key=True),
        *_owners(),
        sa.Column("after_stay", sa.Boolean(), nullable=False),
        sa.Column("least_minutes", sa.Integer(), nullable=False),
        sa.Column("minutes", sa.Integer(), nullable=False),
        sa.Column("keep", sa.Boolean(), nullable=False),
        sa.Column("check_done", sa.Boolean(), nullable=False),
        sa.Column("photos", sa.Integer(), nullable=False),
        sa.Column("pay_fen", sa.Integer(), nullable=False),
        sa.Column("updated_at", INSTANT, nullable=False),
        sa.CheckConstraint("least_minutes >= 0 AND pay_fen >= 0 AND photos BETWEEN 0 AND 9"),
        sa.CheckConstraint("minutes BETWEEN 5 AND 240"),
    )
    op.create_table(
        "cleaning_task",
        sa.Column("id", sa.String(), primary_key=True),
        *_owners(),
        sa.Column("room_id", sa.String(), sa.ForeignKey("room.id"), nullable=False),
        sa.Column("order_id", sa.String(), nullable=True, unique=True),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("note", sa.String(200), nullable=False),
        sa.Column("staff_id", sa.String(), sa.ForeignKey("staff.id"), nullable=True),
        sa.Column("pay_fen", sa.Integer(), nullable=False),
        sa.Column("photos", JSON, nullable=False),
        sa.Column("why", sa.String(200), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        *(
            sa.Column(name, INSTANT, nullable=True)
            for name in ("taken_at", "started_at", "finished_at", "checked_at")
        ),
        sa.Column("checked_by", sa.String(), nullable=True),
        sa.CheckConstraint(f"state IN ({_STATES})"),
        sa.CheckConstraint("(state IN ('open','cancelled')) OR staff_id IS NOT NULL"),
        sa.CheckConstraint("pay_fen >= 0"),
    )
    op.create_index(
        "ix_cleaning_task_sheet", "cleaning_task", ["merchant_id", "state", "finished_at"]
    )
    op.create_table(
        "cleaning_event",
        sa.Column("id", sa.String(), primary_key=True),
        *_owners(),
        sa.Column("task_id", sa.String(), sa.ForeignKey("cleaning_task.id"), nullable=False),
        *(sa.Column(name, sa.String(), nullable=False) for name in ("was", "now", "by", "why")),
        sa.Column("at", INSTANT, nullable=False),
    )
    for table, names in (
        ("cleaning_rule", ("merchant_id", "store_id")),
        ("cleaning_task", ("merchant_id", "store_id", "room_id", "staff_id")),
        ("cleaning_event", ("merchant_id", "store_id", "task_id")),
    ):
        for name in names:
            op.create_index(f"ix_{table}_{name}", table, [name])


def _owners() -> tuple[sa.Column[str], sa.Column[str]]:
    return (
        sa.Column("merchant_id", sa.String(), sa.ForeignKey("merchant.id"), nullable=False),
        sa.Column("store_id", sa.String(), sa.ForeignKey("store.id"), nullable=False),
    )


def downgrade() -> None:
    """Nobody is told to clean."""
    for table in ("cleaning_event", "cleaning_task", "cleaning_rule"):
        op.drop_table(table)
    op.drop_index("ix_media_subject", "media")
    op.drop_column("media", "subject")
