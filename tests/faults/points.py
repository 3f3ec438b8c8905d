"""The steps of the main job at which a process may be made to stand still: which function, when.

A point belongs to one process, or to whichever comes there first. ``arm`` names the stage of the guest's way (guest.py) before which it
is armed, so that the first call from there on is the one of this very job.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

Wanted = Callable[..., bool]
ANY: Wanted = lambda *args, **kwargs: True  # noqa: E731


@dataclass(frozen=True, slots=True)
class Point:
    """``target`` is ``module:name`` or ``module:Class.name``; ``wanted`` sees its arguments."""

    name: str
    process: str  # "api", "worker", "controller"; "api worker" where either may do it
    target: str
    when: Literal["before", "after"]
    arm: Literal["book", "pay", "pass", "enter", "end", "over"]
    wanted: Wanted = ANY


def _order(made: Any) -> bool:
    return type(made).__name__ == "OrderOut"


def _command(_self: Any, topic: str, *_: Any, **__: Any) -> bool:
    return topic.endswith("/down/command")


def _stay(now: str) -> Wanted:
    """A journal entry: the stay goes to ``now``."""
    return lambda _self, kind, body: kind.value == "stay" and body.now.value == now


def _batch(now: str) -> Wanted:
    """A batch of events in which a stay goes to ``now``; the batch is the last argument."""
    return lambda *args, **_: any(
        event.kind.value == "stay" and event.body["now"] == now for event in args[-1].events
    )


def _final(_self: Any, _instance: str, ack: Any) -> bool:
    return str(ack.state.value) == "done"


def _off(_self: Any, _board: str, _channel: int, on: bool, *_: Any) -> bool:
    return not on


def _usage(_self: Any, kind: Any, _body: Any) -> bool:
    return bool(kind.value == "usage")


_CLOUD = "cloud_api."
_CASHIER = f"{_CLOUD}payments.providers.cashier:Cashier.create"
_TX = "controller.journal.store:Tx."
_BRIDGE = "firmware_bridge.bridge:FirmwareBridge."

POINTS: tuple[Point, ...] = (
    # booked and paid
    Point("quoted", "api", f"{_CLOUD}pricing.service:make_quote", "after", "book"),
    Point("held", "api", f"{_CLOUD}kit.idempotency:_response", "before", "book", _order),
    Point("paying", "api", f"{_CLOUD}payments.service:begin", "before", "pay"),
    Point("opened", "api", _CASHIER, "after", "pay"),
    Point("notified", "api", f"{_CLOUD}payments.inbox:receive", "before", "pay"),
    Point("noticed", "worker", f"{_CLOUD}payments.inbox:handle", "before", "pay"),
    Point("paid", "worker", f"{_CLOUD}orders.money:settle", "after", "pay"),
    # the right to enter
    Point("granted", "worker", f"{_CLOUD}access.grants:ensure_grant", "after", "pay"),
    Point("published", "worker", f"{_CLOUD}store_channel.desired:published", "before", "pay"),
    Point("applied", "controller", f"{_TX}put_desired", "after", "pay"),
    Point("passed", "api", f"{_CLOUD}access.service:order_pass", "after", "pass"),
    # the door
    Point("asked", "api", f"{_CLOUD}devices.service:wait_for", "before", "enter"),
    Point("sending", "api worker", f"{_CLOUD}store_channel.link:CloudLink.publish", "before", "enter",
          _command),
    Point("sent", "api worker", f"{_CLOUD}store_channel.link:CloudLink.publish", "after", "enter",
          _command),
    Point("pulsing", "controller", f"{_BRIDGE}pulse", "before", "enter"),
    Point("pulsed", "controller", f"{_BRIDGE}pulse", "after", "enter"),
    Point("told", "controller", "controller.uplink:Uplink.send_ack", "before", "enter", _final),
    Point("answered", "api", f"{_CLOUD}store_channel.acks:heard", "before", "enter"),
    Point("unwritten", "api", f"{_CLOUD}store_channel.outcomes:settle", "before", "enter"),
    # the stay
    Point("in_outbox", "controller", "store_link.store_side:StoreSide.publish_events", "before",
          "enter", _batch("in_use")),
    Point("entered", "worker", f"{_CLOUD}store_channel.ingest:take", "after", "enter",
          lambda _cloud, _store, batch, *_: _batch("in_use")(batch)),
    Point("grace", "controller", f"{_TX}event", "before", "end", _stay("grace")),
    Point("off", "controller", f"{_BRIDGE}switch", "before", "over", _off),
    Point("usage", "controller", f"{_TX}event", "after", "over", _usage),
    Point("completed", "worker", f"{_CLOUD}orders.store_events:_complete", "after", "over"),
)  # fmt: skip
BY_NAME = {point.name: point for point in POINTS}
