"""Column types as they were when migrations were written; they never change with our code."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

INSTANT = sa.DateTime(timezone=True).with_variant(sa.String(27), "sqlite")
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
SEQUENCE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
