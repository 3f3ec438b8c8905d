"""Platform vouchers: accesses, deals, uses and their events, differences of records."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from cloud_api.kit.columns import Encrypted
from cloud_api.migrations.types import INSTANT, JSON

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None
_OWNERS = {
    "merchant_id": "merchant.id",
    "store_id": "store.id",
    "account_id": "account.id",
    "platform_account_id": "platform_account.id",
    "use_id": "platform_use.id",
    "room_id": "room.id",
}
_LIVE = sa.text("state NOT IN ('refused','lapsed','cancelled')")


def upgrade() -> None:
    """Make the tables."""
    _table(
        "platform_account",
        ["merchant_id"],
        sa.Column("store_id", sa.String(), sa.ForeignKey("store.id")),
        *_text("kind"),
        sa.Column("name", sa.String(40), nullable=False),
        sa.Column("credentials", Encrypted("platform_account.credentials"), nullable=False),
        sa.Column("places", JSON, nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("token", Encrypted("platform_account.token")),
        sa.Column("token_until", INSTANT),
        sa.Column("checked_at", INSTANT),
        sa.Column("checked", sa.String()),
        sa.Column("created_at", INSTANT, nullable=False),
    )
    _index("platform_account", "merchant_id")
    _deals()
    _uses()
    _table(
        "platform_use_event",
        ["merchant_id", "store_id", "use_id"],
        sa.Column("was", sa.String()),
        *_text("now", "by", "why"),
        sa.Column("at", INSTANT, nullable=False),
    )
    _index("platform_use_event", "merchant_id", "store_id", "use_id")
    _table(
        "platform_difference",
        ["merchant_id", "platform_account_id"],
        sa.Column("store_id", sa.String(), sa.ForeignKey("store.id")),
        sa.Column("day", sa.Date(), nullable=False),
        *_text("category", "receipt"),
        sa.Column("use_id", sa.String()),
        *_text("name"),
        sa.Column("theirs_fen", sa.Integer()),
        sa.Column("ours_fen", sa.Integer()),
        sa.Column("found_at", INSTANT, nullable=False),
        sa.Column("solved_at", INSTANT),
        sa.Column("solved_by", sa.String()),
        *_text("solved_why"),
        sa.UniqueConstraint("platform_account_id", "day", "category", "receipt"),
        sa.CheckConstraint("category IN ('missing_here','missing_there','amount','state')"),
        sa.CheckConstraint("solved_at IS NULL OR solved_why <> ''"),
    )
    _index("platform_difference", "merchant_id", "platform_account_id")


def downgrade() -> None:
    """The tables go."""
    for name in (
        "platform_difference",
        "platform_use_event",
        "platform_use",
        "platform_deal",
        "platform_account",
    ):
        op.drop_table(name)


def _deals() -> None:
    _table(
        "platform_deal",
        ["merchant_id", "platform_account_id"],
        sa.Column("deal", sa.String(64), nullable=False),
        sa.Column("name", sa.String(60), nullable=False),
        *_number("minutes", "worth_fen"),
        sa.Column("store_ids", JSON, nullable=False),
        sa.Column("room_ids", JSON, nullable=False),
        *_number("weekdays", "from_minute", "until_minute"),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.UniqueConstraint("platform_account_id", "deal"),
        sa.CheckConstraint("minutes > 0 AND worth_fen >= 0"),
        sa.CheckConstraint("weekdays BETWEEN 1 AND 127"),
        sa.CheckConstraint(
            "from_minute >= 0 AND from_minute < until_minute AND until_minute <= 2880"
        ),
    )
    _index("platform_deal", "merchant_id", "platform_account_id")


def _uses() -> None:
    _table(
        "platform_use",
        ["merchant_id", "store_id", "account_id", "platform_account_id"],
        *_text("kind", "label", "state"),
        sa.Column("number", sa.String(), nullable=False, unique=True),
        *_text("key_index"),
        sa.Column("code", Encrypted("platform_use.code"), nullable=False),
        sa.Column("code_tail", sa.String(4), nullable=False),
        sa.Column("secret", Encrypted("platform_use.secret"), nullable=False),
        sa.Column("token", Encrypted("platform_use.token"), nullable=False),
        *_text("deal"),
        sa.Column("name", sa.String(60), nullable=False),
        *_number("worth_fen"),
        *_text("place"),
        sa.Column("room_id", sa.String(), sa.ForeignKey("room.id"), nullable=False),
        sa.Column("starts_at", INSTANT, nullable=False),
        sa.Column("ends_at", INSTANT, nullable=False),
        sa.Column("claim_id", sa.String(), sa.ForeignKey("room_claim.id")),
        sa.Column("order_id", sa.String()),
        *_text("way", "by", "by_name", "receipt", "certificate"),
        *_number("tries"),
        sa.Column("sent_at", INSTANT),
        sa.Column("verified_at", INSTANT),
        sa.Column("expires_at", INSTANT),
        *_text("why"),
        sa.Column("created_at", INSTANT, nullable=False),
        *_number("version"),
        sa.CheckConstraint(
            "state IN ('asked','verifying','unknown','verified','confirmed','cancelling',"
            "'cancelled','stuck','refused','lapsed')"
        ),
        sa.CheckConstraint("worth_fen >= 0 AND starts_at < ends_at"),
        sa.CheckConstraint("state <> 'confirmed' OR order_id IS NOT NULL"),
    )
    _index(
        "platform_use",
        "merchant_id",
        "store_id",
        "account_id",
        "platform_account_id",
        "state",
        "order_id",
    )
    op.create_index(
        "one_live_platform_use",
        "platform_use",
        ["key_index"],
        unique=True,
        postgresql_where=_LIVE,
        sqlite_where=_LIVE,
    )


def _table(name: str, owners: list[str], *columns: sa.schema.SchemaItem) -> None:
    op.create_table(
        name,
        sa.Column("id", sa.String(), primary_key=True),
        *(
            sa.Column(one, sa.String(), sa.ForeignKey(_OWNERS[one]), nullable=False)
            for one in owners
        ),
        *columns,
    )


def _index(table: str, *columns: str) -> None:
    for name in columns:
        op.create_index(f"ix_{table}_{name}", table, [name])


def _text(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.String(), nullable=False) for name in names]


def _number(*names: str) -> list[sa.Column[int]]:
    return [sa.Column(name, sa.Integer(), nullable=False) for name in names]
