"""Every refusal as RFC 9457 problem+json: ``{type, title, status, code, detail, field?, …}``."""

from __future__ import annotations

import json
import re
from http import HTTPStatus
from typing import Any

import structlog
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from cloud_api.kit.errors import KaimenError
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.i18n import later
from cloud_api.kit.repeat import GIVEN_UP, LOST, was_given_up

log = structlog.get_logger(__name__)

MEDIA_TYPE = "application/problem+json"
_BAD_CHARACTER = frozenset({"22021", "22P05"})  # SQLSTATE: not in repertoire, untranslatable
_AWAY = frozenset({"57P01", "57P02", "57P03", "08000", "08001", "08003", "08004", "08006"})
_BUSY = GIVEN_UP | {"55P03", "53300"}  # and: lock not available, too many connections

_BY_STATUS = {
    400: ("bad_request", "这个请求看不懂，请检查格式"),
    401: ("auth.login_needed", "请先登录"),
    403: ("forbidden", "你没有这个权限"),
    404: ("not_found", "没有找到这个地址"),
    405: ("method_not_allowed", "这个地址不支持这种请求方式"),
    413: ("body_too_large", "提交的内容太大"),
    415: ("media_type", "请用 application/json 提交"),
}

_TITLES = {
    400: "请求不对",
    401: "没有登录",
    402: "还没付款",
    403: "没有权限",
    404: "没有找到",
    405: "不支持",
    409: "冲突",
    410: "已经没有了",
    413: "太大",
    415: "格式不支持",
    422: "填得不对",
    429: "太频繁",
    500: "出了问题",
    502: "对方没有回应",
    503: "暂时不可用",
}

_SENTENCES = {
    "missing": "缺少这一项",
    "string_too_short": "太短了",
    "string_too_long": "太长了",
    "string_pattern_mismatch": "格式不对",
    "json_invalid": "内容不是有效的 JSON",
    "extra_forbidden": "多出了不认识的一项",
    "timezone_aware": "时间要带时区，例如 2026-11-23T19:00:00+08:00",
    "enum": "不在可选的范围里",
    "literal_error": "不在可选的范围里",
}
_BY_PREFIX = (
    ("int", "要填整数"),
    ("float", "要填数字"),
    ("bool", "要填是或否"),
    ("string", "要填文字"),
    ("datetime", "时间要像 2026-11-23T19:00:00+08:00"),
    ("timezone", "时间要带时区，例如 2026-11-23T19:00:00+08:00"),
    ("date", "日期要像 2026-11-23"),
    ("greater", "数值太小"),
    ("less", "数值太大"),
    ("model", "内容格式不对"),
)


class _Problem(JSONResponse):
    """It may repeat what was sent: half of a character has no bytes, and is shown as ``?``."""

    media_type = MEDIA_TYPE

    def render(self, content: Any) -> bytes:
        text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return text.encode(errors="replace")


def problem(error: KaimenError) -> JSONResponse:
    """The answer that says what ``error`` says; 429 and 503 carry Retry-After."""
    body: dict[str, Any] = {
        "type": f"urn:kaimen:problem:{error.code}",
        "title": _(_TITLES.get(error.status) or HTTPStatus(error.status).phrase),
        "status": error.status,
        "code": error.code,
        "detail": _(error.message),
    }
    if error.field is not None:
        body["field"] = error.field
    body |= {key: value for key, value in error.extra.items() if key not in body}
    headers: dict[str, str] = {}
    if "retry_after" in error.extra:
        headers["Retry-After"] = str(error.extra["retry_after"])
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return _Problem(body, error.status, headers)


def from_http(error: HTTPException) -> KaimenError:
    """What the framework refuses by itself (no route, wrong method, no JSON)."""
    code, sentence = _BY_STATUS.get(error.status_code, (f"http_{error.status_code}", _("没有办成")))
    return KaimenError(code, sentence, status=error.status_code)


def from_validation(error: RequestValidationError) -> KaimenError:
    """The first field at fault and a sentence; never the value that was sent."""
    first = error.errors()[0]
    kind = str(first["type"])
    place = ".".join(str(part) for part in first["loc"] if part not in ("body", "query", "path"))
    if kind == "json_invalid":
        return KaimenError("invalid.json", _SENTENCES[kind], status=422)
    sentence = _sentence(kind, first)
    # A validator of ours says what is wrong in our words; and a code, as ``code: sentence``.
    told = _("{field}：{what}").format(field=place, what=_(sentence)) if place else sentence
    return KaimenError("invalid", told, status=422, field=place or None)


def _sentence(kind: str, first: Any) -> str:
    if kind == "value_error":
        text = re.sub(r"^Value error, ", "", str(first.get("msg", "")))
        return text if re.search(r"[一-鿿]", text) else later("填得不对")
    if kind in _SENTENCES:
        return _SENTENCES[kind]
    return next((text for prefix, text in _BY_PREFIX if kind.startswith(prefix)), later("填得不对"))


def from_database(error: SQLAlchemyError) -> KaimenError | None:
    """What the sender may mend (a character that PostgreSQL keeps in no text), or may just try again
    (503 ``busy``: given up for another's sake, no connection free, the one writer taken; 503
    ``unavailable``: the database is away or went in the middle). None: our fault.
    """
    if isinstance(error, PoolTimeout):
        return busy()
    cause = getattr(error, "orig", None)
    state = getattr(cause, "sqlstate", None)
    if (
        isinstance(cause, OSError)
        or state in _AWAY
        or getattr(error, "connection_invalidated", False)
    ):
        return unavailable()
    if state in _BAD_CHARACTER or _half_a_character(error):
        return bad_character()
    if state in _BUSY or getattr(cause, "sqlite_errorname", "").startswith("SQLITE_BUSY"):
        return busy()
    return None


def _half_a_character(error: BaseException) -> bool:
    """Whether a driver could not write a text as UTF-8: a lone surrogate of a JSON escape is in it."""
    seen: BaseException | None = error
    while seen is not None and not isinstance(seen, UnicodeEncodeError):
        seen = getattr(seen, "orig", None) or seen.__cause__
    return seen is not None


def bad_character() -> KaimenError:
    """What was sent has a character that no database keeps: a NUL, or half of one."""
    return KaimenError("invalid.character", "内容里有不能使用的字符", status=422)


def unavailable() -> KaimenError:
    """The database is away for a moment. Whether something was done nobody knows: the same key tells."""
    return KaimenError(
        "unavailable",
        "服务正在恢复，请过几秒再试一次；同一件事不会办两遍",
        status=503,
        extra={"retry_after": 2},
    )


def busy() -> KaimenError:
    """Nothing was done, and the same request may be sent again in a moment."""
    return KaimenError(
        "busy", "现在人太多，这次没有办成，请过几秒再试", status=503, extra={"retry_after": 2}
    )


def crash(request: Request, error: Exception) -> KaimenError:
    """Log an error nobody expected; the person gets a sentence and the request's number."""
    number = getattr(request.state, "request_id", "")
    log.error("request.crashed", path=_route(request), exc_info=error)
    return KaimenError(
        "internal",
        "我们这边出了问题，没有扣你的钱。稍后再试，或把编号告诉店家",
        status=500,
        extra={"request_id": number},
    )


def _route(request: Request) -> str:
    route = request.scope.get("route")
    return str(getattr(route, "path", "")) or request.method


def as_error(request: Request, error: Exception) -> KaimenError:
    """Any exception of a request as the refusal it stands for."""
    if was_given_up(error):
        request.scope[LOST] = True
    if isinstance(error, KaimenError):
        return error
    if isinstance(error, RequestValidationError):
        return from_validation(error)
    if isinstance(error, HTTPException):
        return from_http(error)
    if isinstance(error, UnicodeEncodeError):
        return bad_character()
    if isinstance(error, SQLAlchemyError) and (refusal := from_database(error)) is not None:
        return refusal
    return crash(request, error)


def is_problem(response: Response) -> bool:
    """Whether a response is one of ours."""
    return response.headers.get("content-type", "").startswith(MEDIA_TYPE)
