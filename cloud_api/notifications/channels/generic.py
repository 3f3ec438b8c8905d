"""Anything else that apprise can reach, from a closed list: services people of other countries use.

apprise itself blocks, and speaks to desktops and local programs as well; so it runs in a thread with a
time-out, and takes only the schemes listed here. Those whose host a merchant writes are looked up first:
the host that apprise itself reads, since another reading of the same address may find another one; and
no answer may send it on to a further address.
"""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar, Final

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
        if _robot(value) is None:
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
        robot = await asyncio.to_thread(_robot, credentials.url)
        if robot is None:
            return base.failed("bad_address")
        scheme = credentials.url.partition("://")[0].lower()
        if scheme in OWN_HOST:
            try:
                port = int(robot.port or (443 if robot.secure else 80))
                await public_address(cloud, str(robot.host or "").strip("[]"), port)
            except (HostRefused, ValueError) as error:
                return base.failed("host_refused", error)
        try:
            async with asyncio.timeout(2 * base.TIMEOUT_S):
                worked = await asyncio.to_thread(_notify, robot, letter)
        except TimeoutError:
            return base.unknown("no_answer")
        return base.sent() if worked else base.unknown("apprise")


def _robot(url: str) -> Any:
    """What apprise makes of an address; None where it can make nothing of it."""
    import apprise  # a second of loading, which only those who use it pay

    robot: Any = apprise.Apprise.instantiate(url, suppress_exceptions=True)
    if robot is not None:
        robot.redirects = False
    return robot


def _notify(robot: Any, letter: Letter) -> bool:
    import apprise

    sender = apprise.Apprise()
    return sender.add(robot) and bool(sender.notify(body=letter.body, title=letter.title))
