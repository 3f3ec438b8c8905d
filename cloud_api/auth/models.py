"""Who a person is: account, logins, codes by SMS. These belong to no merchant: one phone, one account."""

from datetime import datetime

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


class Login(SQLModel, table=True):
    """A device that is logged in. The token is stored hashed and can be revoked at once."""

    id: str = Field(default_factory=new_id, primary_key=True)
    account_id: str = Field(foreign_key="account.id", index=True)
    token_hash: str = Field(unique=True)
    device: str = ""
    ip: str = ""
    created_at: datetime = Field(sa_type=UTCDateTime)
    expires_at: datetime = Field(sa_type=UTCDateTime)  # wire time
    revoked_at: datetime | None = Field(default=None, sa_type=UTCDateTime)


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
