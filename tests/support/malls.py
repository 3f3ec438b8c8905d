"""Real platforms on ports of this machine, in threads of their own: Douyin and Meituan, with their knobs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fastapi import FastAPI

from simulators.douyin.app import create_app as douyin_app
from simulators.mall.desk import Desk
from simulators.mall.faults import Faults
from simulators.meituan.app import create_app as meituan_app
from store_link.clock import Clock
from tests.support.ports import free_port
from tests.support.serving import served_aside

MAKERS = {"douyin": douyin_app, "meituan": meituan_app}


class Mall:
    """A running platform. What it answers goes over HTTP; the knobs are turned from here."""

    def __init__(self, url: str, app: FastAPI) -> None:
        self.url = url
        desk = app.state.desk
        assert isinstance(desk, Desk)
        self.desk = desk

    def sell(self, deal: str, **how: Any) -> str:
        """Somebody buys a voucher: its code."""
        return self.desk.shelf.sell(deal, **how).code

    def link(self, code: str) -> str:
        """What its QR says."""
        return f"{self.url}/s/{self.desk.shelf.vouchers[code].link}/"

    def faults(self, **knobs: Any) -> None:
        """Turn the knobs; none given turns all off."""
        self.desk.knobs.now = Faults(**knobs)

    def state(self, code: str) -> str:
        """whole, used, refunded."""
        return self.desk.shelf.vouchers[code].state

    def times(self, code: str) -> int:
        """How often it was verified in all."""
        return sum(1 for one in self.desk.shelf.log if one.code == code)


@contextmanager
def running_mall(name: str, wire: Clock | None = None) -> Iterator[Mall]:
    """One platform until the block ends."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    app = MAKERS[name](public_url=url, wire=wire)
    with served_aside(app, port):
        yield Mall(url, app)
