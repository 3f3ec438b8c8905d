"""A PaymentProvider on UnionPay's online gateway (全渠道 5.1.0): a card page, a notification, queries.

What is peculiar to it:

- A payment begins with a form that the payer's browser posts (``frontTransReq.do``); until then UnionPay
  has never heard of it, and nothing that we call opens one.
- There is no call to close a payment. It can be paid until its ``payTimeout``, and only a query after
  that says that it was not; before, ``close`` answers UNKNOWN. So a payment's time is kept short.
- Only successes are notified, five times within seven minutes, and not if we answer anything but 200.
- A payment is found by order number and sending time together, a refund by its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any, Final
from urllib.parse import parse_qsl, quote, urlsplit

import httpx
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.i18n import later
from cloud_api.payments.certificates import Fact, SigningPair, about, read_certificate, read_pfx
from cloud_api.payments.providers.base import (
    Ask,
    Back,
    BadNotification,
    BillState,
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
from cloud_api.payments.providers.unionpay import bill, codes, signing
from cloud_api.payments.providers.unionpay.bill import BEIJING, number_of, order_id

TIMEOUT_S: Final = 8.0
FILE_TIMEOUT_S: Final = 40.0
WINDOW: Final = timedelta(minutes=5)  # to pay in, as it cannot be closed
SLACK: Final = timedelta(seconds=30)  # their clock and ours
BACK: Final = "/pay/back"
_STAMP: Final = "%Y%m%d%H%M%S"
_CNY: Final = "156"
_PAYMENT: Final = "01"
_REFUND: Final = "04"
_KEPT: Final = (
    "orderId", "txnTime", "txnAmt", "currencyCode", "queryId", "respCode", "respMsg", "settleDate",
    "txnType", "traceNo", "origQryId", "payCardType",
)  # fmt: skip


class UnionPayAccount(BaseModel):
    """Credentials of an account, as stored (encrypted): files in Base64."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)
    merchant: str = Field(pattern=r"^[0-9A-Za-z]{15}$", title="银联商户号（15 位）")
    pfx: str = Field(min_length=1, max_length=20_000, title="签名证书文件（.pfx）")
    pfx_password: str = Field(min_length=1, max_length=60, title="签名证书的密码")
    middle: str = Field(min_length=1, max_length=10_000, title="银联中级证书（.cer）")
    root: str = Field(min_length=1, max_length=10_000, title="银联根证书（.cer）")
    base_url: str = Field("https://gateway.95516.com", max_length=200, title="网关地址")
    file_url: str = Field("https://filedownload.95516.com", max_length=200, title="对账文件地址")

    @field_validator("middle", "root")
    @classmethod
    def _issues(cls, value: str) -> str:
        if not signing.is_issuer(read_certificate(value)):
            raise ValueError("not a certificate that issues others")
        return value

    @model_validator(mode="after")
    def _opens(self) -> UnionPayAccount:
        self.pair()
        return self

    def pair(self) -> SigningPair:
        """Our key and certificate. Raises ValueError."""
        return read_pfx(self.pfx, self.pfx_password)

    def trust(self) -> signing.Trust:
        """Whose messages are believed; the test gateway's owner only at the test gateway."""
        test = httpx.URL(self.base_url).host.endswith("test.95516.com")
        owners = {signing.OWNER} | ({signing.TEST_OWNER} if test else set())
        root, middle = read_certificate(self.root), read_certificate(self.middle)
        return signing.Trust(root, middle, frozenset(owners))

    def facts(self) -> list[Fact]:
        """What may be shown of it."""
        return [
            about(later("签名证书"), self.pair().certificate),
            about(later("银联中级证书"), read_certificate(self.middle)),
            about(later("银联根证书"), read_certificate(self.root)),
        ]


class UnionPay:
    """One merchant at the gateway."""

    def __init__(self, account: UnionPayAccount, around: Surroundings) -> None:
        self._account = account
        self._http = around.http
        self._clock = around.clock
        self._pair = account.pair()
        self._trust = account.trust()

    async def create(self, ask: Ask) -> PaymentView:
        """Sign the form that the payer's browser will post; nobody is called."""
        fields = self._common("01", "01", "000201") | {
            "channelType": "07" if ask.channel is Channel.PAGE else "08",
            "orderId": order_id(ask.number),
            "txnTime": _stamp(ask.opened_at),
            "txnAmt": str(ask.amount_fen),
            "currencyCode": _CNY,
            "payTimeout": _stamp(ask.expires_at),
            "orderDesc": ask.subject[:32],
            "frontUrl": back_url(ask.return_url),
            "backUrl": ask.notify_url,
        }
        step = Step(
            StepKind.FORM,
            url=self._url("gateway/api/frontTransReq.do"),
            fields=signing.signed(fields, self._pair),
        )
        return PaymentView(Money.PENDING, ask.number, amount_fen=ask.amount_fen, step=step)

    async def query(self, payment: PaymentRef) -> PaymentView:
        """queryTrans.do. What UnionPay has not heard of may still be paid while its time runs."""
        answer = await self._ask_about(payment.number, payment.opened_at)
        number = payment.number
        if isinstance(answer, str):
            return PaymentView(Money.UNKNOWN, number, detail=answer)
        code, message = answer["respCode"], answer.get("respMsg", "")
        until = payment.expires_at
        over = until is not None and self._clock.now() > until + SLACK
        if code == codes.ABSENT:
            state = Money.CLOSED if over else Money.PENDING
            return PaymentView(state, number, detail="no such transaction (34)")
        original = answer.get("origRespCode", "")
        if code != "00" or original in codes.OPEN or original == codes.TAKEN:
            return PaymentView(Money.UNKNOWN, number, detail=f"{code}/{original} {message}"[:200])
        if original in codes.DONE:
            return self._paid(answer, number)
        detail = f"{original} {answer.get('origRespMsg', '')}"[:200]
        return PaymentView(Money.FAILED if over else Money.PENDING, number, detail=detail)

    async def close(self, payment: PaymentRef) -> PaymentView:
        """UnionPay cannot: until ``payTimeout`` the honest answer is that we do not know."""
        view = await self.query(payment)
        if view.state is Money.PENDING:
            return PaymentView(
                Money.UNKNOWN, payment.number, detail="can be paid until its time is over"
            )
        return view

    async def refund(self, ask: RefundAsk) -> RefundView:
        """backTransReq.do, txnType 04. What is accepted is not yet through."""
        if not ask.payment.provider_txn:
            return RefundView(Back.FAILED, ask.number, detail="the payment has no queryId")
        fields = self._common(_REFUND, "00", "000201") | {
            "channelType": "07",
            "orderId": order_id(ask.number),
            "txnTime": _stamp(ask.asked_at),
            "txnAmt": str(ask.amount_fen),
            "origQryId": ask.payment.provider_txn,
            "backUrl": ask.notify_url,
        }
        answer = await self._post("gateway/api/backTransReq.do", fields)
        if isinstance(answer, str):
            return RefundView(Back.UNKNOWN, ask.number, detail=answer)
        code, message = answer["respCode"], answer.get("respMsg", "")
        if code == "00" and _same(answer, "orderId", order_id(ask.number)):
            return RefundView(
                Back.SUBMITTED, ask.number, ask.amount_fen, answer.get("queryId") or None
            )
        if code == codes.AGAIN:  # this number was sent before, and its answer was lost
            known = await self.query_refund(ask)
            return replace(known, state=Back.UNKNOWN) if known.state is Back.ABSENT else known
        if code in codes.OPEN | {codes.SLOW_DOWN}:
            return RefundView(Back.UNKNOWN, ask.number, detail=f"{code} {message}"[:200])
        if code == "02":  # closed for now: nothing was done
            return RefundView(Back.UNKNOWN, ask.number, detail=codes.in_words(code, message))
        return RefundView(Back.FAILED, ask.number, detail=codes.in_words(code, message)[:200])

    async def query_refund(self, ask: RefundAsk) -> RefundView:
        """queryTrans.do of the refund's own number and time."""
        answer = await self._ask_about(ask.number, ask.asked_at)
        if isinstance(answer, str):
            return RefundView(Back.UNKNOWN, ask.number, detail=answer)
        code, original = answer["respCode"], answer.get("origRespCode", "")
        if code == codes.ABSENT:
            return RefundView(Back.ABSENT, ask.number, detail="no such transaction (34)")
        if code != "00":
            return RefundView(Back.UNKNOWN, ask.number, detail=code)
        if original in codes.OPEN:
            return RefundView(Back.SUBMITTED, ask.number, detail=original)
        if original in codes.DONE:
            return self._given_back(answer, ask.number)
        detail = codes.in_words(original, answer.get("origRespMsg", ""))
        return RefundView(Back.FAILED, ask.number, detail=detail[:200])

    def parse_notification(self, headers: Mapping[str, str], raw: bytes, path: str) -> Notice:
        """A form, signed over its decoded fields. There is no time in it: a repeat changes nothing."""
        try:
            pairs = parse_qsl(
                raw.decode(), keep_blank_values=True, strict_parsing=True, max_num_fields=100
            )
            fields = dict(pairs)
        except (ValueError, UnicodeDecodeError) as error:
            raise BadNotification(f"unreadable: {type(error).__name__}") from error
        if len(fields) != len(pairs):
            raise BadNotification("a field stands twice")
        self._verify(fields)
        number = number_of(fields.get("orderId", ""))
        kind = fields.get("txnType", "")
        kept: dict[str, Any] = {name: fields[name] for name in _KEPT if name in fields}
        event = ":".join(fields.get(n, "") for n in ("txnType", "queryId", "orderId", "respCode"))
        done = fields.get("respCode") in codes.DONE
        about: PaymentView | RefundView | None = None
        if kind == _PAYMENT:
            about = self._paid(fields, number) if done else PaymentView(Money.UNKNOWN, number)
        elif kind == _REFUND:
            about = self._given_back(fields, number) if done else RefundView(Back.UNKNOWN, number)
        return Notice(event, about, kept)

    def notification_reply(self, taken: bool) -> Reply:
        """Only the status counts; what is not taken is sent again."""
        return Reply(200 if taken else 400, b"ok" if taken else b"", "text/plain")

    async def fetch_bill(self, day: date) -> BillView:
        """The file of a settlement day (23:00 to 23:00 Beijing time)."""
        fields = self._common("76", "01", "000000") | {
            "settleDate": f"{day:%m%d}",
            "txnTime": _stamp(self._clock.now()),
            "fileType": "00",
        }
        url = self._account.file_url.rstrip("/") + "/"
        answer = await self._call(url, fields, FILE_TIMEOUT_S)
        if isinstance(answer, str):
            return BillView(BillState.UNKNOWN, detail=answer)
        code = answer["respCode"]
        if code == codes.NO_FILE:
            return BillView(BillState.NOT_YET, detail="no file yet (98)")
        if code != "00":
            message = codes.in_words(code, answer.get("respMsg", ""))
            return BillView(BillState.UNKNOWN, detail=message)
        try:
            files = bill.unpack(answer.get("fileContent", ""))
            lines = bill.lines_of(files, day, self._account.merchant)
        except bill.Unreadable as error:
            return BillView(BillState.UNKNOWN, detail=f"unreadable: {error}"[:200])
        return BillView(BillState.READY, tuple(lines), bill.digest(files))

    async def fetch_keys(self) -> Mapping[str, str]:
        """UnionPay's certificate comes with each message."""
        return {}

    async def check(self) -> str:
        """``""`` if UnionPay lets us in, else what is wrong, in words."""
        now = self._clock.now()
        answer = await self._ask_about(f"check{now:%Y%m%d%H%M%S}", now)
        if isinstance(answer, str):
            return _("银联没有给出可以核实的回答（{answer}）").format(answer=answer)
        if answer["respCode"] in {"00", codes.ABSENT}:
            return ""
        return codes.in_words(answer["respCode"], answer.get("respMsg", ""))

    def _common(self, kind: str, sub: str, product: str) -> dict[str, str]:
        return {
            "version": "5.1.0",
            "encoding": "UTF-8",
            "signMethod": "01",
            "txnType": kind,
            "txnSubType": sub,
            "bizType": product,
            "accessType": "0",
            "merId": self._account.merchant,
        }

    async def _ask_about(self, number: str, at: datetime) -> dict[str, str] | str:
        wanted = order_id(number)
        fields = self._common("00", "00", "000201") | {"orderId": wanted, "txnTime": _stamp(at)}
        answer = await self._post("gateway/api/queryTrans.do", fields)
        if not isinstance(answer, str) and not _same(answer, "orderId", wanted):
            return "answered about another number"
        return answer

    async def _post(self, path: str, fields: dict[str, str]) -> dict[str, str] | str:
        return await self._call(self._url(path), fields, TIMEOUT_S)

    async def _call(self, url: str, fields: dict[str, str], timeout: float) -> dict[str, str] | str:
        """The verified answer, or a text saying why there is none."""
        try:
            answer = await self._http.post(
                url, data=signing.signed(fields, self._pair), timeout=timeout
            )
        except httpx.HTTPError as error:
            return type(error).__name__
        if answer.status_code != 200:
            return f"answered {answer.status_code}"
        try:
            told = signing.parse_answer(answer.content.decode())
            self._verify(told)
        except (BadNotification, UnicodeDecodeError) as error:
            return f"unverified answer: {error}"
        return told if told.get("respCode") else "no respCode"

    def _verify(self, fields: Mapping[str, str]) -> None:
        try:
            self._trust.verify(fields, self._clock.now())
        except signing.Unsigned as error:
            raise BadNotification(str(error)) from error
        if fields.get("merId") != self._account.merchant:
            raise BadNotification("of another merchant")

    def _paid(self, fields: Mapping[str, str], number: str) -> PaymentView:
        fen = _fen(fields)
        if fen is None:
            return PaymentView(Money.UNKNOWN, number, detail="no amount in yuan")
        return PaymentView(
            Money.SUCCEEDED, number, amount_fen=fen, provider_txn=fields.get("queryId") or None
        )

    def _given_back(self, fields: Mapping[str, str], number: str) -> RefundView:
        fen = _fen(fields)
        if fen is None:
            return RefundView(Back.UNKNOWN, number, detail="no amount in yuan")
        return RefundView(
            Back.SUCCEEDED, number, amount_fen=fen, provider_refund=fields.get("queryId") or None
        )

    def _url(self, path: str) -> str:
        return f"{self._account.base_url.rstrip('/')}/{path}"


def make(credentials: str, around: Surroundings) -> UnionPay:
    """From an account's stored credentials (JSON). Raises ValueError if they are broken."""
    return UnionPay(UnionPayAccount.model_validate_json(credentials), around)


def back_url(return_url: str) -> str:
    """UnionPay leads back by a form that it posts: to a page that takes it and goes on to ours."""
    url = urlsplit(return_url)
    return f"{url.scheme}://{url.netloc}{BACK}?to={quote(url.path, safe='')}"


def _stamp(at: datetime) -> str:
    return at.astimezone(BEIJING).strftime(_STAMP)


def _same(answer: Mapping[str, str], name: str, wanted: str) -> bool:
    return answer.get(name, wanted) == wanted


def _fen(fields: Mapping[str, str]) -> int | None:
    text = fields.get("txnAmt", "")
    if fields.get("currencyCode", _CNY) != _CNY or not text.isascii() or not text.isdigit():
        return None
    return int(text)
