"""Accounts at platforms, what their deals are worth here, each use of a code, and where records differ."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import CheckConstraint, Index, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from cloud_api.kit.columns import Encrypted, Json, UTCDateTime
from cloud_api.kit.ids import new_id

_LIVE = text("state NOT IN ('refused','lapsed','cancelled')")


class PlatformAccount(SQLModel, table=True):
    """A merchant's access to one platform; ``credentials`` is JSON, encrypted.

    Without a ``store_id`` it serves every store that ``places`` knows: our store's id → the platform's.
    ``token`` is what the platform lent for the credentials, until ``token_until`` (wire time).
    """

    __tablename__ = "platform_account"
    id: str = Field(default_factory=new_id, primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    store_id: str | None = Field(default=None, foreign_key="store.id")
    kind: str  # a key of platforms.KINDS
    name: str = Field(max_length=40)
    credentials: str = Field(sa_type=Encrypted("platform_account.credentials"))
    places: dict[str, Any] = Field(default_factory=dict, sa_type=Json)
    enabled: bool = True
    token: str | None = Field(default=None, sa_type=Encrypted("platform_account.token"))
    token_until: datetime | None = Field(default=None, sa_type=UTCDateTime)
    checked_at: datetime | None = Field(default=None, sa_type=UTCDateTime)  # the last try's time
    checked: str | None = None  # and how it went: "ok", or what is wrong, in words
    created_at: datetime = Field(sa_type=UTCDateTime)


class PlatformDeal(SQLModel, table=True):
    """What one deal of a platform opens here; days and hours as in a voucher.

    ``deal`` is the platform's own number of it (sku_id, deal_id), unique within its account.
    """

    __tablename__ = "platform_deal"
    __table_args__ = (
        UniqueConstraint("platform_account_id", "deal"),
        CheckConstraint("minutes > 0 AND worth_fen >= 0"),
        CheckConstraint("weekdays BETWEEN 1 AND 127"),
        CheckConstraint("from_minute >= 0 AND from_minute < until_minute AND until_minute <= 2880"),
    )
    id: str = Field(default_factory=new_id, primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    platform_account_id: str = Field(foreign_key="platform_account.id", index=True)
    deal: str = Field(max_length=64)
    name: str = Field(max_length=60)
    minutes: int
    worth_fen: int = 0  # counted where the platform does not tell what was paid
    store_ids: list[Any] = Field(default_factory=list, sa_type=Json)  # none: every store
    room_ids: list[Any] = Field(default_factory=list, sa_type=Json)  # none: every room
    weekdays: int = 127
    from_minute: int = 0
    until_minute: int = 1440
    active: bool = True
    created_at: datetime = Field(sa_type=UTCDateTime)


class PlatformUse(SQLModel, table=True):
    """One use of one code; its states are changed in transitions.py only.

    ``key_index`` is a keyed hash of what the platform knows the voucher by; of those that are not over,
    the database holds one (I3). ``token`` and ``secret`` are what verifying needs, written before the
    call, so that the very same question can be asked again. Instants are business time, but ``sent_at``.
    """

    __tablename__ = "platform_use"
    __table_args__ = (
        CheckConstraint(
            "state IN ('asked','verifying','unknown','verified','confirmed','cancelling',"
            "'cancelled','stuck','refused','lapsed')"
        ),
        CheckConstraint("worth_fen >= 0 AND starts_at < ends_at"),
        CheckConstraint("state <> 'confirmed' OR order_id IS NOT NULL"),
        Index(
            "one_live_platform_use",
            "key_index",
            unique=True,
            postgresql_where=_LIVE,
            sqlite_where=_LIVE,
        ),
    )
    id: str = Field(default_factory=new_id, primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    store_id: str = Field(foreign_key="store.id", index=True)
    account_id: str = Field(foreign_key="account.id", index=True)  # the guest
    platform_account_id: str = Field(foreign_key="platform_account.id", index=True)
    kind: str
    label: str  # the platform as guests read it
    state: str = Field(default="verifying", index=True)
    number: str = Field(default_factory=new_id, unique=True)  # ours, as the platform is told it
    key_index: str
    code: str = Field(sa_type=Encrypted("platform_use.code"))  # as the platform wants it again
    code_tail: str = Field(max_length=4)
    secret: str = Field(default="", sa_type=Encrypted("platform_use.secret"))
    token: str = Field(default="", sa_type=Encrypted("platform_use.token"))
    deal: str
    name: str = Field(max_length=60)
    worth_fen: int
    place: str = ""  # the platform's number of our store
    room_id: str = Field(foreign_key="room.id")
    starts_at: datetime = Field(sa_type=UTCDateTime)
    ends_at: datetime = Field(sa_type=UTCDateTime)
    claim_id: str | None = Field(default=None, foreign_key="room_claim.id")
    order_id: str | None = Field(default=None, index=True)
    way: str  # online | door | scan | code
    by: str
    by_name: str = ""
    receipt: str = ""  # the platform's number of the verification
    certificate: str = ""
    tries: int = 0
    sent_at: datetime | None = Field(
        default=None, sa_type=UTCDateTime
    )  # wire time, of the last try
    verified_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    expires_at: datetime | None = Field(default=None, sa_type=UTCDateTime)  # of one that waits
    why: str = ""  # of the last change, in words for people
    created_at: datetime = Field(sa_type=UTCDateTime)
    version: int = 0


class PlatformUseEvent(SQLModel, table=True):
    """One change of a use: from what to what, by whom, why. Never changed, never deleted."""

    __tablename__ = "platform_use_event"
    id: str = Field(default_factory=new_id, primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    store_id: str = Field(foreign_key="store.id", index=True)
    use_id: str = Field(foreign_key="platform_use.id", index=True)
    was: str | None = None
    now: str
    by: str
    why: str = ""
    at: datetime = Field(sa_type=UTCDateTime)


class PlatformDifference(SQLModel, table=True):
    """Where a day's records at the platform and ours differ; open until somebody has dealt with it.

    ``category``: missing_here (verified there, unknown here), missing_there, amount, state.
    """

    __tablename__ = "platform_difference"
    __table_args__ = (
        UniqueConstraint("platform_account_id", "day", "category", "receipt"),
        CheckConstraint("category IN ('missing_here','missing_there','amount','state')"),
        CheckConstraint("solved_at IS NULL OR solved_why <> ''"),
    )
    id: str = Field(default_factory=new_id, primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    store_id: str | None = Field(default=None, foreign_key="store.id")
    platform_account_id: str = Field(foreign_key="platform_account.id", index=True)
    day: date  # of the account's records, local
    category: str
    receipt: str
    use_id: str | None = None
    name: str = ""
    theirs_fen: int | None = None
    ours_fen: int | None = None
    found_at: datetime = Field(sa_type=UTCDateTime)
    solved_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    solved_by: str | None = None
    solved_why: str = ""
