"""When an override was given, so that it keeps its length when true time becomes known."""

from __future__ import annotations

from tortoise import fields, migrations
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    """One column of ``override``; rows of before have none."""

    dependencies = [("journal", "0003_moves_and_entries")]  # noqa: RUF012

    initial = False

    operations = [  # noqa: RUF012
        ops.AddField("OverrideEntry", "since_line", fields.FloatField(null=True)),
    ]
