"""The demonstration's past is written into both databases, by the clocks of the cloud's tests."""

from tests.cloud_api.conftest import (  # noqa: F401
    _vault,
    business,
    clocks,
    cloud,
    db,
    db_url,
    now,
    postgres_templates,
    settings,
    sqlite_templates,
    wire,
)
