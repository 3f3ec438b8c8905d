"""Two small calls to the cloud over HTTPS: enrolling, and fetching desired when MQTT is silent."""

from __future__ import annotations

import hashlib
import hmac
import json
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import urlsplit

DESIRED_PATH = "/edge/v1/desired"
ENROLL_PATH = "/edge/v1/enroll"
MAX_ANSWER = 2 << 20


class CloudRefused(Exception):
    """The cloud answered with an error; ``code`` is its stable code, where it gave one."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(detail or code)
        self.status = status
        self.code = code


class CloudUnreachable(Exception):
    """No answer: the text says why."""


def authorization(store: str, secret: bytes, at_ms: int) -> str:
    """The header that proves which store asks for its desired document (wire ms)."""
    text = f"GET\n{DESIRED_PATH}\n{store}\n{at_ms}"
    return f"KaimenStore {store} {at_ms} {hmac.digest(secret, text.encode(), hashlib.sha256).hex()}"


def fetch_desired(cloud: str, store: str, secret: bytes, at_ms: int, timeout_s: float) -> bytes:
    """The signed envelope. Blocking. Raises CloudRefused, CloudUnreachable."""
    headers = {"Authorization": authorization(store, secret, at_ms)}
    return _call(cloud, DESIRED_PATH, headers, None, timeout_s)


def enroll(cloud: str, code: str, csr: str, timeout_s: float = 15.0) -> dict[str, Any]:
    """Trade a one-time code for credentials. Blocking. Raises CloudRefused, CloudUnreachable."""
    body = json.dumps({"code": code, "csr": csr}).encode()
    answer = _call(cloud, ENROLL_PATH, {"Content-Type": "application/json"}, body, timeout_s)
    try:
        parsed = json.loads(answer)
    except ValueError:
        raise CloudUnreachable(f"{cloud} does not answer as a cloud does: check the URL") from None
    if not isinstance(parsed, dict):
        raise CloudUnreachable(f"{cloud} does not answer as a cloud does: check the URL")
    return parsed


def _call(
    cloud: str, path: str, headers: dict[str, str], body: bytes | None, timeout_s: float
) -> bytes:
    if urlsplit(cloud).scheme not in ("http", "https"):
        raise CloudUnreachable(f"{cloud} is no address: it should begin with https://")
    request = urllib.request.Request(  # noqa: S310 (the scheme was checked)
        cloud.rstrip("/") + path, data=body, headers=headers
    )
    try:
        with urllib.request.urlopen(request, timeout=timeout_s) as answer:  # noqa: S310
            return bytes(answer.read(MAX_ANSWER))
    except urllib.error.HTTPError as error:
        with error:
            raise CloudRefused(error.code, *_problem(error.read(65536))) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise CloudUnreachable(f"{urlsplit(cloud).netloc} cannot be reached: {reason}") from None


def _problem(body: bytes) -> tuple[str, str]:
    """Code and detail of a problem+json answer."""
    try:
        problem = json.loads(body)
        return str(problem.get("code", "")), str(problem.get("detail") or problem.get("title", ""))
    except (ValueError, AttributeError):
        return "", ""
