"""Meituan through a relay: a reseller with the access that small venues cannot get.

Shaped after the public API of such a relay (mtopen.umember.cn): a login by e-mail, then ``coupon/detail``
and ``coupon/verify`` by store and code, at most two requests a second. It knows no request numbers, no
taking back and no list of what was verified: a lost answer is found out by the voucher's state, taking back
is done by hand in Meituan's own app.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any, Final

import httpx
from pydantic import BaseModel, ConfigDict, Field

from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.i18n import later
from cloud_api.platform_vouchers.platforms.base import (
    TIMEOUT_S,
    Answer,
    Around,
    Ask,
    Back,
    BackView,
    Coupon,
    Kind,
    Prepared,
    Record,
    Silent,
    View,
    bad_code,
    fen_of_yuan,
    locked_out,
    no_voucher,
    silent,
)
from cloud_api.platform_vouchers.platforms.meituan import LABEL, LENGTHS

_GOOD: Final = 10000
_WHOLE: Final = "未使用"
_OVER: Final = ("退", "过期")
_DIGITS: Final = re.compile(r"[0-9]{10,16}")
_PRICE: Final = re.compile(r"\[([0-9]+(?:\.[0-9]{1,2})?)元\]")
_TOKEN_S: Final = 3600.0
_PACE_S: Final = 0.55  # two requests a second are let through


class RelayAccess(BaseModel):
    """An account at the relay."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    email: Annotated[str, Field(title="登录邮箱", pattern=r"^[^@\s]{1,64}@[^@\s]{3,190}$")]
    password: Annotated[str, Field(title="登录密码", min_length=4, max_length=128)]
    base_url: Annotated[str, Field(title="接口地址", pattern=r"^https?://")]


class Relay:
    """See ``Platform``."""

    def __init__(self, access: RelayAccess, around: Around) -> None:
        self._access = access
        self._around = around

    async def prepare(self, text: str, place: str) -> Prepared:
        """The state of a code."""
        code = re.sub(r"[\s\-]", "", text)
        if not _DIGITS.fullmatch(code):
            raise bad_code(LABEL, LENGTHS)
        try:
            told = await self._detail(code, place)
        except Silent as error:
            raise silent(LABEL) from error
        except _LockedOut as error:
            raise locked_out(LABEL) from error
        found = told.get("data")
        if told.get("code") != _GOOD or not isinstance(found, dict):
            raise no_voucher(LABEL, str(told.get("msg") or ""))
        if found.get("status") != _WHOLE:
            raise no_voucher(LABEL, str(found.get("status") or ""))
        title = str(found.get("sku_name") or "")
        price = _PRICE.search(title)
        deal = str(found.get("sku_id") or "")
        return Prepared(
            (
                Coupon(
                    key=code,
                    deal=deal,
                    title=title.split("[", maxsplit=1)[0] or deal,
                    paid_fen=fen_of_yuan(price[1]) if price else None,
                    code=code,
                ),
            )
        )

    async def verify(self, ask: Ask) -> View:
        """Once: whoever asks again after a lost answer looks first (``query``)."""
        body = {"store_id": _number(ask.place), "coupon_code": ask.code}
        try:
            told = await self._call("POST", "/open/user/meituan/coupon/verify", body=body)
        except Silent as error:
            return View(Answer.UNKNOWN, detail=str(error))
        except _LockedOut as error:
            return View(Answer.REFUSED, detail=str(error))
        found = told.get("data")
        if told.get("code") != _GOOD or not isinstance(found, dict):
            return View(Answer.UNKNOWN, detail=str(told.get("msg") or ""))
        if found.get("verify_success") is True:
            return View(Answer.VERIFIED, receipt=ask.code)
        return View(Answer.REFUSED, detail=str(found.get("verify_message") or ""))

    async def query(self, ask: Ask) -> View:
        """By its state: it was whole when we asked for it, so what is used now was used by us."""
        try:
            told = await self._detail(ask.code, ask.place)
        except (Silent, _LockedOut) as error:
            return View(Answer.UNKNOWN, detail=str(error))
        found = told.get("data")
        if told.get("code") != _GOOD or not isinstance(found, dict):
            return View(Answer.UNKNOWN, detail=str(told.get("msg") or ""))
        status = str(found.get("status") or "")
        if status == _WHOLE:
            return View(Answer.UNUSED)
        if any(word in status for word in _OVER):
            return View(Answer.REFUSED, detail=status)
        return View(Answer.VERIFIED, receipt=ask.code)

    async def cancel(self, ask: Ask) -> BackView:
        """The relay cannot; somebody does it in Meituan's app."""
        return BackView(Back.REFUSED, later("转接服务不能撤销，请在美团商家版里撤销"))

    async def records(self, day: date, place: str) -> tuple[Record, ...] | None:
        """None: it has no such list."""
        return None

    async def check(self) -> str:
        """Whether it lets us in."""
        try:
            await self._around.token(self._fetch, "")
        except Silent as error:
            return _("转接服务没有回话（{why}）").format(why=error)
        except _LockedOut as error:
            return _("转接服务不认这个账号（{why}）").format(why=error)
        return ""

    async def _detail(self, code: str, place: str) -> dict[str, Any]:
        params = {"store_id": place, "coupon_code": code}
        return await self._call("GET", "/open/user/meituan/coupon/detail", params=params)

    async def _fetch(self) -> tuple[str, float]:
        body = {"email": self._access.email, "password": self._access.password}
        told = await self._send("POST", "/open/login", body=body)
        token = (told.get("data") or {}).get("token") if told.get("code") == _GOOD else None
        if not token:
            raise _LockedOut(str(told.get("msg") or told.get("code")))
        return str(token), _TOKEN_S

    async def _call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        old = ""
        for _turn in range(2):
            token = await self._around.token(self._fetch, old)
            told = await self._send(method, path, params=params, body=body, token=token)
            if told.get("code") not in (401, 10401):
                return told
            old = token
        raise _LockedOut("token")

    async def _send(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        token: str = "",
    ) -> dict[str, Any]:
        headers = {"content-type": "application/json"} | ({"Authorization": token} if token else {})
        for turn in range(2):
            try:
                answer = await self._around.http.request(
                    method,
                    self._access.base_url.rstrip("/") + path,
                    params=dict(params or {}),
                    content=None if body is None else json.dumps(body).encode(),
                    headers=headers,
                    timeout=TIMEOUT_S,
                )
                if answer.status_code == 429 and turn == 0:  # not let through: nothing was done
                    await asyncio.sleep(_PACE_S)
                    continue
                told = answer.json()
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                raise Silent(type(error).__name__) from error
            except ValueError as error:
                raise Silent("answered no JSON") from error
            if answer.status_code == 401:
                return {"code": 401}
            if answer.status_code >= 500 or not isinstance(told, dict):
                raise Silent(f"answered {answer.status_code}")
            return told
        raise Silent("answered 429")


class _LockedOut(Exception):
    """The relay does not let us in."""


def _number(place: str) -> int | str:
    return int(place) if place.isdigit() else place


KIND: Final = Kind(
    name="美团 / 点评（转接服务）",
    family="meituan",
    label=LABEL,
    credentials=RelayAccess,
    make=Relay,
    guide="跟有美团授权的转接服务商签约，把给你的账号填进来。转接不能撤销核销，也没有核销清单，撤销请在美团商家版里做。",
    secret=frozenset({"password"}),
    hosts=frozenset(),
    place="转接门店编号",
    lengths=LENGTHS,
    has_records=False,
)
