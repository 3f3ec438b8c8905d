"""The least that taking events could be: a bare subscriber that copies what it hears into a table.

    python -m benchmarks.floor_ingest DATABASE_URL MQTT_PORT

No seal is checked, nothing is answered, nobody's order is kept, a message twice is a row twice; what
benchmarks/bench_ingest.py measures against.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import asyncpg
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

TABLE = (
    "CREATE TABLE floor_event (id text, store text, journal text, seq int, kind text, body jsonb)"
)
COLUMNS = ("id", "store", "journal", "seq", "kind", "body")
FILTER = "km/1/+/+/up/event"


async def run(dsn: str, mqtt_port: int) -> None:
    """Copy whatever has arrived, then whatever arrived meanwhile."""
    connection = await asyncpg.connect(dsn)
    await connection.execute(TABLE)
    loop = asyncio.get_running_loop()
    arrived: list[bytes] = []
    some = asyncio.Event()

    def heard(_client: mqtt.Client, _userdata: Any, message: mqtt.MQTTMessage) -> None:
        arrived.append(bytes(message.payload))
        loop.call_soon_threadsafe(some.set)

    def connected(client: mqtt.Client, *_: Any) -> None:
        client.subscribe(FILTER, 1)

    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    client.on_connect = connected
    client.on_subscribe = lambda *_: print("listening", flush=True)
    client.on_message = heard
    client.connect("127.0.0.1", mqtt_port)
    client.loop_start()
    while True:
        await some.wait()
        some.clear()
        taken, arrived[:] = list(arrived), []
        rows = []
        for raw in taken:
            batch = json.loads(raw[raw.index(b"\n") + 1 :])
            rows += [
                (one["id"], batch["store"], batch["journal"], one["seq"], one["kind"],
                 json.dumps(one["body"]))
                for one in batch["events"]
            ]  # fmt: skip
        await connection.copy_records_to_table("floor_event", records=rows, columns=COLUMNS)


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1], int(sys.argv[2])))
