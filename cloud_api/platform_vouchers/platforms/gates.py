"""The two ways into Meituan and Dianping for their group-buy receipts: how each signs, asks and answers.

``TechnicalGate``: the technical service platform (api-open-cater.meituan.com, business 58, "ddzh"): a form
with a JSON ``biz``, signed SHA-1 over the sign key and the sorted parameters; the store's appAuthToken
says which store. ``PolarisGate``: 北极星 (openapi.dianping.com): a flat form, signed MD5 with the secret
before and after. Both are told of in their public SDKs. What they answer is given on in one spelling:
snake_case names, a list of rows.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Protocol

import httpx
from pydantic import BaseModel, ConfigDict, Field

from cloud_api.platform_vouchers.platforms.base import TIMEOUT_S, ZONE, Around, Silent

TECHNICAL_HOST: Final = "https://api-open-cater.meituan.com"
POLARIS_HOST: Final = "https://openapi.dianping.com"
_BUSINESS: Final = "58"
_HUMP: Final = re.compile(r"(?<!^)(?=[A-Z])")
_SYSTEM: Final = frozenset({"OP_SYSTEM_ERROR", "OP_TIMEOUT", "OP_FREQUENCY_LIMIT", "500", "503"})
_LOCKED: Final = frozenset(
    {"OP_SIGN_ERROR", "OP_TOKEN_INVALID", "OP_TOKEN_EXPIRED", "OP_UNAUTHORIZED", "401", "608"}
)
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Told:
    """An answer: rows where it succeeded, else a code and why. ``locked``: we were not let in."""

    rows: tuple[Row, ...] = ()
    code: str = ""
    detail: str = ""
    locked: bool = False

    @property
    def good(self) -> bool:
        """Whether it succeeded."""
        return not self.code


class Gate(Protocol):
    """One way in."""

    scans: bool  # whether it reads QR codes by itself

    async def call(self, method: str, params: Mapping[str, str], place: str) -> Told:
        """Ask; ``params`` in snake_case. Raises Silent."""
        ...


class TechnicalAccess(BaseModel):
    """A developer at Meituan's technical service platform, and one store's consent."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    developer_id: Annotated[str, Field(title="开发者 ID", pattern=r"^[0-9]{4,20}$")]
    sign_key: Annotated[str, Field(title="SignKey", min_length=8, max_length=128)]
    app_auth_token: Annotated[
        str, Field(title="门店授权码（appAuthToken）", min_length=8, max_length=256)
    ]
    base_url: Annotated[str, Field(title="接口地址", pattern=r"^https?://")] = TECHNICAL_HOST


class TechnicalGate:
    """api-open-cater.meituan.com/ddzh/tuangou/receipt/…"""

    scans = False

    def __init__(self, access: TechnicalAccess, around: Around) -> None:
        self._access = access
        self._around = around

    async def call(self, method: str, params: Mapping[str, str], place: str) -> Told:
        """See Gate."""
        biz = {camel(name): value for name, value in params.items()}
        form = {
            "appAuthToken": self._access.app_auth_token,
            "businessId": _BUSINESS,
            "charset": "utf-8",
            "developerId": self._access.developer_id,
            "timestamp": str(int(self._around.clock.now().timestamp())),
            "version": "2",
            "biz": json.dumps(biz, ensure_ascii=False, separators=(",", ":")),
        }
        form["sign"] = sha1_sign(self._access.sign_key, form)
        path = f"/ddzh/tuangou/receipt/{method}"
        told = await _post(self._around, self._access.base_url.rstrip("/") + path, form)
        code = str(told.get("code") or "")
        if code in _SYSTEM:
            raise Silent(code)
        if code != "OP_SUCCESS":
            return Told(code=code or "?", detail=str(told.get("msg") or ""), locked=code in _LOCKED)
        return Told(_rows(told.get("data")))


class PolarisAccess(BaseModel):
    """An application at 北极星, with the merchant's consent."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    app_key: Annotated[str, Field(title="App Key", pattern=r"^[0-9A-Za-z]{4,64}$")]
    app_secret: Annotated[str, Field(title="App Secret", min_length=8, max_length=128)]
    session: Annotated[str, Field(title="授权 Session", min_length=8, max_length=128)]
    base_url: Annotated[str, Field(title="接口地址", pattern=r"^https?://")] = POLARIS_HOST


class PolarisGate:
    """openapi.dianping.com/router/tuangou/receipt/…"""

    scans = True

    def __init__(self, access: PolarisAccess, around: Around) -> None:
        self._access = access
        self._around = around

    async def call(self, method: str, params: Mapping[str, str], place: str) -> Told:
        """See Gate."""
        form = {
            **{_POLARIS.get(name, name): value for name, value in params.items()},
            "app_key": self._access.app_key,
            "format": "json",
            "open_shop_uuid": place,
            "session": self._access.session,
            "sign_method": "MD5",
            "timestamp": f"{self._around.clock.now().astimezone(ZONE):%Y-%m-%d %H:%M:%S}",
            "v": "1",
        }
        form["sign"] = md5_sign(self._access.app_secret, form)
        path = f"/router/tuangou/receipt/{method}"
        told = await _post(self._around, self._access.base_url.rstrip("/") + path, form)
        code = str(told.get("code") or "")
        if code in _SYSTEM:
            raise Silent(code)
        if code != "200":
            return Told(code=code or "?", detail=str(told.get("msg") or ""), locked=code in _LOCKED)
        return Told(_rows(told.get("data")))


_POLARIS: Final = {
    "request_id": "requestid",
    "deal_id": "app_deal_id",
    "app_shop_account_name": "app_shop_accountname",
}


def sha1_sign(key: str, params: Mapping[str, str]) -> str:
    """The sign key, then names and values by name, SHA-1 in lower-case hex."""
    text = key + _joined(params)
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


def md5_sign(secret: str, params: Mapping[str, str]) -> str:
    """Names and values by name between the secret and the secret, MD5 in lower-case hex."""
    text = secret + _joined(params) + secret
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def camel(name: str) -> str:
    """receipt_code → receiptCode."""
    head, *rest = name.split("_")
    return head + "".join(word.capitalize() for word in rest)


def snake(name: str) -> str:
    """receiptCode → receipt_code."""
    return _HUMP.sub("_", name).lower()


def _joined(params: Mapping[str, str]) -> str:
    return "".join(f"{name}{params[name]}" for name in sorted(params) if name != "sign")


async def _post(around: Around, url: str, form: Mapping[str, str]) -> dict[str, Any]:
    try:
        answer = await around.http.post(url, data=dict(form), timeout=TIMEOUT_S)
        told = answer.json()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise Silent(type(error).__name__) from error
    except ValueError as error:
        raise Silent("answered no JSON") from error
    if answer.status_code >= 500 or not isinstance(told, dict):
        raise Silent(f"answered {answer.status_code}")
    return told


def _rows(data: Any) -> tuple[Row, ...]:
    """Rows in snake_case, wherever the gate puts them: itself, ``result``, ``records``."""
    if isinstance(data, dict):
        for name in ("result", "records"):
            if isinstance(data.get(name), list):
                data = data[name]
                break
        else:
            data = [data]
    if not isinstance(data, list):
        return ()
    return tuple(
        {snake(str(name)): value for name, value in one.items()}
        for one in data
        if isinstance(one, dict)
    )
