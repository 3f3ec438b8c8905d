"""Douyin life services (抖音来客): vouchers verified through the goodlife API.

Source: developer.open-douyin.com, local-life, ``certificate.prepare``, ``.verify``, ``.cancel``, ``.get``,
``.verifyrecord.query``, and ``oauth/client_token``. One prepare belongs to one verify. A verify that
failed and is asked again answers 1208 or 2 where the first one counted. A verification may be taken back
within an hour. Of a scanned short link only the parameter ``object_id`` means anything.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any, Final
from urllib.parse import parse_qs, urlsplit

import httpx
from pydantic import BaseModel, ConfigDict, Field

from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.i18n import later
from cloud_api.platform_vouchers.platforms.base import (
    TIMEOUT_S,
    ZONE,
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
    locked_out,
    no_voucher,
    silent,
)

LABEL: Final = "抖音"
LENGTHS: Final = (12, 15)
HOST: Final = "https://open.douyin.com"
_LINK: Final = "v.douyin.com"
_API: Final = "/goodlife/v1/fulfilment/certificate"
_BAD_TOKEN: Final = frozenset({2190002, 2190008, 28001003, 28001008})
_BUSY: Final = frozenset({2100004, 2100009})  # 系统繁忙
_REPEATED: Final = frozenset({1208, 2})  # counted before: this one, asked again
_SKEW: Final = timedelta(minutes=5)
_PAGE: Final = 20
_PAGES: Final = 200
_DIGITS: Final = re.compile(r"[0-9]{12,15}")


class DouyinAccess(BaseModel):
    """An application of the merchant at the open platform, with the store bound to it."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    client_key: Annotated[str, Field(title="应用 ID（client_key）", pattern=r"^[0-9A-Za-z]{8,64}$")]
    client_secret: Annotated[str, Field(title="应用密钥", min_length=8, max_length=128)]
    account_id: Annotated[str, Field(title="来客商户 ID", pattern=r"^[0-9]{6,32}$")]
    base_url: Annotated[str, Field(title="接口地址", pattern=r"^https?://")] = HOST


class Douyin:
    """See ``Platform``."""

    def __init__(self, access: DouyinAccess, around: Around) -> None:
        self._access = access
        self._around = around

    async def prepare(self, text: str, place: str) -> Prepared:
        """By code, or by the object_id behind the link that a QR says."""
        given = text.strip()
        params = {"poi_id": place}
        if given.startswith(("http://", "https://")):
            params["encrypted_data"] = await self._object_of(given)
        else:
            typed = re.sub(r"[\s\-]", "", given)
            if not _DIGITS.fullmatch(typed):
                raise bad_code(LABEL, LENGTHS)
            params["code"] = typed
        try:
            data = await self._call("GET", f"{_API}/prepare/", params=params)
        except Silent as error:
            raise silent(LABEL) from error
        except _LockedOut as error:
            raise locked_out(LABEL) from error
        code = int(data.get("error_code") or 0)
        found = tuple(
            _coupon(one, params.get("code", "")) for one in data.get("certificates") or ()
        )
        if code in _BUSY:
            raise silent(LABEL)
        if code or not found:
            raise no_voucher(LABEL, str(data.get("description") or "") if code else "")
        return Prepared(found, str(data.get("verify_token") or ""))

    async def verify(self, ask: Ask) -> View:
        """Once more with the same token is the same verification."""
        body = {"verify_token": ask.token, "poi_id": ask.place, "encrypted_codes": [ask.secret]}
        try:
            data = await self._call("POST", f"{_API}/verify/", body=body)
        except Silent as error:
            return View(Answer.UNKNOWN, detail=str(error))
        except _LockedOut as error:
            return View(Answer.REFUSED, detail=str(error))
        results = data.get("verify_results") or []
        code = int(data.get("error_code") or 0)
        first: Mapping[str, Any] = results[0] if results else {}
        result = int(first.get("result", -1)) if results else None
        if code == 0 and result == 0:
            return _verified(first)
        if result in _REPEATED or code in _REPEATED:
            # Counted: by a try of ours whose answer was lost, or by somebody who was faster.
            return (
                await self.query(ask)
                if ask.again
                else View(Answer.REFUSED, detail=later("刚在别处用过"))
            )
        if code in _BUSY or (code == 0 and result is None):
            return View(Answer.UNKNOWN, detail=str(data.get("description") or code))
        return View(Answer.REFUSED, detail=str(first.get("msg") or data.get("description") or code))

    async def query(self, ask: Ask) -> View:
        """Its state, and whether its verification is as young as our question."""
        try:
            data = await self._call("GET", f"{_API}/get/", params={"encrypted_code": ask.secret})
        except (Silent, _LockedOut) as error:
            return View(Answer.UNKNOWN, detail=str(error))
        found = data.get("certificate")
        if int(data.get("error_code") or 0) or not isinstance(found, dict):
            return View(Answer.UNKNOWN, detail=str(data.get("description") or "no certificate"))
        verification = found.get("verify") or {}
        status = int(found.get("status") or 0)
        if not verification.get("verify_id"):
            if status == 1:
                return View(Answer.UNUSED)
            return View(Answer.REFUSED, detail=later("券已经退款或过期"))
        at = datetime.fromtimestamp(int(verification.get("verify_time") or 0), UTC)
        place = str(verification.get("poi_id") or "")
        elsewhere = bool(place and ask.place and place != ask.place)
        if elsewhere or (ask.sent_at is not None and at < ask.sent_at - _SKEW):
            return View(
                Answer.REFUSED,
                detail=_("券 {at:%m月%d日 %H:%M} 用过了").format(at=at.astimezone(ZONE)),
            )
        return _verified({**found, **verification})

    async def cancel(self, ask: Ask) -> BackView:
        """Within an hour of the verification; a certificate that is whole again counts as taken back."""
        body = {"verify_id": ask.receipt, "certificate_id": ask.certificate}
        try:
            data = await self._call("POST", f"{_API}/cancel/", body=body)
        except Silent as error:
            return BackView(Back.UNKNOWN, str(error))
        except _LockedOut as error:
            return BackView(Back.REFUSED, str(error))
        code = int(data.get("error_code") or 0)
        if code == 0:
            return BackView(Back.DONE)
        if code in _BUSY:
            return BackView(Back.UNKNOWN, str(data.get("description") or code))
        if (await self.query(ask)).answer is Answer.UNUSED:
            return BackView(Back.DONE)
        return BackView(Back.REFUSED, str(data.get("description") or code))

    async def records(self, day: date, place: str) -> tuple[Record, ...] | None:
        """A day's verifications; pages by cursor. Raises Silent."""
        begins = datetime.combine(day, time(), ZONE)
        params = {
            "account_id": self._access.account_id,
            "size": str(_PAGE),
            "start_time": str(int(begins.timestamp())),
            "end_time": str(int((begins + timedelta(days=1)).timestamp()) - 1),
            "poi_ids": place,
        }
        found: list[Record] = []
        cursor = "0"
        for _page in range(_PAGES):
            data = await self._call(
                "GET", f"{_API}/verify_record/query/", params={**params, "cursor": cursor}
            )
            if code := int(data.get("error_code") or 0):
                raise Silent(f"{code}: {data.get('description')}")
            page = data.get("records") or []
            found += [_record(one, place) for one in page]
            if len(page) < _PAGE:
                return tuple(found)
            cursor = str(page[-1].get("cursor") or "")
        raise Silent("too many pages")

    async def check(self) -> str:
        """Whether the application gets a token."""
        try:
            await self._around.token(self._fetch, "")
        except Silent as error:
            return _("抖音没有回话（{why}）").format(why=error)
        except _LockedOut as error:
            return _("抖音不认这个应用（{why}）").format(why=error)
        return ""

    async def _object_of(self, link: str) -> str:
        """The object_id behind a short link; asked of the platform's own host only."""
        parts, home = urlsplit(link), urlsplit(self._access.base_url)
        known = parse_qs(parts.query).get("object_id")
        if known:
            return known[0]
        ours = parts.scheme == "https" and parts.netloc == _LINK
        if not ours and parts.netloc != home.netloc:
            raise bad_code(LABEL, LENGTHS)
        try:
            answer = await self._around.http.get(link, timeout=TIMEOUT_S)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise silent(LABEL) from error
        there = parse_qs(urlsplit(answer.headers.get("location", "")).query).get("object_id")
        if not there:
            raise no_voucher(LABEL)
        return str(there[0])

    async def _fetch(self) -> tuple[str, float]:
        body = {
            "client_key": self._access.client_key,
            "client_secret": self._access.client_secret,
            "grant_type": "client_credential",
        }
        data = _data(await self._send("POST", "/oauth/client_token/", body=body))
        token = data.get("access_token")
        if int(data.get("error_code") or 0) or not token:
            raise _LockedOut(str(data.get("description") or data.get("error_code") or "no token"))
        return str(token), float(data.get("expires_in") or 7200)

    async def _call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """``data`` of the answer, with its error_code. A token that has ended is fetched anew, once."""
        old = ""
        for _turn in range(2):
            token = await self._around.token(self._fetch, old)
            told = await self._send(method, path, params=params, body=body, token=token)
            data = _data(told)
            code = int(data.get("error_code") or (told.get("extra") or {}).get("error_code") or 0)
            if code not in _BAD_TOKEN:
                return {**data, "error_code": code}
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
        headers = {"content-type": "application/json"}
        if token:
            headers["access-token"] = token
            headers["Rpc-Transit-Life-Account"] = self._access.account_id
        try:
            answer = await self._around.http.request(
                method,
                self._access.base_url.rstrip("/") + path,
                params={name: value for name, value in (params or {}).items() if value},
                content=None if body is None else json.dumps(body).encode(),
                headers=headers,
                timeout=TIMEOUT_S,
            )
            told = answer.json()
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Silent(type(error).__name__) from error
        except ValueError as error:
            raise Silent("answered no JSON") from error
        if answer.status_code >= 500 or not isinstance(told, dict):
            raise Silent(f"answered {answer.status_code}")
        return told


class _LockedOut(Exception):
    """The application is not let in."""


def _data(told: Mapping[str, Any]) -> dict[str, Any]:
    found = told.get("data")
    return found if isinstance(found, dict) else {}


def _coupon(one: Mapping[str, Any], code: str) -> Coupon:
    sku, amount = one.get("sku") or {}, one.get("amount") or {}
    card = one.get("time_card") or {}
    key = str(one.get("certificate_id") or "")
    if card.get("times_count"):  # a card of several uses: each of them is a voucher of its own
        key = f"{key}#{int(card.get('times_used') or 0) + 1}"
    until = int(one.get("expire_time") or 0)
    return Coupon(
        key=key,
        deal=str(sku.get("sku_id") or ""),
        title=str(sku.get("title") or ""),
        paid_fen=_paid(amount),
        face_fen=sku.get("market_price"),
        until=datetime.fromtimestamp(until, UTC) if until else None,
        secret=str(one.get("encrypted_code") or ""),
        code=code,
    )


def _paid(amount: Mapping[str, Any]) -> int | None:
    """What the guest paid, in fen: ``coupon_pay_amount`` is of the voucher, ``pay_amount`` of the order's."""
    for name in ("coupon_pay_amount", "pay_amount"):
        if isinstance(amount.get(name), int):
            return int(amount[name])
    return None


def _verified(one: Mapping[str, Any]) -> View:
    return View(
        Answer.VERIFIED,
        receipt=str(one.get("verify_id") or ""),
        certificate=str(one.get("certificate_id") or ""),
        paid_fen=_paid(one.get("amount") or {}),
    )


def _record(one: Mapping[str, Any], place: str) -> Record:
    sku, at = one.get("sku") or {}, int(one.get("verify_time") or 0)
    return Record(
        receipt=str(one.get("verify_id") or ""),
        deal=str(sku.get("sku_id") or ""),
        title=str(sku.get("title") or ""),
        paid_fen=_paid(one.get("amount") or {}),
        at=datetime.fromtimestamp(at, UTC) if at else None,
        cancelled=bool(one.get("cancel_time")) or int(one.get("status") or 1) == 2,
        place=place,
    )


KIND: Final = Kind(
    name="抖音来客",
    family="douyin",
    label=LABEL,
    credentials=DouyinAccess,
    make=Douyin,
    guide="在抖音开放平台建生活服务商家应用，开通「团购核销」和「团购核销对账」，再到抖音来客的「店铺管理 → 第三方应用授权」授权给它。门店编号是 POI ID。",
    secret=frozenset({"client_secret"}),
    hosts=frozenset({"open.douyin.com"}),
    place="POI ID",
    lengths=LENGTHS,
    window_s=3600,
)
