"""What a store's small computer does not have to hold (docs/store-computer.md: at most 70 MB)."""

from __future__ import annotations

import json
import subprocess
import sys

from device_profiles import Catalog
from tests.controller.world import IO, RELAY

PROBE = """
import json, sys
from controller import cli
cli.leave_out()
import controller.app, controller.logs, controller.settings
from firmware_bridge.bridge import FirmwareBridge
FirmwareBridge({})
print(json.dumps([name for name, module in sys.modules.items() if module is not None]))
"""
UNWANTED = {
    "httpx": "a store without a device on HTTP asks nobody over HTTP",
    "rich": "the log is JSON lines",
    "pygments": "the log is JSON lines",
    "greenlet": "nothing here runs in greenlets",
    "pydantic_settings": "six variables are read without it",
    "sqlalchemy": "the cloud's",
    "fastapi": "the cloud's",
    "cloud_api": "the cloud's",
    "firmware_bridge.virtual": "for tests and demonstrations",
    "firmware_bridge.installer": "for who puts a store up",
    "controller.enroll": "done once in a controller's life",
    "controller.local.server": "loaded where the installers' page is wanted",
    "cryptography.x509": "certificates are looked at by the doctor",
}


def test_a_controller_loads_nothing_that_it_does_not_use():
    """Bug: at rest it took 75 MB; an HTTP client and dozens of boards that no store has were part of it."""
    found = subprocess.run(
        [sys.executable, "-c", PROBE], capture_output=True, text=True, check=True, timeout=60
    )
    loaded = set(json.loads(found.stdout))
    assert "controller.app" in loaded
    assert {name: why for name, why in UNWANTED.items() if name in loaded} == {}


def test_only_the_profiles_that_are_asked_for_are_read():
    catalog = Catalog.built_in.__wrapped__(Catalog)
    assert catalog[RELAY].id == RELAY
    assert set(catalog._profiles) == {RELAY}
    assert len(catalog.profiles) > 40  # whoever wants all of them gets all of them
    assert catalog[IO] is catalog.profiles[IO]
