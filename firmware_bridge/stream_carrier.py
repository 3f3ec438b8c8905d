"""One device alone on its serial line, spoken to in frames of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from device_profiles.profile import Stream
from device_profiles.spoken import Scalar
from firmware_bridge.carrier import Ears, SpokenDevice, Told
from firmware_bridge.contract import Priority
from firmware_bridge.stream_port import Question, StreamPort

_STOP_WITHIN_S = 1.5


class StreamCarrier:
    """The way to one device by its own port at ``path``."""

    def __init__(self, device: SpokenDevice, path: str, monotonic: Callable[[], float]) -> None:
        assert device.profile.stream is not None
        self._stream: Stream = device.profile.stream
        self._names = {k: v for k, v in device.settings.params.items() if isinstance(v, int)}
        self._loop = asyncio.get_running_loop()
        self._ears: Ears | None = None
        self.port = StreamPort(
            path,
            device.settings,
            self._stream,
            monotonic,
            lambda text: self._from_thread(lambda ears: ears.line(text)),
            lambda there, why: self._from_thread(lambda ears: ears.there(there, why)),
            lambda data: self._from_thread(lambda ears: ears.frame(data)),
        )

    def _from_thread(self, tell: Callable[[Ears], None]) -> None:
        ears = self._ears
        if ears is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(tell, ears)

    async def start(self, ears: Ears) -> None:
        """Start the owner thread, which opens the port."""
        self._ears = ears
        self.port.start()

    async def stop(self) -> None:
        """End the owner thread."""
        await asyncio.to_thread(self.port.stop, _STOP_WITHIN_S)

    async def ask(
        self,
        command: str,
        params: Mapping[str, Scalar],
        priority: Priority,
        deadline: float,
        *,
        attempts: int = 1,
    ) -> Told:
        """Send a command of the profile; one marked ``once`` is never sent again."""
        spec = self._stream.commands[command]
        numbers = {**self._names, **{k: v for k, v in params.items() if isinstance(v, int)}}
        question = Question(
            spec.tx.render(numbers),
            spec.rx,
            deadline,
            1 if spec.once else attempts,
            spec.once,
            spec.refusal,
            numbers,
            priority,
        )
        exchange = await asyncio.wrap_future(self.port.submit(question))
        fields = None
        if exchange.result == "answered" and spec.rx is not None:
            fields = {**spec.rx.read(exchange.data)}
        return Told(exchange, fields)
