r"""Our side of the cashier (收银台): a payment server apart from the cloud, with a page of its own.

Both directions are signed with Ed25519 over the exact bytes:

    KAIMEN-CASHIER\n{what}\n{timestamp}\n{nonce}\n{body}

``what`` is ``METHOD path`` of a request, ``{status} {nonce of the request}`` of an answer and
``NOTIFY path`` of a notification, so that none of them can be passed off as another. Timestamps are
whole seconds of wire time and may be five minutes off. docs: simulators/cashier/README.md.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from datetime import date
from typing import Any, Final, TypeVar

import httpx
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import BaseModel, ConfigDict, Field

from cloud_api.kit.ids import new_token
from cloud_api.payments.providers.base import (
    NO_BILLS,
    Ask,
    Back,
    BadNotification,
    BillView,
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

FRESH_S: Final = 300
TIMEOUT_S: Final = 6.0
_PREFIX: Final = b"KAIMEN-CASHIER\n"
_PAYMENT: Final = {
    "waiting": Money.PENDING,
    "paid": Money.SUCCEEDED,
    "closed": Money.CLOSED,
    "expired": Money.CLOSED,
}
_REFUND: Final = {
    "processing": Back.SUBMITTED,
    "done": Back.SUCCEEDED,
    "refused": Back.FAILED,
    "stuck": Back.ABNORMAL,
}


class CashierAccount(BaseModel):
    """Credentials of an account, as stored (encrypted). Keys are raw Ed25519 keys in hex."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    base_url: str = Field(title="收银台的地址")
    merchant: str = Field(title="商户号")  # our number at the cashier
    private_key: str = Field(title="我们的私钥（十六进制）")  # ours: signs requests
    cashier_key: str = Field(
        title="收银台的公钥（十六进制）"
    )  # theirs, public: verifies answers and notifications


class Cashier:
    """A PaymentProvider on the cashier's HTTP API."""

    def __init__(self, account: CashierAccount, around: Surroundings) -> None:
        self._account = account
        self._http = around.http
        self._clock = around.clock
        self._key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(account.private_key))
        self._theirs = Ed25519PublicKey.from_public_bytes(bytes.fromhex(account.cashier_key))

    async def create(self, ask: Ask) -> PaymentView:
        """POST /v1/payments."""
        answer = await self._call(
            "POST",
            "/v1/payments",
            {
                "number": ask.number,
                "amount_fen": ask.amount_fen,
                "subject": ask.subject,
                "merchant_name": ask.merchant_name,
                "expires_at": int(ask.expires_at.timestamp()),
                "notify_url": ask.notify_url,
                "return_url": ask.return_url,
            },
        )
        return _payment(ask.number, answer, refusable=True)

    async def query(self, payment: PaymentRef) -> PaymentView:
        """GET /v1/payments/{number}."""
        number = payment.number
        return _payment(number, await self._call("GET", f"/v1/payments/{number}"))

    async def close(self, payment: PaymentRef) -> PaymentView:
        """POST /v1/payments/{number}/close."""
        number = payment.number
        return _payment(number, await self._call("POST", f"/v1/payments/{number}/close", {}))

    async def refund(self, ask: RefundAsk) -> RefundView:
        """POST /v1/refunds."""
        answer = await self._call(
            "POST",
            "/v1/refunds",
            {
                "number": ask.number,
                "payment_number": ask.payment.number,
                "amount_fen": ask.amount_fen,
                "reason": ask.reason,
                "notify_url": ask.notify_url,
            },
        )
        return _refund(ask.number, answer, refusable=True)

    async def query_refund(self, ask: RefundAsk) -> RefundView:
        """GET /v1/refunds/{number}."""
        return _refund(ask.number, await self._call("GET", f"/v1/refunds/{ask.number}"))

    def parse_notification(self, headers: Mapping[str, str], raw: bytes, path: str) -> Notice:
        """Verify signature, freshness and account; read one fact."""
        self._verify(f"NOTIFY {path}", headers, raw)
        try:
            body = json.loads(raw)
            if body["merchant"] != self._account.merchant:
                raise BadNotification("of another account")
            thing = dict(body[body["kind"]])
            number = str(thing["number"])
            view: PaymentView | RefundView
            view = (
                _payment(number, (200, thing))
                if body["kind"] == "payment"
                else _refund(number, (200, thing))
            )
            return Notice(str(body["id"]), view, body)
        except (ValueError, KeyError, TypeError) as error:
            raise BadNotification(f"unreadable: {error!r}") from error

    def notification_reply(self, taken: bool) -> Reply:
        """What the cashier takes as "received"; anything else is sent again."""
        if taken:
            return Reply(200, b'{"code":"SUCCESS"}')
        return Reply(401, b'{"code":"payment.bad_notification"}')

    async def fetch_bill(self, day: date) -> BillView:
        """The cashier has none."""
        return NO_BILLS

    async def fetch_keys(self) -> Mapping[str, str]:
        """Its one key is in the credentials."""
        return {}

    async def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Answer:
        """The verified answer, or a text saying why there is none."""
        raw = b"" if body is None else json.dumps(body, ensure_ascii=False).encode()
        stamp, nonce = str(int(self._clock.now().timestamp())), new_token(128)
        signed = _PREFIX + f"{method} {path}\n{stamp}\n{nonce}\n".encode() + raw
        try:
            answer = await self._http.request(
                method,
                self._account.base_url.rstrip("/") + path,
                content=raw,
                timeout=TIMEOUT_S,
                headers={
                    "Content-Type": "application/json",
                    "Cashier-Merchant": self._account.merchant,
                    "Cashier-Timestamp": stamp,
                    "Cashier-Nonce": nonce,
                    "Cashier-Signature": base64.b64encode(self._key.sign(signed)).decode(),
                },
            )
        except httpx.HTTPError as error:
            return f"{type(error).__name__}"
        if answer.status_code >= 500:
            return f"answered {answer.status_code}"
        try:
            self._verify(f"{answer.status_code} {nonce}", answer.headers, answer.content)
            parsed = json.loads(answer.content)
        except (BadNotification, ValueError) as error:
            return f"unverified answer: {error}"
        return (answer.status_code, parsed) if isinstance(parsed, dict) else "no object"

    def _verify(self, what: str, headers: Mapping[str, str], raw: bytes) -> None:
        try:
            stamp = headers["Cashier-Timestamp"]
            signed = _PREFIX + f"{what}\n{stamp}\n{headers['Cashier-Nonce']}\n".encode() + raw
            age = abs(self._clock.now().timestamp() - int(stamp))
            self._theirs.verify(base64.b64decode(headers["Cashier-Signature"]), signed)
        except (KeyError, ValueError, OverflowError, InvalidSignature) as error:
            raise BadNotification(f"signature: {type(error).__name__}") from error
        if age > FRESH_S:
            raise BadNotification(f"stale by {age:.0f} s")


def make(credentials: str, around: Surroundings) -> Cashier:
    """A Cashier from an account's stored credentials (JSON). Raises ValueError if they are broken."""
    return Cashier(CashierAccount.model_validate_json(credentials), around)


def new_keys() -> tuple[str, str]:
    """A fresh key pair for an account: (private, public), hex."""
    key = Ed25519PrivateKey.generate()
    return key.private_bytes_raw().hex(), key.public_key().public_bytes_raw().hex()


Answer = tuple[int, dict[str, Any]] | str


def _payment(number: str, answer: Answer, *, refusable: bool = False) -> PaymentView:
    """Read an answer; ``refusable`` where a 4xx is the cashier's decision and not our mistake."""
    if isinstance(answer, str):
        return PaymentView(Money.UNKNOWN, number, detail=answer)
    status, body = answer
    if status >= 400:
        state = _refusal(status, refusable=refusable, refused=Money.FAILED, absent=Money.ABSENT)
        return PaymentView(state or Money.UNKNOWN, number, detail=str(body.get("code", status)))
    if body.get("number") != number:
        return PaymentView(Money.UNKNOWN, number, detail="answered about another number")
    url = _text(body.get("pay_url"))
    return PaymentView(
        _PAYMENT.get(str(body.get("state")), Money.UNKNOWN),
        number,
        amount_fen=_fen(body.get("amount_fen")),
        provider_txn=_text(body.get("transaction")),
        step=None if url is None else Step(StepKind.REDIRECT, url=url),
    )


def _refund(number: str, answer: Answer, *, refusable: bool = False) -> RefundView:
    if isinstance(answer, str):
        return RefundView(Back.UNKNOWN, number, detail=answer)
    status, body = answer
    if status >= 400:
        state = _refusal(status, refusable=refusable, refused=Back.FAILED, absent=Back.ABSENT)
        return RefundView(state or Back.UNKNOWN, number, detail=str(body.get("code", status)))
    if body.get("number") != number:
        return RefundView(Back.UNKNOWN, number, detail="answered about another number")
    return RefundView(
        _REFUND.get(str(body.get("state")), Back.UNKNOWN),
        number,
        amount_fen=_fen(body.get("amount_fen")),
        provider_refund=_text(body.get("refund")),
        payment_number=_text(body.get("payment_number")),
    )


_State = TypeVar("_State", Money, Back)


def _refusal(status: int, *, refusable: bool, refused: _State, absent: _State) -> _State | None:
    """What a 4xx means. Not being let in, or too often, says nothing about the money."""
    if refusable and status in {400, 404, 409, 410, 422}:
        return refused
    return absent if status == 404 else None


def _fen(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
