"""WeChat Pay behind the port: JSAPI, mini-program, H5 and Native payments, refunds, notifications."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any, Final
from urllib.parse import quote
from zoneinfo import ZoneInfo

from cloud_api.kit.ids import new_token
from cloud_api.payments.providers.base import (
    Ask,
    BadNotification,
    BillView,
    Channel,
    Money,
    Notice,
    PaymentRef,
    PaymentView,
    RefundAsk,
    RefundView,
    Reply,
    Step,
    StepKind,
    Surroundings,
)
from cloud_api.payments.providers.wechatpay import bills, reading, signing
from cloud_api.payments.providers.wechatpay.account import WechatPayAccount
from cloud_api.payments.providers.wechatpay.client import Client

CHANNELS: Final = (Channel.NATIVE, Channel.H5, Channel.JSAPI, Channel.MINI)
_PATHS: Final = {
    Channel.NATIVE: "native",
    Channel.H5: "h5",
    Channel.JSAPI: "jsapi",
    Channel.MINI: "jsapi",
}
_H5_LIVES: Final = timedelta(minutes=5)
_PREPAY_LIVES: Final = timedelta(hours=2)
_MARGIN: Final = timedelta(seconds=20)
_ZONE: Final = ZoneInfo("Asia/Shanghai")
_PAY: Final = "/v3/pay/transactions"
_REFUNDS: Final = "/v3/refund/domestic/refunds"


class WechatPay:
    """A PaymentProvider on WeChat Pay's API v3, for one merchant that is its own (直连商户)."""

    def __init__(self, account: WechatPayAccount, around: Surroundings) -> None:
        self._account = account
        self._client = Client(account, around)

    async def create(self, ask: Ask) -> PaymentView:
        """POST /v3/pay/transactions/{native, h5, jsapi}."""
        body = self._body(ask)
        if body is None:
            return PaymentView(Money.FAILED, ask.number, detail="needs the payer's openid")
        answer = await self._client.call("POST", f"{_PAY}/{_PATHS[ask.channel]}", body)
        if isinstance(answer, str):
            return PaymentView(Money.UNKNOWN, ask.number, detail=answer)
        status, told = answer
        if status >= 400:
            code = str(told.get("code", status))
            if code in reading.PAID | reading.USED:  # there already: what became of it?
                return await self._query(ask.number)
            return reading.refused(ask.number, code)
        step = self._step(ask, told)
        if step is None:
            return PaymentView(Money.UNKNOWN, ask.number, detail="no way to pay in the answer")
        return PaymentView(Money.PENDING, ask.number, step=step)

    async def query(self, payment: PaymentRef) -> PaymentView:
        """GET /v3/pay/transactions/out-trade-no/{number}."""
        return await self._query(payment.number)

    async def close(self, payment: PaymentRef) -> PaymentView:
        """POST /v3/pay/transactions/out-trade-no/{number}/close; paid before: what the query says."""
        number = payment.number
        path = f"{_PAY}/out-trade-no/{quote(number, safe='')}/close"
        answer = await self._client.call("POST", path, {"mchid": self._account.mchid})
        if isinstance(answer, str):
            return PaymentView(Money.UNKNOWN, number, detail=answer)
        status, body = answer
        code = str(body.get("code", status))
        if status < 300 or code in reading.CLOSED:
            return PaymentView(Money.CLOSED, number)
        if code in reading.ABSENT:
            return PaymentView(Money.ABSENT, number, detail=code)
        if code in reading.PAID:
            return await self._query(number)
        return PaymentView(Money.UNKNOWN, number, detail=code)

    async def refund(self, ask: RefundAsk) -> RefundView:
        """POST /v3/refund/domestic/refunds."""
        body: dict[str, Any] = {
            "out_trade_no": ask.payment.number,
            "out_refund_no": ask.number,
            "notify_url": ask.notify_url,
            "amount": {
                "refund": ask.amount_fen,
                "total": ask.payment.amount_fen,
                "currency": "CNY",
            },
        }
        if ask.reason:
            body["reason"] = _cut(ask.reason, 80)
        return reading.refund(
            ask.number, await self._client.call("POST", _REFUNDS, body), asked=True
        )

    async def query_refund(self, ask: RefundAsk) -> RefundView:
        """GET /v3/refund/domestic/refunds/{number}."""
        answer = await self._client.call("GET", f"{_REFUNDS}/{quote(ask.number, safe='')}")
        return reading.refund(ask.number, answer, asked=False)

    def parse_notification(self, headers: Mapping[str, str], raw: bytes, path: str) -> Notice:
        """Signature, freshness, decryption, merchant, app; then one fact."""
        self._client.verify(headers, raw)
        try:
            outer = json.loads(raw)
            event = str(outer["event_type"])
            inner = json.loads(signing.unseal(self._account, outer["resource"]))
            if wrong := reading.stranger(self._account, inner):
                raise BadNotification(wrong)
            kept = {"event_type": event, "create_time": str(outer.get("create_time", ""))}
            event_id = str(outer["id"])
            if event.startswith("TRANSACTION."):
                view = reading.transaction(self._account, str(inner["out_trade_no"]), inner)
                return Notice(event_id, view, kept)
            if event.startswith("REFUND."):
                number = str(inner["out_refund_no"])
                back = reading.refund_body(number, inner, str(inner["refund_status"]))
                return Notice(event_id, back, kept)
            return Notice(event_id, None, kept)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise BadNotification(f"unreadable: {type(error).__name__}") from error

    def notification_reply(self, taken: bool) -> Reply:
        """200 or 204 is "received"; anything else is sent again (document 4012071382)."""
        if taken:
            return Reply(200, b'{"code":"SUCCESS"}')
        message = '{"code":"FAIL","message":"验签失败"}'
        return Reply(401, message.encode())

    async def fetch_bill(self, day: date) -> BillView:
        """The trade bill, there after ten in the morning of the next day, for three months."""
        return await bills.fetch(self._client, day)

    async def fetch_keys(self) -> Mapping[str, str]:
        """The platform certificates."""
        return await self._client.fetch_certificates()

    async def _query(self, number: str) -> PaymentView:
        path = f"{_PAY}/out-trade-no/{quote(number, safe='')}?mchid={self._account.mchid}"
        return reading.payment(self._account, number, await self._client.call("GET", path))

    def _appid(self, channel: Channel) -> str:
        if channel is Channel.MINI and self._account.mini_appid:
            return self._account.mini_appid
        return self._account.appid

    def _body(self, ask: Ask) -> dict[str, Any] | None:
        """What opens a payment; None where the channel needs a payer whom we do not know."""
        body: dict[str, Any] = {
            "appid": self._appid(ask.channel),
            "mchid": self._account.mchid,
            "description": _cut(f"{ask.merchant_name} {ask.subject}".strip(), 127),
            "out_trade_no": ask.number,
            "time_expire": ask.expires_at.astimezone(_ZONE).isoformat(timespec="seconds"),
            "notify_url": ask.notify_url,
            "amount": {"total": ask.amount_fen, "currency": "CNY"},
        }
        if ask.channel in {Channel.JSAPI, Channel.MINI}:
            if not ask.payer.openid:
                return None
            body["payer"] = {"openid": ask.payer.openid}
        elif ask.channel is Channel.H5:
            body["scene_info"] = {
                "payer_client_ip": ask.payer.ip or "127.0.0.1",
                "h5_info": {"type": "Wap"},
            }
        return body

    def _step(self, ask: Ask, told: Mapping[str, Any]) -> Step | None:
        now = self._client.now
        if ask.channel is Channel.NATIVE and isinstance(code := told.get("code_url"), str):
            return Step(StepKind.QR, text=code, until=now + _PREPAY_LIVES - _MARGIN)
        if ask.channel is Channel.H5 and isinstance(url := told.get("h5_url"), str):
            joint = "&" if "?" in url else "?"
            back = f"{url}{joint}redirect_url={quote(ask.return_url, safe='')}"
            return Step(StepKind.REDIRECT, url=back, until=now + _H5_LIVES - _MARGIN)
        prepay = told.get("prepay_id")
        if ask.channel in {Channel.JSAPI, Channel.MINI} and isinstance(prepay, str):
            return Step(
                StepKind.JSAPI,
                fields=self._jsapi(self._appid(ask.channel), prepay),
                until=now + _PREPAY_LIVES - _MARGIN,
            )
        return None

    def _jsapi(self, appid: str, prepay_id: str) -> dict[str, str]:
        """What WeixinJSBridge and wx.requestPayment want (document 4012791857)."""
        stamp, nonce = str(int(self._client.now.timestamp())), new_token(128)
        package = f"prepay_id={prepay_id}"
        return {
            "appId": appid,
            "timeStamp": stamp,
            "nonceStr": nonce,
            "package": package,
            "signType": "RSA",
            "paySign": signing.sign(self._account, appid, stamp, nonce, package),
        }


def make(credentials: str, around: Surroundings) -> WechatPay:
    """WechatPay from an account's stored credentials. Raises ValueError if they are broken."""
    return WechatPay(WechatPayAccount.model_validate_json(credentials), around)


def _cut(text: str, most: int) -> str:
    """Not more than ``most`` bytes of it, no half letters."""
    return text.encode()[:most].decode(errors="ignore")
