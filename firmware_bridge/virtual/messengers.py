"""The virtual devices of a rig that are on no serial line: on a broker, or on HTTP."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from device_profiles import Catalog, ProfileError
from device_profiles.message_schema import HttpLocal
from firmware_bridge.virtual.http_device import HttpDevice
from firmware_bridge.virtual.mqtt_device import MqttDevice

Messenger = MqttDevice | HttpDevice


class DeviceEntry(BaseModel):
    """A device of the file: ``{id, profile, params: {prefix: plug-1}, broker: mqtt://127.0.0.1:1883}``.

    One on HTTP listens on ``tcp_port``, or on a free port.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(pattern=r"^[A-Za-z0-9_.-]+$")
    profile: str
    params: dict[str, bool | int | str] = {}
    broker: str = "mqtt://127.0.0.1:1883"
    tcp_port: int = Field(default=0, ge=0, le=65535)


def messenger(entry: DeviceEntry, catalog: Catalog) -> Messenger:
    """The device of ``entry``. Raises ProfileError for what is none, or for bad params."""
    profile = catalog[entry.profile]
    if profile.messages is None:
        raise ProfileError(f"{profile.id} hangs on a line; put it under lines")
    profile.settings({**profile.tried(), **entry.params})
    if isinstance(profile.messages.transport, HttpLocal):
        return HttpDevice(entry.id, profile, dict(entry.params), entry.tcp_port)
    return MqttDevice(entry.id, profile, dict(entry.params), entry.broker)


def described(device: Messenger) -> dict[str, Any]:
    """Its part of the rig's state, without the parameters, which may hold a key."""
    profile = device.device.profile
    return {
        "id": device.id,
        "profile": profile.id,
        "model": f"{profile.vendor} {profile.model}",
        "path": device.path,
        "fault": {"dead": device.dead, "slow_ms": device.slow_ms},
        "state": dict(device.device.state),
        "heard": len(device.device.heard),
    }


def meddle(device: Messenger, changes: dict[str, Any]) -> dict[str, Any]:
    """Change faults: ``dead``, ``slow_ms``. Raises ValueError for what is none."""
    for key, value in changes.items():
        if key == "dead" and type(value) is bool:
            device.dead = value
        elif key == "slow_ms" and type(value) is int and 0 <= value <= 60_000:
            device.slow_ms = value
        else:
            raise ValueError(
                f"{key} = {value!r} is no fault of {device.id}; there are dead, slow_ms"
            )
    return described(device)


def change(device: Messenger, state: dict[str, Any]) -> dict[str, Any]:
    """Change its state, as a hand at the door would. Raises ValueError for what it has not."""
    known = device.device.state
    for key in state:
        if key not in known:
            raise ValueError(f"{device.id} has no {key!r}; it has {', '.join(known) or 'nothing'}")
    device.set(**state)
    return described(device)
