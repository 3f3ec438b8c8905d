"""The cloud's databases and shop, for races."""

from __future__ import annotations

from tests.cloud_api.conftest import (
    _vault,
    business,
    clocks,
    cloud,
    db,
    db_url,
    house,
    now,
    postgres_templates,
    settings,
    shop,
    sqlite_templates,
    till,
    wire,
)

__all__ = [
    "_vault",
    "business",
    "clocks",
    "cloud",
    "db",
    "db_url",
    "house",
    "now",
    "postgres_templates",
    "settings",
    "shop",
    "sqlite_templates",
    "till",
    "wire",
]
