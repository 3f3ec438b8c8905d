"""The cloud's databases, shop and cashier, for invariants that are about rooms and money."""

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
