"""One device on the store's own broker.

A command that acts is published with QoS 0, because a broker keeps QoS 1 for a device that is away and
delivers it when it comes back; and it is not published at all while the device is known to be away. It is
never retained. A retained message is never an answer and never an event.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from device_profiles.message_schema import MessageCommandDoc, MqttLocal
from device_profiles.profile import Messages
from device_profiles.spoken import (
    Names,
    Scalar,
    ValueFault,
    filled_text,
    judge,
    outgoing,
    parsed,
    point_at,
)
from firmware_bridge.bus import Exchange, Result
from firmware_bridge.carrier import Ears, SpokenDevice, Told, tried
from firmware_bridge.contract import Priority
from firmware_bridge.local_broker import Hear, LocalBroker
from firmware_bridge.port import PortGone

_AWAY = "the device is not on the broker"


@dataclass(slots=True)
class _Asked:
    spec: MessageCommandDoc
    names: Names
    topic: str
    answer: asyncio.Future[tuple[str, str, Any, bytes]] = field(repr=False)


class MqttCarrier:
    """The way to one device through ``broker``."""

    def __init__(
        self, device: SpokenDevice, broker: LocalBroker, monotonic: Callable[[], float]
    ) -> None:
        assert device.profile.messages is not None
        assert isinstance(device.profile.messages.transport, MqttLocal)
        self._messages: Messages = device.profile.messages
        self._pace: MqttLocal = device.profile.messages.transport
        self._broker = broker
        self._monotonic = monotonic
        self._seq = itertools.count(1)
        self._names: Names = {
            **device.settings.params,
            "reply_to": f"{broker.name}/{device.config.id}",
        }
        self._asked: list[_Asked] = []
        self._ears: Ears | None = None
        self._end: Callable[[], None] | None = None
        self._away = self._pace.availability is not None  # until it says that it is there
        self._free_at = 0.0

    async def start(self, ears: Ears) -> None:
        """Subscribe to what the device says."""
        self._ears = ears
        topics: dict[str, Hear] = {}
        for command in self._messages.commands.values():
            if command.answer is not None and command.answer.topic is not None:
                topics[self._topic(command.answer.topic)] = self._heard
        for report in self._messages.reports.values():
            topics[self._topic(report.topic)] = self._heard
        if self._pace.availability is not None:
            topics[self._topic(self._pace.availability.topic)] = self._heard
        self._broker.start()
        self._end = self._broker.listen(topics, self._stands)

    async def stop(self) -> None:
        """Listen no more."""
        if self._end is not None:
            self._end()
            self._end = None

    def _topic(self, template: str) -> str:
        return filled_text(template, self._names)

    # -- asking -----------------------------------------------------------------------------------

    async def ask(
        self,
        command: str,
        params: Mapping[str, Scalar],
        priority: Priority,
        deadline: float,
        *,
        attempts: int = 1,
    ) -> Told:
        """Publish a command of the profile and wait for its answer. Nothing queues before it: answers
        are told apart by what they say, so an unlock waits for nobody.
        """
        spec = self._messages.commands[command]

        async def attempt() -> Told:
            gap_s = self._free_at - time.monotonic()
            if gap_s > 0:
                await asyncio.sleep(gap_s)
            if self._monotonic() >= deadline:
                return Told(Exchange("expired", "the deadline passed before it was sent"))
            now = {"seq": next(self._seq), "now_ms": time.time_ns() // 1_000_000}
            return await self._once(spec, {**self._names, **params, **now})

        return await tried(spec.once, attempts, lambda: self._monotonic() < deadline, attempt)

    async def _once(self, spec: MessageCommandDoc, names: Names) -> Told:
        out = outgoing(spec, names)
        topic = out.topic or ""
        begun = time.monotonic()

        def ended(result: Result, detail: str, rx: bytes = b"", *, sent: bool = True) -> Exchange:
            took_ms = round((time.monotonic() - begun) * 1000, 2)
            size = len(out.payload) if sent else 0
            return Exchange(
                result, detail, tx=topic.encode(), rx=rx[:200], sent=max(size, int(sent)),
                attempts=int(sent), took_ms=took_ms,
            )  # fmt: skip

        if spec.once and self._away:
            return Told(ended("port_gone", _AWAY, sent=False))
        asked = None
        if spec.answer is not None and spec.answer.topic is not None:
            future = asyncio.get_running_loop().create_future()
            asked = _Asked(spec, names, filled_text(spec.answer.topic, names), future)
            self._asked.append(asked)
        try:
            self._broker.publish(topic, out.payload, 0 if spec.once else self._pace.qos)
            self._free_at = time.monotonic() + self._pace.min_gap_ms / 1000
            if asked is None:
                return Told(ended("answered", "sent; it gives no answer"))
            async with asyncio.timeout(self._pace.response_timeout_ms / 1000):
                verdict, why, document, payload = await asked.answer
        except PortGone as gone:
            return Told(ended("port_gone", str(gone), sent=gone.written > 0))
        except TimeoutError:
            return Told(ended("no_answer", "no answer"))
        finally:
            if asked is not None:
                self._asked.remove(asked)
        if verdict == "lost":
            return Told(ended("port_gone", why))
        if verdict == "refused":
            return Told(ended("refused", why, payload), document)
        return Told(ended("answered", "", payload), document)

    # -- hearing ----------------------------------------------------------------------------------

    def _stands(self, up: bool, why: str) -> None:
        if not up:
            self._away = self._pace.availability is not None
            for asked in self._asked:
                if not asked.answer.done():
                    asked.answer.set_result(("lost", why, None, b""))
        if self._ears is not None and (not up or not self._away):
            self._ears.there(up, why)

    def _heard(self, topic: str, payload: bytes, retained: bool) -> None:
        if self._ears is None:
            return
        available = self._pace.availability
        if available is not None and topic == self._topic(available.topic):
            self._available(payload)
        if not retained:
            self._answered(topic, payload)
        for name, report in self._messages.reports.items():
            if topic == self._topic(report.topic):
                try:
                    document = parsed(payload, text=report.text)
                except ValueFault:
                    continue  # what cannot be read tells nothing, and the old value grows stale
                self._ears.said(name, document, retained=retained)

    def _available(self, payload: bytes) -> None:
        available, ears = self._pace.availability, self._ears
        assert available is not None
        assert ears is not None
        try:
            said = parsed(payload, text=available.json_ is None)
            word = str(point_at(said, available.json_ or ""))
        except ValueFault:
            return
        if word == available.up:
            self._away = False
            ears.there(True, "")
        elif word == available.down:
            self._away = True
            ears.there(False, _AWAY)

    def _answered(self, topic: str, payload: bytes) -> None:
        for asked in self._asked:
            answer = asked.spec.answer
            if asked.topic != topic or asked.answer.done() or answer is None:
                continue
            try:
                document = parsed(payload, text=answer.text)
            except ValueFault:
                continue
            verdict, why = judge(answer, document, asked.names)
            if verdict != "other":
                asked.answer.set_result((verdict, why, document, payload))
                return
