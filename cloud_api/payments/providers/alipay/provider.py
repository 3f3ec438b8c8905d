"""Alipay behind the port: WAP, computer-page and QR payments, refunds, notifications, bills."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any, Final

from cloud_api.payments.providers.alipay import bills, reading, signing
from cloud_api.payments.providers.alipay.account import AlipayAccount
from cloud_api.payments.providers.alipay.client import Client, local
from cloud_api.payments.providers.base import (
    Ask,
    Back,
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

CHANNELS: Final = (Channel.WAP, Channel.PAGE, Channel.QR)
_PAGES: Final = {
    Channel.WAP: ("alipay.trade.wap.pay", "QUICK_WAP_WAY"),
    Channel.PAGE: ("alipay.trade.page.pay", "FAST_INSTANT_TRADE_PAY"),
}
_KEPT: Final = ("notify_type", "trade_status", "trade_no", "notify_time", "gmt_refund")


class Alipay:
    """A PaymentProvider on Alipay's gateway, for one app in public-key mode."""

    def __init__(self, account: AlipayAccount, around: Surroundings) -> None:
        self._account = account
        self._client = Client(account, around)

    async def create(self, ask: Ask) -> PaymentView:
        """WAP and page: a signed address for the payer's browser, which opens the payment there.

        QR: alipay.trade.precreate; the payment exists once somebody has scanned the code.
        """
        content: dict[str, Any] = {
            "out_trade_no": reading.theirs(ask.number),
            "total_amount": reading.yuan(ask.amount_fen),
            "subject": f"{ask.merchant_name} {ask.subject}".strip()[:120],
            "time_expire": local(ask.expires_at),
        }
        if ask.channel in _PAGES:
            method, product = _PAGES[ask.channel]
            if ask.channel is Channel.WAP:
                content["quit_url"] = ask.return_url
            url = self._client.link(
                method,
                content | {"product_code": product},
                notify_url=ask.notify_url,
                return_url=ask.return_url,
            )
            return PaymentView(Money.PENDING, ask.number, step=Step(StepKind.REDIRECT, url=url))
        answer = await self._client.call(
            "alipay.trade.precreate", content, notify_url=ask.notify_url
        )
        if isinstance(answer, str):
            return PaymentView(Money.UNKNOWN, ask.number, detail=answer)
        code = reading.code_of(answer)
        if code in reading.PAID_OR_OTHER:  # there already: what became of it?
            return await self._query(ask.number)
        text = answer.get("qr_code")
        if code != reading.OK:
            return reading.refused(ask.number, answer)
        if not isinstance(text, str) or not text:
            return PaymentView(Money.UNKNOWN, ask.number, detail="no code in the answer")
        return PaymentView(Money.PENDING, ask.number, step=Step(StepKind.QR, text=text))

    async def query(self, payment: PaymentRef) -> PaymentView:
        """alipay.trade.query."""
        return await self._query(payment.number)

    async def close(self, payment: PaymentRef) -> PaymentView:
        """alipay.trade.close; paid before: what the query says."""
        number = payment.number
        answer = await self._client.call(
            "alipay.trade.close", {"out_trade_no": reading.theirs(number)}
        )
        if isinstance(answer, str):
            return PaymentView(Money.UNKNOWN, number, detail=answer)
        code = reading.code_of(answer)
        if code == reading.OK or code in reading.CLOSED:
            return PaymentView(Money.CLOSED, number)
        if code == reading.NOT_EXIST:
            return PaymentView(Money.ABSENT, number, detail=code)
        if code in reading.PAID_OR_OTHER:
            return await self._query(number)
        return PaymentView(Money.UNKNOWN, number, detail=code)

    async def refund(self, ask: RefundAsk) -> RefundView:
        """alipay.trade.refund is synchronous: ``fund_change`` Y says that this call moved the money."""
        content = {
            "out_trade_no": reading.theirs(ask.payment.number),
            "refund_amount": reading.yuan(ask.amount_fen),
            "out_request_no": reading.theirs(ask.number),
        }
        if ask.reason:
            content["refund_reason"] = ask.reason[:128]
        view = reading.refund(ask, await self._client.call("alipay.trade.refund", content))
        if view is not None:
            return view
        found = await self.query_refund(ask)  # done by an earlier call, or not yet
        if found.state is Back.ABSENT:
            return RefundView(Back.SUBMITTED, ask.number, detail="no change of funds yet")
        return found

    async def query_refund(self, ask: RefundAsk) -> RefundView:
        """alipay.trade.fastpay.refund.query."""
        content = {
            "out_trade_no": reading.theirs(ask.payment.number),
            "out_request_no": reading.theirs(ask.number),
            "query_options": ["gmt_refund_pay"],
        }
        answer = await self._client.call("alipay.trade.fastpay.refund.query", content)
        return reading.refund_query(ask, answer)

    def parse_notification(self, headers: Mapping[str, str], raw: bytes, path: str) -> Notice:
        """Signature, app and seller; then one fact. Amounts are compared by whoever asked for them."""
        told = signing.read_notification(self._account, raw)
        try:
            about = reading.notified(self._account, told)
            parts = (told["notify_id"], told.get("trade_status", ""), told.get("gmt_refund", ""))
        except KeyError as error:
            raise BadNotification(f"without {error}") from error
        kept: dict[str, Any] = {name: told[name] for name in _KEPT if name in told}
        nothing = isinstance(about, RefundView) and not about.number
        return Notice(":".join(parts).rstrip(":"), None if nothing else about, kept)

    def notification_reply(self, taken: bool) -> Reply:
        """Exactly ``success``, seven letters; anything else is sent again for a day."""
        return Reply(200, b"success" if taken else b"fail", "text/plain")

    async def fetch_bill(self, day: date) -> BillView:
        """The trade bill, there from about nine in the morning of the next day."""
        return await bills.fetch(self._client, day)

    async def fetch_keys(self) -> Mapping[str, str]:
        """Alipay's key is in the credentials."""
        return {}

    async def _query(self, number: str) -> PaymentView:
        answer = await self._client.call(
            "alipay.trade.query", {"out_trade_no": reading.theirs(number)}
        )
        return reading.payment(number, answer)


def make(credentials: str, around: Surroundings) -> Alipay:
    """Alipay from an account's stored credentials. Raises ValueError if they are broken."""
    return Alipay(AlipayAccount.model_validate_json(credentials), around)
