"""The audit's tables: entries chained per merchant, the chain's head, signed checkpoints of it."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, Index, UniqueConstraint
from sqlmodel import Field, SQLModel

from cloud_api.audit.canonical import CanonicalJson
from cloud_api.kit.columns import UTCDateTime
from cloud_api.kit.ids import new_id

# No foreign keys: an entry outlives what it speaks of. The chain of the installation's own acts has
# audit.service.INSTALLATION in place of a merchant's id.


class AuditEntry(SQLModel, table=True):
    """One act. The database refuses to change or delete it (audit/guard.py).

    ``seq``, ``prev`` and ``hash`` are filled in when the transaction commits. ``at`` is business
    time, ``wire_at`` wire time. ``hash`` is SHA-256 over all other columns (audit/chain.py).
    """

    __tablename__ = "audit_entry"
    __table_args__ = (
        UniqueConstraint("merchant_id", "seq"),
        Index("audit_entry_wire_at", "merchant_id", "wire_at"),
        Index("audit_entry_subject", "merchant_id", "subject"),
    )
    id: str = Field(default_factory=new_id, primary_key=True)
    merchant_id: str
    seq: int = 0
    store_id: str | None = Field(default=None, index=True)
    at: datetime = Field(sa_type=UTCDateTime)
    wire_at: datetime = Field(sa_type=UTCDateTime)
    by: str  # actor.ref: staff:ID, customer:ID, platform:ID, system
    via: str = ""  # staff:ID, as whom a platform administrator acted
    ip: str = ""  # in full for staff, its network for customers
    login_id: str = ""
    action: str  # noun.verb
    subject: str  # kind:id
    before: dict[str, Any] | None = Field(default=None, sa_type=CanonicalJson)
    after: dict[str, Any] | None = Field(default=None, sa_type=CanonicalJson)
    why: str = ""
    prev: str = ""  # hash of the entry before, 64 hex digits
    hash: str = ""


class AuditHead(SQLModel, table=True):
    """The end of a merchant's chain; its row is the queue of those who append."""

    __tablename__ = "audit_head"
    merchant_id: str = Field(primary_key=True)
    seq: int = 0
    hash: str


class AuditCheckpoint(SQLModel, table=True):
    """A chain's end at a moment, signed by the installation: what stood then cannot be cut off later.

    ``kind``: ``daily``; ``prune`` (entries up to ``seq`` may be gone, on purpose); ``restore`` (the
    database went back to this end; checkpoints made before of later ends are of the lost part).
    """

    __tablename__ = "audit_checkpoint"
    __table_args__ = (
        UniqueConstraint("merchant_id", "number"),
        CheckConstraint("kind IN ('daily','prune','restore')"),
    )
    id: str = Field(default_factory=new_id, primary_key=True)
    merchant_id: str
    number: int
    kind: str
    seq: int
    hash: str
    at: datetime = Field(sa_type=UTCDateTime)  # wire time
    kid: str  # of the key, see audit/signing.py
    signature: str  # base64
