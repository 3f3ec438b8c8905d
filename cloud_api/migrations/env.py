"""What Alembic runs: it gets an open connection from runner.py (or makes one for ``revision``)."""

from __future__ import annotations

from typing import Any, Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext
from sqlalchemy import Connection

from cloud_api.kit.columns import Encrypted, UTCDateTime
from cloud_api.migrations.tables import is_ours, metadata


def _render(kind: str, item: Any, autogen: AutogenContext) -> str | Literal[False]:
    """Our column types by their storage: a migration must not change when our code does."""
    imports = autogen.imports
    if kind == "type" and isinstance(item, UTCDateTime):
        imports.add("from cloud_api.migrations.types import INSTANT")
        return "INSTANT"
    if kind == "type" and isinstance(item, Encrypted):
        return "sa.Text()"
    if kind == "type" and type(item).__name__ == "AutoString":
        return f"sa.String({getattr(item, 'length', None) or ''})"
    if kind == "type" and type(item).__name__ == "JSON":
        imports.add("from cloud_api.migrations.types import JSON")
        return "JSON"
    return False


def _included(item: Any, name: str | None, kind: str, reflected: bool, other: Any) -> bool:
    only = context.config.attributes.get("tables")
    if kind == "table" and only is not None and name not in only:
        return False
    return is_ours(item, name, kind, reflected, other)


def run(connection: Connection) -> None:
    """Migrate over ``connection``, inside the caller's transaction."""
    context.configure(
        connection=connection,
        target_metadata=metadata(),
        render_as_batch=True,
        render_item=_render,
        compare_type=True,
        include_object=_included,
    )
    with context.begin_transaction():
        context.run_migrations()


_given = context.config.attributes.get("connection")
if _given is None:
    raise RuntimeError("run migrations with kaimen-cloud migrate, or through runner.upgrade")
run(_given)
