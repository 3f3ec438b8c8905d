"""``python -m simulators.notices KIND``: run one provider; ``GET /messages`` shows what it took."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from simulators.notices import aliyun, robots, tencent, wechat
from simulators.notices.desk import Desk


class Kind(StrEnum):
    """The providers there are."""

    ALIYUN = "sms_aliyun"
    TENCENT = "sms_tencent"
    WECHAT = "wechat"
    ROBOTS = "robots"


def provider(kind: Kind, desk: Desk, secret: str) -> Starlette:
    """The provider's server with one customer, whose secrets are all ``secret``."""
    if kind is Kind.ALIYUN:
        return aliyun.create_app(desk, aliyun.Account("LTAI5tDemo", secret, "Kaimen", ("SMS_1",)))
    if kind is Kind.TENCENT:
        account = tencent.Account("AKIDdemo0001", secret, "1400000001", "Kaimen", ("1110",))
        return tencent.create_app(desk, account)
    if kind is Kind.WECHAT:
        return wechat.create_app(desk, wechat.App("wx0123456789abcdef", secret, ("tmpl-ready",)))
    keys = robots.Keys(secret, secret, secret, secret, secret)
    return robots.create_app(desk, keys)


def with_messages(app: Starlette, desk: Desk) -> Starlette:
    """The server, what it took, and a way to ask for faults."""

    async def messages(request: Request) -> Response:
        del request
        return JSONResponse({"messages": desk.messages, "refused": desk.refused})

    async def faults(request: Request) -> Response:
        desk.faults += [str(one) for one in await request.json()]
        return JSONResponse({"faults": desk.faults})

    return Starlette(
        routes=[
            Route("/messages", messages),
            Route("/faults", faults, methods=["POST"]),
            Mount("/", app),
        ]
    )


def main(
    kind: Annotated[Kind, typer.Argument(help="Which provider.")],
    secret: Annotated[str, typer.Option(envvar="KAIMEN_NOTICE_SECRET", help="Its customer's.")],
    host: Annotated[str, typer.Option()] = "127.0.0.1",
    port: Annotated[int, typer.Option()] = 8040,
) -> None:
    """Serve until interrupted."""
    desk = Desk()
    app = with_messages(provider(kind, desk, secret), desk)
    uvicorn.run(app, host=host, port=port, log_level="warning")


if __name__ == "__main__":
    typer.run(main)
