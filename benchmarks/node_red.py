"""Node-RED doing the store's part without signature, expiry or journal: what owners build themselves.

    mqtt in  →  serial request (frame out, eight bytes back)  →  mqtt out

It is fetched by npm into a cache folder outside the project (KAIMEN_BENCH_CACHE, else
~/.cache/kaimen-bench), once; where npm or its registry is not there, ``Missing`` says so.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from tests.support.guard import GuardedProcess
from tests.support.ports import free_port

VERSION = "4.1.15"  # the last that runs on Node 20
SERIAL = "2.0.3"
DOWN, UP = "node-red/down", "node-red/up"
_FETCH_S = 300


class Missing(Exception):
    """Node-RED cannot be had here; the text says why."""


def start(folder: Path, mqtt_port: int, device: Path) -> GuardedProcess:
    """Start it on ``device``. It is ready when it answers on ``UP``. Raises Missing."""
    node = shutil.which("node")
    if node is None:
        raise Missing("there is no node")
    home = folder / "node-red"
    home.mkdir()
    (home / "flows.json").write_text(json.dumps(_flow(mqtt_port, device)))
    (home / "settings.js").write_text(
        "module.exports = {flowFile: 'flows.json', disableEditor: true, httpAdminRoot: false,"
        f" httpNodeRoot: false, uiHost: '127.0.0.1', uiPort: {free_port()},"
        f" nodesDir: {json.dumps(str(_fetched() / 'node_modules/node-red-node-serialport'))},"
        " logging: {console: {level: 'info'}}};\n"
    )
    program = _fetched() / "node_modules" / "node-red" / "red.js"
    return GuardedProcess(
        [node, program, "--userDir", home, "--settings", home / "settings.js"],
        log=home / "log",
        cwd=home,
    )


def _fetched() -> Path:
    base = os.environ.get("KAIMEN_BENCH_CACHE", "~/.cache/kaimen-bench")
    cache = Path(base).expanduser() / f"node-red-{VERSION}-{SERIAL}"
    if (cache / "complete").exists():
        return cache
    npm = shutil.which("npm")
    if npm is None:
        raise Missing("there is no npm")
    cache.mkdir(parents=True, exist_ok=True)
    wanted = [f"node-red@{VERSION}", f"node-red-node-serialport@{SERIAL}"]
    try:
        done = subprocess.run(
            [npm, "install", "--no-audit", "--no-fund", "--prefix", str(cache), *wanted],
            cwd=cache,
            capture_output=True,
            text=True,
            timeout=_FETCH_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Missing("npm did not fetch it in five minutes") from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise Missing(f"npm could not fetch it: {last[:200]}")
    (cache / "complete").touch()
    return cache


def _flow(mqtt_port: int, device: Path) -> list[dict[str, Any]]:
    return [
        {"id": "tab", "type": "tab", "label": "unlock"},
        {
            "id": "broker",
            "type": "mqtt-broker",
            "broker": "127.0.0.1",
            "port": str(mqtt_port),
            "clientid": "",
            "autoConnect": True,
            "usetls": False,
            "protocolVersion": "4",
            "keepalive": "60",
            "cleansession": True,
        },
        {
            "id": "port",
            "type": "serial-port",
            "name": "",
            "serialport": str(device),
            "serialbaud": "9600",
            "databits": "8",
            "parity": "none",
            "stopbits": "1",
            "waitfor": "",
            "newline": "8",  # bytes to wait for
            "bin": "bin",
            "out": "count",
            "addchar": "",
            "responsetimeout": "1000",
        },
        {
            "id": "in",
            "z": "tab",
            "type": "mqtt in",
            "topic": DOWN,
            "qos": "0",
            "datatype": "buffer",
            "broker": "broker",
            "inputs": 0,
            "wires": [["board"]],
        },
        {
            "id": "board",
            "z": "tab",
            "type": "serial request",
            "serial": "port",
            "wires": [["out"]],
        },
        {
            "id": "out",
            "z": "tab",
            "type": "mqtt out",
            "topic": UP,
            "qos": "0",
            "retain": "false",
            "broker": "broker",
            "wires": [],
        },
    ]
