"""Room changes, power kept in overtime, and when a grant was used last."""

from __future__ import annotations

from tortoise import fields, migrations
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    """Three columns of ``stay``, one of ``grant_use``; rows of before have none of it."""

    dependencies = [("journal", "0002_signs_of_guests")]  # noqa: RUF012

    initial = False

    operations = [  # noqa: RUF012
        ops.AddField("StayEntry", "keep", fields.BooleanField(null=True)),
        ops.AddField("StayEntry", "former", fields.CharField(max_length=64, null=True)),
        ops.AddField("StayEntry", "former_until", fields.FloatField(null=True)),
        ops.AddField("GrantUse", "last_at", fields.BigIntField(null=True)),
    ]
