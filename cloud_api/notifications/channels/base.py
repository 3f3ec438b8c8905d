"""What every way out has in common: a letter goes in, one of four outcomes comes back.

``later``: certainly not accepted, worth another try. ``failed``: certainly not accepted, and never will
be. ``unknown``: it may have been accepted. Who repeats that decides by the channel and the urgency.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Final, Literal, Protocol

import httpx
from pydantic import BaseModel, ConfigDict

from cloud_api.kit.cloud import Cloud

TIMEOUT_S: Final = 8.0
MINUTE_S: Final = 60.0
_DETAIL: Final = 200
_ENDPOINTS: Final = "notices.endpoints"

Addressed = Literal["phone", "openid", "group", "room"]


class Credentials(BaseModel):
    """What a merchant enters for a channel. Secret fields are never given back.

    ``GOES_TO``: the fields that say who is shown the secrets; a secret is kept for the same ones only.
    """

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)
    SECRET: ClassVar[frozenset[str]] = frozenset()
    GOES_TO: ClassVar[frozenset[str]] = frozenset()


@dataclass(frozen=True, slots=True)
class Letter:
    """One message on its way. ``ref`` is the same at every try; ``address`` fits the channel's kind."""

    ref: str
    merchant_id: str
    store_id: str | None
    event: str
    title: str
    body: str
    language: str
    address: str
    urgent: bool = False
    template: str = ""  # the provider's template, where the provider wants one
    params: tuple[tuple[str, str], ...] = ()  # its parameters in order, filled in
    room_id: str | None = None
    sender: str = ""  # what guests call the merchant, where it chose a name


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one try. ``after_s``: not before so long."""

    state: Literal["sent", "later", "failed", "unknown"]
    code: str = ""
    detail: str = ""
    provider_ref: str | None = None
    after_s: float | None = None


class Channel(Protocol):
    """A way out. ``idempotent``: the provider delivers one ``ref`` once, so ``unknown`` is repeated."""

    kind: str
    name: str
    addressed: Addressed
    needs_template: bool
    idempotent: bool

    @property
    def credentials(self) -> type[Credentials]:
        """What a merchant enters for it."""
        ...

    async def send(self, cloud: Cloud, credentials: Any, letter: Letter) -> Outcome:
        """Try once. Called outside any transaction; raises nothing that an outcome can say."""
        ...


def sent(provider_ref: object = None) -> Outcome:
    """The provider has it."""
    return Outcome("sent", provider_ref=None if provider_ref is None else str(provider_ref)[:80])


def later(code: object, detail: object = "", after_s: float | None = None) -> Outcome:
    """Not accepted now."""
    return Outcome("later", str(code), str(detail)[:_DETAIL], after_s=after_s)


def failed(code: object, detail: object = "") -> Outcome:
    """Not accepted, and not to be tried again."""
    return Outcome("failed", str(code), str(detail)[:_DETAIL])


def unknown(code: object, detail: object = "") -> Outcome:
    """Perhaps accepted."""
    return Outcome("unknown", str(code), str(detail)[:_DETAIL])


def endpoint(cloud: Cloud, kind: str, own: str) -> str:
    """Where a provider's API is: its own address, unless this installation says otherwise."""
    given = cloud.parts.get(_ENDPOINTS)
    if given is None:
        pairs = (one.partition("=") for one in cloud.settings.notice_endpoints.split(",") if one)
        given = {name.strip(): url.strip() for name, _, url in pairs}
        cloud.parts[_ENDPOINTS] = given
    return str(given.get(kind, own)).rstrip("/")


async def call(
    cloud: Cloud,
    method: str,
    url: str,
    *,
    params: dict[str, str] | None = None,
    content: bytes | None = None,
    headers: dict[str, str] | None = None,
) -> httpx.Response | Outcome:
    """One HTTP call. What is no answer comes back as an outcome: nothing went out, or nobody knows.

    Never puts the address into an outcome: robots carry their key in it.
    """
    try:
        answer = await cloud.http.request(
            method, url, params=params, content=content, headers=headers, timeout=TIMEOUT_S
        )
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
        return later("unreachable", type(error).__name__)
    except httpx.InvalidURL:
        return failed("bad_address")
    except httpx.HTTPError as error:
        return unknown("no_answer", type(error).__name__)
    if answer.status_code == httpx.codes.TOO_MANY_REQUESTS:
        return later("http_429", after_s=_retry_after(answer))
    if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
        return later("http_503", after_s=_retry_after(answer))
    return answer


def told(answer: httpx.Response) -> dict[str, Any] | Outcome:
    """The JSON object in an answer; what is none says nothing about acceptance."""
    try:
        found = answer.json()
    except ValueError:
        found = None
    if isinstance(found, dict):
        return found
    if answer.is_client_error:
        return failed(f"http_{answer.status_code}")
    return unknown(f"http_{answer.status_code}")


def _retry_after(answer: httpx.Response) -> float | None:
    given = answer.headers.get("retry-after", "")
    return min(float(given), 3600.0) if given.isdigit() else None
