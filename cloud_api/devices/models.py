"""What hangs in a store: boards, their uses, the controller's credentials, its reports, commands to it."""

from datetime import datetime
from typing import Any

from sqlalchemy import Index, text
from sqlmodel import Field, SQLModel

from cloud_api.kit.columns import Encrypted, Json, UTCDateTime
from cloud_api.kit.ids import new_id


class Board(SQLModel, table=True):
    """A device on a port of the store's controller; ``profile`` names a device profile."""

    id: str = Field(default_factory=new_id, primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    store_id: str = Field(foreign_key="store.id", index=True)
    name: str
    profile: str
    port: str
    params: dict[str, Any] = Field(default_factory=dict, sa_type=Json)
    created_at: datetime = Field(sa_type=UTCDateTime)


class Binding(SQLModel, table=True):
    """One use of a board: a capability at a channel, its role, the rooms it serves."""

    id: str = Field(default_factory=new_id, primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    store_id: str = Field(foreign_key="store.id", index=True)
    board_id: str = Field(foreign_key="board.id", index=True)
    name: str  # 麻将机, 空调, 灯, 门锁
    capability: str
    channel: int | None = None
    role: str
    rooms: list[Any] = Field(sa_type=Json)
    lead_s: int | None = None  # on so long before a stay starts
    linger_s: int | None = None  # on so long after its use ends, in the place of the grace scene
    created_at: datetime = Field(sa_type=UTCDateTime)


class Schedule(SQLModel, table=True):
    """Devices that are on by the time of day: local times of the store, over midnight where it ends first."""

    __tablename__ = "device_schedule"
    id: str = Field(default_factory=new_id, primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    store_id: str = Field(foreign_key="store.id", index=True)
    name: str = Field(max_length=40)
    bindings: list[Any] = Field(sa_type=Json)
    days: list[Any] = Field(sa_type=Json)  # mon … sun, holiday
    begins: str = Field(max_length=5)
    ends: str = Field(max_length=5)
    active: bool = True
    created_at: datetime = Field(sa_type=UTCDateTime)


class StaffKey(SQLModel, table=True):
    """A card or a code with which a member of staff opens doors, also where the store is offline."""

    __tablename__ = "staff_key"
    id: str = Field(default_factory=new_id, primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    staff_id: str = Field(foreign_key="staff.id", index=True)
    kind: str  # card | code
    secret: str = Field(sa_type=Encrypted("staff_key.secret"))  # the number
    tail: str = Field(max_length=4)
    doors: list[Any] | None = Field(default=None, sa_type=Json)  # None: all of their stores
    begins: str | None = Field(default=None, max_length=5)
    ends: str | None = Field(default=None, max_length=5)
    until: datetime | None = Field(default=None, sa_type=UTCDateTime)  # business time
    made_by: str
    created_at: datetime = Field(sa_type=UTCDateTime)
    revoked_at: datetime | None = Field(default=None, sa_type=UTCDateTime)


class Diagnostics(SQLModel, table=True):
    """A bundle that a store was asked for, and what came. Kept for two weeks."""

    __tablename__ = "diagnostics"
    id: str = Field(default_factory=new_id, primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    store_id: str = Field(foreign_key="store.id", index=True)
    asked_by: str
    why: str
    created_at: datetime = Field(sa_type=UTCDateTime)  # wire time
    received_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    content: str | None = Field(default=None, sa_type=Encrypted("diagnostics.content"))


class EnrolmentCode(SQLModel, table=True):
    """A one-time code with which a controller becomes a store's: single use, 15 minutes."""

    __tablename__ = "enrolment_code"
    id: str = Field(default_factory=new_id, primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    store_id: str = Field(foreign_key="store.id", index=True)
    code_hash: str = Field(unique=True)
    made_by: str
    created_at: datetime = Field(sa_type=UTCDateTime)
    expires_at: datetime = Field(sa_type=UTCDateTime)  # wire time
    used_at: datetime | None = Field(default=None, sa_type=UTCDateTime)


MAC_KEY = "store_credential.mac_key"  # what its encryption is bound to


class StoreCredential(SQLModel, table=True):
    """A controller's certificate and MAC key; enrolling a replacement revokes the old."""

    __tablename__ = "store_credential"
    __table_args__ = (
        Index(
            "one_live_credential",
            "store_id",
            unique=True,
            postgresql_where=text("revoked_at IS NULL"),
            sqlite_where=text("revoked_at IS NULL"),
        ),
    )
    id: str = Field(default_factory=new_id, primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    store_id: str = Field(foreign_key="store.id", index=True)
    serial: str = Field(unique=True)  # of the certificate, hex
    mqtt_user: str = Field(unique=True)  # what the broker knows the controller by
    certificate: str  # PEM
    mac_kid: str = Field(unique=True)
    mac_key: str = Field(sa_type=Encrypted(MAC_KEY))
    created_at: datetime = Field(sa_type=UTCDateTime)
    expires_at: datetime = Field(sa_type=UTCDateTime)
    revoked_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    # The certificate that was renewed, as long as it would still be taken: to be revoked with this one.
    earlier_serial: str | None = None
    earlier_expires_at: datetime | None = Field(default=None, sa_type=UTCDateTime)


class StoreStatus(SQLModel, table=True):
    """What a store last said of itself. ``online`` is presence; ``reported`` the Reported message."""

    __tablename__ = "store_status"
    store_id: str = Field(primary_key=True, foreign_key="store.id")
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    online: bool = False
    boot: str | None = None
    nonce: str | None = None  # of the present connection: commands carry it
    presence_at: datetime | None = Field(default=None, sa_type=UTCDateTime)  # wire time
    reported: dict[str, Any] | None = Field(default=None, sa_type=Json)
    reported_at: datetime | None = Field(default=None, sa_type=UTCDateTime)  # wire time
    epoch: int = 0
    rev: int = 0


class DeviceCommand(SQLModel, table=True):
    """A command to a store and what became of it: the log of who opened or switched what, and why."""

    __tablename__ = "device_command"
    __table_args__ = (Index("device_command_target", "store_id", "target", "created_at"),)
    id: str = Field(default_factory=new_id, primary_key=True)  # the id on the wire
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    store_id: str = Field(foreign_key="store.id", index=True)
    target: str
    action: str  # store_link.messages.Action
    args: dict[str, Any] = Field(default_factory=dict, sa_type=Json)
    by: str
    why: str = ""
    order_id: str | None = Field(default=None, index=True)
    instance: str = ""  # the API process that waits
    state: str = "created"  # created | sent | accepted | AckState… | not_sent
    reason: str | None = None
    evidence: dict[str, Any] = Field(default_factory=dict, sa_type=Json)
    created_at: datetime = Field(sa_type=UTCDateTime)  # wire time
    expires_at: datetime = Field(sa_type=UTCDateTime)  # wire time
    sent_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    accepted_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    final_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
