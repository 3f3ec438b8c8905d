"""The least that an unlock over HTTP could be: one row committed, one MQTT round trip, one serial frame.

    python -m benchmarks.floor_unlock api DATABASE_URL MQTT_PORT HTTP_PORT
    python -m benchmarks.floor_unlock store MQTT_PORT SERIAL_DEVICE

No login, no throttle, no outbox, no signature, no journal, no TLS: what benchmarks/bench_unlock.py
measures against.
"""

from __future__ import annotations

import asyncio
import socket
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import paho.mqtt.client as mqtt
import serial
import uvicorn
from fastapi import FastAPI
from paho.mqtt.enums import CallbackAPIVersion
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine


def _frame(coil: int) -> bytes:
    """Board 1, function 5: flash ``coil`` (from 0) for 500 ms."""
    body = bytes([1, 5, 2, coil, 0, 5])
    crc = 0xFFFF
    for byte in body:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ 0xA001 if crc & 1 else crc >> 1
    return body + crc.to_bytes(2, "little")


def _client(topic: str) -> mqtt.Client:
    client = mqtt.Client(CallbackAPIVersion.VERSION2)

    def on_open(_client: mqtt.Client, _userdata: Any, sock: Any) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def on_connect(client: mqtt.Client, *_: Any) -> None:
        client.subscribe(topic, 1)

    client.on_socket_open = on_open
    client.on_connect = on_connect
    return client


def api(database_url: str, mqtt_port: int, http_port: int) -> None:
    """POST /unlock: commit, publish, wait for the answer."""
    engine = create_async_engine(database_url)
    client = _client("floor/up")
    waiting: dict[str, asyncio.Future[None]] = {}

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        loop = asyncio.get_running_loop()

        def heard(_client: mqtt.Client, _userdata: Any, message: mqtt.MQTTMessage) -> None:
            name = message.payload.decode()
            loop.call_soon_threadsafe(lambda: waiting.pop(name).set_result(None))

        client.on_message = heard
        client.connect("127.0.0.1", mqtt_port)
        client.loop_start()
        async with engine.begin() as connection:
            await connection.execute(text("CREATE TABLE IF NOT EXISTS floor (id text PRIMARY KEY)"))
        yield
        client.loop_stop()
        await engine.dispose()

    app = FastAPI(lifespan=lifespan)
    turn = 0

    @app.post("/unlock")
    async def unlock() -> dict[str, str]:
        nonlocal turn
        turn = (turn + 1) % 8
        name = f"{uuid.uuid4().hex}-{turn}"
        async with engine.begin() as connection:
            await connection.execute(text("INSERT INTO floor VALUES (:id)"), {"id": name})
        waiting[name] = answer = asyncio.get_running_loop().create_future()
        client.publish("floor/down", name, 1)
        await asyncio.wait_for(answer, 5)
        return {"state": "done"}

    uvicorn.run(app, port=http_port, log_level="error", access_log=False)


def store(mqtt_port: int, device: str) -> None:
    """A frame to the board for each message, then the answer."""
    port = serial.Serial(device, 9600, timeout=1)
    client = _client("floor/down")

    def heard(_client: mqtt.Client, _userdata: Any, message: mqtt.MQTTMessage) -> None:
        coil = int(message.payload.decode().rsplit("-", 1)[1])
        port.write(_frame(coil))
        port.read(8)
        client.publish("floor/up", message.payload, 1)

    client.on_message = heard
    client.connect("127.0.0.1", mqtt_port)
    client.loop_forever()


if __name__ == "__main__":
    if sys.argv[1] == "api":
        api(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
    else:
        store(int(sys.argv[2]), sys.argv[3])
