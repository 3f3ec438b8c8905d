"""The first journal: desired, stays, commands, outbox, overrides, uses of grants."""

import functools
from json import dumps, loads

from tortoise import fields, migrations
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    initial = True

    operations = [  # noqa: RUF012
        ops.CreateModel(
            name="CommandEntry",
            fields=[
                (
                    "id",
                    fields.CharField(primary_key=True, unique=True, db_index=True, max_length=64),
                ),
                ("action", fields.CharField(max_length=16)),
                ("target", fields.CharField(max_length=64)),
                ("grant", fields.CharField(null=True, max_length=64)),
                ("by", fields.CharField(max_length=128)),
                ("state", fields.CharField(db_index=True, max_length=16)),
                ("reason", fields.CharField(null=True, max_length=32)),
                ("reply_to", fields.CharField(max_length=64)),
                ("received_at", fields.BigIntField()),
                (
                    "evidence",
                    fields.JSONField(
                        default=dict,
                        encoder=functools.partial(dumps, separators=(",", ":")),
                        decoder=loads,
                    ),
                ),
            ],
            options={
                "table": "command",
                "app": "journal",
                "pk_attr": "id",
                "table_description": "A command's way: received, executing, or its final state. Its id is never taken twice.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="DesiredEntry",
            fields=[
                ("id", fields.IntField(primary_key=True, unique=True, db_index=True)),
                ("epoch", fields.IntField()),
                ("rev", fields.IntField()),
                ("payload", fields.BinaryField()),
            ],
            options={
                "table": "desired",
                "app": "journal",
                "pk_attr": "id",
                "table_description": "The applied desired document, as the bytes that were signed: one row, id 1.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="GrantUse",
            fields=[
                (
                    "grant",
                    fields.CharField(primary_key=True, unique=True, db_index=True, max_length=64),
                ),
                ("uses", fields.IntField()),
                ("first_at", fields.BigIntField()),
            ],
            options={
                "table": "grant_use",
                "app": "journal",
                "pk_attr": "grant",
                "table_description": "How often a grant opened a door, counted by grant, so a renewed pass resets nothing.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="KeyValue",
            fields=[
                (
                    "key",
                    fields.CharField(primary_key=True, unique=True, db_index=True, max_length=32),
                ),
                ("value", fields.TextField(unique=False)),
            ],
            options={
                "table": "kv",
                "app": "journal",
                "pk_attr": "key",
                "table_description": "Small facts as JSON: journal id, acknowledged seq, the clock's last mark, boots.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="OutboxEntry",
            fields=[
                (
                    "seq",
                    fields.IntField(generated=True, primary_key=True, unique=True, db_index=True),
                ),
                ("id", fields.CharField(unique=True, max_length=26)),
                ("at", fields.BigIntField()),
                ("clock", fields.CharField(max_length=16)),
                ("kind", fields.CharField(max_length=16)),
                (
                    "body",
                    fields.JSONField(
                        encoder=functools.partial(dumps, separators=(",", ":")), decoder=loads
                    ),
                ),
                ("historical", fields.BooleanField(default=False)),
            ],
            options={
                "table": "outbox",
                "app": "journal",
                "pk_attr": "seq",
                "table_description": "An event. Its seq is SQLite's AUTOINCREMENT, contiguous (a rollback takes it back).",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="OverrideEntry",
            fields=[
                (
                    "binding",
                    fields.CharField(primary_key=True, unique=True, db_index=True, max_length=64),
                ),
                ("on", fields.BooleanField()),
                ("force", fields.BooleanField()),
                ("until", fields.BigIntField()),
                ("until_line", fields.FloatField()),
                ("command", fields.CharField(max_length=64)),
            ],
            options={
                "table": "override",
                "app": "journal",
                "pk_attr": "binding",
                "table_description": "Staff's will over a binding, until ``until_line`` on the store's line.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="StayEntry",
            fields=[
                (
                    "id",
                    fields.CharField(primary_key=True, unique=True, db_index=True, max_length=64),
                ),
                ("room", fields.CharField(max_length=64)),
                ("grant", fields.CharField(max_length=64)),
                ("state", fields.CharField(db_index=True, max_length=16)),
                ("starts", fields.BigIntField()),
                ("ends", fields.BigIntField()),
                ("opens", fields.BigIntField()),
                ("grace_s", fields.IntField()),
                ("cap_s", fields.IntField()),
                ("finished", fields.BooleanField(default=False)),
                ("since", fields.FloatField()),
                ("due", fields.FloatField(null=True)),
                ("stopped", fields.FloatField(null=True)),
                ("held", fields.BooleanField(default=False)),
                ("anchor", fields.CharField(null=True, max_length=16)),
                ("entered", fields.FloatField(null=True)),
                ("entered_at", fields.BigIntField(null=True)),
                ("taken_last", fields.FloatField(null=True)),
                ("over_since", fields.FloatField(null=True)),
                ("power_s", fields.FloatField(default=0.0)),
                ("power_since", fields.FloatField(null=True)),
                ("unsure_from", fields.FloatField(null=True)),
                ("off_due", fields.FloatField(null=True)),
                ("off_seen", fields.BooleanField(default=False)),
                (
                    "evidence",
                    fields.JSONField(
                        default=dict,
                        encoder=functools.partial(dumps, separators=(",", ":")),
                        decoder=loads,
                    ),
                ),
                ("ended_at", fields.BigIntField(null=True)),
            ],
            options={
                "table": "stay",
                "app": "journal",
                "pk_attr": "id",
                "table_description": "One stay as the machine of stay.py left it.",
            },
            bases=["Model"],
        ),
    ]
