"""Anything else that apprise can reach, from a closed list: services people of other countries use.

apprise itself blocks, and speaks to desktops and local programs as well; so it runs in a thread with a
time-out, and takes only the schemes listed here. Those whose host a merchant writes are looked up first.
"""

from __future__ import annotations

import asyncio
from typing import ClassVar, Final
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from cloud_api.kit.cloud import Cloud
from cloud_api.notifications.channels import base
from cloud_api.notifications.channels.base import Letter, Outcome
from cloud_api.notifications.channels.hosts import HostRefused, public_address

HOSTED: Final = frozenset(
    {"tgram", "slack", "discord", "msteams", "pover", "pbul", "schan", "sendgrid", "twilio", "line"}
)
OWN_HOST: Final = frozenset(
    {"json", "jsons", "form", "forms", "ntfy", "ntfys", "gotify", "gotifys", "bark", "barks"}
    | {"mmost", "mmosts", "rocket", "rockets", "matrix", "matrixs"}
)


class GenericCredentials(base.Credentials):
    """An address in apprise's own form; it holds keys, so all of it is secret."""

    SECRET: ClassVar[frozenset[str]] = frozenset({"url"})
    url: str = Field(min_length=8, max_length=500, title="apprise 地址")

    @field_validator("url")
    @classmethod
    def _known(cls, value: str) -> str:
        scheme = value.partition("://")[0].lower()
        if scheme not in HOSTED | OWN_HOST:
            raise ValueError("不支持这种地址")
        import apprise  # a second of loading, which only those who use it pay

        if apprise.Apprise.instantiate(value, suppress_exceptions=True) is None:
            raise ValueError("地址不完整")
        return value


class Generic:
    """apprise tells only whether it worked, so a failure may be anything: it is unknown."""

    kind = "apprise"
    name = "其他（apprise）"
    addressed: base.Addressed = "group"
    needs_template = False
    idempotent = False
    credentials = GenericCredentials

    async def send(self, cloud: Cloud, credentials: GenericCredentials, letter: Letter) -> Outcome:
        """Send it in a thread; what takes longer than the time-out is left to end by itself."""
        parts = urlsplit(credentials.url)
        if parts.scheme.lower() in OWN_HOST:
            try:
                secure = parts.scheme.lower().endswith("s")
                port = parts.port or (443 if secure else 80)
                await public_address(cloud, parts.hostname or "", port)
            except (HostRefused, ValueError) as error:
                return base.failed("host_refused", error)
        try:
            async with asyncio.timeout(2 * base.TIMEOUT_S):
                worked = await asyncio.to_thread(_notify, credentials.url, letter)
        except TimeoutError:
            return base.unknown("no_answer")
        return base.sent() if worked else base.unknown("apprise")


def _notify(url: str, letter: Letter) -> bool:
    import apprise

    robot = apprise.Apprise()
    if not robot.add(url):
        return False
    return bool(robot.notify(body=letter.body, title=letter.title))
