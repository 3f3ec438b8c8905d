"""Doors and meters: what they showed during a stay."""

from __future__ import annotations

from tortoise import fields, migrations
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    """Five columns of ``stay``; stays of before have none of it."""

    dependencies = [("journal", "0001_initial")]  # noqa: RUF012

    initial = False

    operations = [  # noqa: RUF012
        ops.AddField("StayEntry", "door_was", fields.BooleanField(null=True)),
        ops.AddField("StayEntry", "opened_last", fields.FloatField(null=True)),
        ops.AddField("StayEntry", "door_blind", fields.FloatField(null=True)),
        ops.AddField("StayEntry", "energy_last", fields.FloatField(null=True)),
        ops.AddField("StayEntry", "energy_wh", fields.FloatField(null=True)),
    ]
