"""The least that a store's part of an unlock could be: a message, a frame and its echo, a message.

    python -m benchmarks.floor_store MQTT_PORT SERIAL_DEVICE

Bare paho and bare bytes: no signature, no expiry, no journal, no poll, no second door. The frame comes
in the message. What benchmarks/bench_store.py measures against.
"""

from __future__ import annotations

import os
import select
import socket
import sys
import tty
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

DOWN, UP = "floor/down", "floor/up"
ECHO = 8  # a board answers a pulse with the same eight bytes


def main() -> None:
    """Serve until killed."""
    port = os.open(sys.argv[2], os.O_RDWR | os.O_NOCTTY)
    tty.setraw(port)
    client = mqtt.Client(CallbackAPIVersion.VERSION2)

    def on_open(_client: mqtt.Client, _userdata: Any, sock: Any) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def heard(_client: mqtt.Client, _userdata: Any, message: mqtt.MQTTMessage) -> None:
        os.write(port, message.payload)
        echo = b""
        while len(echo) < ECHO and select.select([port], [], [], 1.0)[0]:
            echo += os.read(port, ECHO)
        client.publish(UP, echo, 1)

    def on_connect(client: mqtt.Client, *_: Any) -> None:
        client.subscribe(DOWN, 1)

    client.on_socket_open = on_open
    client.on_connect = on_connect
    client.on_message = heard
    client.connect("127.0.0.1", int(sys.argv[1]))
    client.loop_forever()


if __name__ == "__main__":
    main()
