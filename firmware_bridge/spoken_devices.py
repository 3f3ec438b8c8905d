"""All spoken devices of a store, by board id, and the way to each of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from device_profiles.message_schema import HttpLocal
from device_profiles.profile import Profile, ProfileError
from firmware_bridge.carrier import Carrier, SpokenDevice
from firmware_bridge.contract import BoardConfig, BoardEvent
from firmware_bridge.local_broker import LocalBroker
from firmware_bridge.mqtt_carrier import MqttCarrier
from firmware_bridge.reach import port_to, scheme
from firmware_bridge.spoken import SpokenWatch
from firmware_bridge.stream_carrier import StreamCarrier


def device(config: BoardConfig, profile: Profile) -> SpokenDevice | None:
    """``config`` as a spoken device; None where the profile is of a Modbus board.

    Raises ProfileError for bad parameters.
    """
    if profile.stream is None and profile.messages is None:
        return None
    return SpokenDevice(config, profile, profile.settings(config.params))


class SpokenDevices:
    """The spoken devices. ``ports`` are addresses by name, as in ``reach``."""

    def __init__(
        self,
        ports: Mapping[str, str],
        unusable: Mapping[str, str],
        monotonic: Callable[[], float],
        changed: Callable[[str], None],
        emit: Callable[[BoardEvent], None],
    ) -> None:
        self._ports = ports
        self._unusable = unusable
        self._monotonic = monotonic
        self._changed = changed
        self._emit = emit
        self._running = False
        self._brokers: dict[str, LocalBroker] = {}
        self.watches: dict[str, SpokenWatch] = {}

    async def start(self) -> None:
        """Open all ways; missing ones are retried."""
        self._running = True
        await asyncio.gather(*(watch.start() for watch in self.watches.values()))

    async def stop(self) -> None:
        """Close all ways; sends nothing."""
        self._running = False
        await asyncio.gather(*(watch.stop() for watch in self.watches.values()))
        await asyncio.gather(*(broker.stop() for broker in self._brokers.values()))

    async def configure(self, wanted: Mapping[str, SpokenDevice]) -> None:
        """Make the set of devices be ``wanted``; unchanged ones go on."""
        gone = [
            key
            for key, watch in self.watches.items()
            if key not in wanted or wanted[key].config != watch.device.config
        ]
        await asyncio.gather(*(self.watches.pop(key).stop() for key in gone))
        for key, installed in wanted.items():
            if key not in self.watches:
                self.watches[key] = watch = self._watch(installed)
                if self._running:
                    await watch.start()

    def _watch(self, installed: SpokenDevice) -> SpokenWatch:
        name = installed.config.port
        carrier, why = None, f"this controller has no port named {name!r}"
        if name in self._unusable:
            why = self._unusable[name]
        elif name in self._ports:
            try:
                carrier, why = self._carrier(installed, self._ports[name]), ""
            except ProfileError as error:
                why = f"port {name}: {error}"
        return SpokenWatch(installed, carrier, why, self._monotonic, self._changed, self._emit)

    def _carrier(self, installed: SpokenDevice, where: str) -> Carrier:
        if installed.profile.stream is not None:
            port_to(where)
            return StreamCarrier(installed, where, self._monotonic)
        messages = installed.profile.messages
        if messages is not None and isinstance(messages.transport, HttpLocal):
            if scheme(where) not in ("http", "https"):
                raise ProfileError(
                    f"{where} is no device on HTTP; write {messages.transport.port_example}"
                )
            # A client for HTTP is 3 MB that a store without such a device has a better use for.
            from firmware_bridge.http_carrier import HttpCarrier

            return HttpCarrier(installed, where, self._monotonic)
        if scheme(where) != "mqtt":
            raise ProfileError(f"{where} is no broker; write mqtt://127.0.0.1:1883")
        if where not in self._brokers:
            self._brokers[where] = LocalBroker(where)
        return MqttCarrier(installed, self._brokers[where], self._monotonic)


def check_alone(devices: Mapping[str, SpokenDevice], configs: list[BoardConfig]) -> None:
    """Raises ProfileError where a device that must be alone on its line is not."""
    for installed in devices.values():
        if installed.profile.stream is None:
            continue
        for other in configs:
            if other.port == installed.config.port and other.id != installed.config.id:
                raise ProfileError(
                    f"{installed.config.id} must be alone on {other.port}, but {other.id} is there too"
                )
