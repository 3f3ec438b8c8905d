"""Small calls to the cloud over HTTPS: enrolling, renewing, desired when MQTT is silent, diagnostics."""

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
RENEW_PATH = "/edge/v1/renew"
DIAGNOSTICS_PATH = "/edge/v1/diagnostics"
MAX_ANSWER = 2 << 20


class CloudRefused(Exception):
    """The cloud answered with an error; ``code`` is its stable code, where it gave one."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(detail or code)
        self.status = status
        self.code = code


class CloudUnreachable(Exception):
    """No answer: the text says why."""


def authorization(
    store: str, secret: bytes, at_ms: int, what: str = f"GET\n{DESIRED_PATH}", digest: str = ""
) -> str:
    """The header that proves which store asks (wire ms): ``what`` is the method and the path, ``digest``
    the hex SHA-256 of the body, where there is one.
    """
    text = f"{what}\n{store}\n{at_ms}" + (f"\n{digest}" if digest else "")
    return f"KaimenStore {store} {at_ms} {hmac.digest(secret, text.encode(), hashlib.sha256).hex()}"


def fetch_desired(cloud: str, store: str, secret: bytes, at_ms: int, timeout_s: float) -> bytes:
    """The signed envelope. Blocking. Raises CloudRefused, CloudUnreachable."""
    headers = {"Authorization": authorization(store, secret, at_ms)}
    return _call(cloud, DESIRED_PATH, headers, None, timeout_s)


def send_diagnostics(
    cloud: str, store: str, secret: bytes, at_ms: int, bundle: str, content: bytes, timeout_s: float
) -> None:
    """Bring a bundle to the cloud that asked for it. Blocking. Raises CloudRefused, CloudUnreachable."""
    path = f"{DIAGNOSTICS_PATH}/{bundle}"
    digest = hashlib.sha256(content).hexdigest()
    proof = authorization(store, secret, at_ms, f"POST\n{path}", digest)
    headers = {"Authorization": proof, "Content-Type": "application/json"}
    _call(cloud, path, headers, content, timeout_s)


def enroll(cloud: str, code: str, csr: str, timeout_s: float = 15.0) -> dict[str, Any]:
    """Trade a one-time code for credentials. Blocking. Raises CloudRefused, CloudUnreachable."""
    body = json.dumps({"code": code, "csr": csr}).encode()
    return _object(cloud, ENROLL_PATH, {}, body, timeout_s)


def renew(
    cloud: str, store: str, secret: bytes, at_ms: int, csr: str, timeout_s: float = 15.0
) -> str:
    """A new certificate (PEM) for the key in ``csr``. Blocking. Raises CloudRefused, CloudUnreachable."""
    body = json.dumps({"csr": csr}).encode()
    digest = hashlib.sha256(body).hexdigest()
    proof = authorization(store, secret, at_ms, f"POST\n{RENEW_PATH}", digest)
    answer = _object(cloud, RENEW_PATH, {"Authorization": proof}, body, timeout_s)
    return str(answer.get("certificate", ""))


def _object(
    cloud: str, path: str, headers: dict[str, str], body: bytes, timeout_s: float
) -> dict[str, Any]:
    """The JSON object that a POST of JSON is answered with."""
    sent = {"Content-Type": "application/json", **headers}
    answer = _call(cloud, path, sent, body, timeout_s)
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
