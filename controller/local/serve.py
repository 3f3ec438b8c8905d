"""Puts the page together for a controller."""

from __future__ import annotations

from typing import TYPE_CHECKING

from controller.local import selftest
from controller.local.look import Look
from controller.local.pin import Gate
from controller.local.selftest import Line
from controller.local.server import LocalServer, Pages
from controller.report import Reporter

if TYPE_CHECKING:
    from controller.app import Controller


def serve(controller: Controller, reporter: Reporter, address: str) -> LocalServer:
    """Serve the page of ``controller`` at ``address`` (``host:port``)."""

    def link_up() -> bool:
        return controller.uplink.side.up

    look = Look(
        controller.state,
        reporter,
        controller.timekeeper,
        controller.wire,
        controller.state_dir,
        lambda: controller.uplink.acked,
        link_up,
    )

    async def test() -> list[Line]:
        return await selftest.run(
            controller.state,
            controller.bridge,
            controller.journal,
            controller.timekeeper,
            controller.state_dir,
            controller.ports,
            link_up,
        )

    gate = Gate(controller.state_dir, controller.wire.monotonic)
    server = LocalServer(Pages(controller.identity.store, gate, look.live, test), address)
    server.start()
    return server
