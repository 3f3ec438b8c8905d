"""Who a person is: account, logins, codes by SMS. These belong to no merchant: one phone, one account."""

from datetime import datetime

from sqlalchemy import BigInteger, UniqueConstraint
from sqlmodel import Field, SQLModel

from cloud_api.kit.columns import Encrypted, UTCDateTime
from cloud_api.kit.ids import new_id


class Account(SQLModel, table=True):
    """A person known by phone. The number is encrypted; ``phone_index`` finds it."""

    id: str = Field(default_factory=new_id, primary_key=True)
    phone: str = Field(sa_type=Encrypted("account.phone"))
    phone_index: str = Field(unique=True)
    phone_tail: str = Field(max_length=4)  # last four digits, for masked display
    locale: str = "zh_Hans"
    created_at: datetime = Field(sa_type=UTCDateTime)
    second_factor_at: datetime | None = Field(default=None, sa_type=UTCDateTime)  # wire; None: none


class Login(SQLModel, table=True):
    """A device that is logged in. The token is stored hashed and can be revoked at once.

    ``kind``: how it began: ``sms``, ``password``, ``wechat``, ``alipay``, ``link`` (the first owner's), or
    ``platform``: an administrator of the installation who acts for this account at one merchant's console.
    ``strong_at``: when the second factor was last proved on it (wire time).
    """

    id: str = Field(default_factory=new_id, primary_key=True)
    account_id: str = Field(foreign_key="account.id", index=True)
    token_hash: str = Field(unique=True)
    device: str = ""
    ip: str = ""
    created_at: datetime = Field(sa_type=UTCDateTime)
    expires_at: datetime = Field(sa_type=UTCDateTime)  # wire time
    revoked_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    kind: str = Field(default="sms", sa_column_kwargs={"server_default": "sms"})
    address: str | None = Field(default=None, sa_type=Encrypted("login.address"))
    last_seen_at: datetime | None = Field(default=None, sa_type=UTCDateTime)  # wire, to ten minutes
    strong_at: datetime | None = Field(default=None, sa_type=UTCDateTime)


class Identity(SQLModel, table=True):
    """An account as an app at WeChat or Alipay knows it, so that its owner logs in without a code.

    ``subject`` is the openid or user id; ``subject_index`` finds it and is nobody else's. An account has
    one at most at each app.
    """

    __table_args__ = (UniqueConstraint("account_id", "provider", "app"),)

    id: str = Field(default_factory=new_id, primary_key=True)
    account_id: str = Field(foreign_key="account.id", index=True)
    provider: str = Field(max_length=16)
    app: str = Field(max_length=64)
    subject: str = Field(sa_type=Encrypted("identity.subject"))
    subject_index: str = Field(unique=True)
    created_at: datetime = Field(sa_type=UTCDateTime)
    used_at: datetime = Field(sa_type=UTCDateTime)  # wire


class Password(SQLModel, table=True):
    """An account's password, if it has one (argon2id)."""

    account_id: str = Field(foreign_key="account.id", primary_key=True)
    hash: str
    changed_at: datetime = Field(sa_type=UTCDateTime)


class Totp(SQLModel, table=True):
    """An account's generator of six digits (RFC 6238). It counts once it was confirmed.

    ``last_step`` is the newest time step a code was accepted for: none is good twice.
    """

    account_id: str = Field(foreign_key="account.id", primary_key=True)
    secret: str = Field(sa_type=Encrypted("totp.secret"))
    created_at: datetime = Field(sa_type=UTCDateTime)
    confirmed_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    last_step: int = Field(default=0, sa_type=BigInteger)


class RecoveryCode(SQLModel, table=True):
    """One of ten codes for the day the phone is gone; hashed, good once."""

    __tablename__ = "recovery_code"
    id: str = Field(default_factory=new_id, primary_key=True)
    account_id: str = Field(foreign_key="account.id", index=True)
    code_hash: str = Field(unique=True)
    created_at: datetime = Field(sa_type=UTCDateTime)
    used_at: datetime | None = Field(default=None, sa_type=UTCDateTime)


class SetupCode(SQLModel, table=True):
    """The first owner's way in, printed by ``kaimen-cloud init``: hashed, good once, for a day."""

    __tablename__ = "setup_code"
    id: str = Field(default_factory=new_id, primary_key=True)
    account_id: str = Field(foreign_key="account.id", index=True)
    code_hash: str = Field(unique=True)
    created_at: datetime = Field(sa_type=UTCDateTime)
    expires_at: datetime = Field(sa_type=UTCDateTime)  # wire time
    used_at: datetime | None = Field(default=None, sa_type=UTCDateTime)


class LoginCode(SQLModel, table=True):
    """A one-time code sent by SMS; hashed, five attempts, five minutes."""

    __tablename__ = "login_code"
    id: str = Field(default_factory=new_id, primary_key=True)
    phone_index: str = Field(index=True)
    code_hash: str
    ip: str = ""
    attempts: int = 0
    created_at: datetime = Field(sa_type=UTCDateTime)
    expires_at: datetime = Field(sa_type=UTCDateTime)  # wire time
    used_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
