"""Tables of the journal. Instants are business milliseconds; ``line`` is the store's own monotonic
line in seconds (see timekeeper.py), which goes on across restarts and clock steps.
"""

from typing import Any

from tortoise import fields
from tortoise.models import Model


class DesiredEntry(Model):
    """The applied desired document, as the bytes that were signed: one row, id 1."""

    id = fields.IntField(primary_key=True, generated=False)
    epoch = fields.IntField()
    rev = fields.IntField()
    payload = fields.BinaryField()

    class Meta:
        """Name of the table."""

        table = "desired"


class StayEntry(Model):
    """One stay as the machine of stay.py left it."""

    id = fields.CharField(max_length=64, primary_key=True)
    room = fields.CharField(max_length=64)
    grant = fields.CharField(max_length=64)
    state = fields.CharField(max_length=16, db_index=True)
    starts = fields.BigIntField()
    ends = fields.BigIntField()
    opens = fields.BigIntField()
    grace_s = fields.IntField()
    cap_s = fields.IntField()
    finished = fields.BooleanField(default=False)
    since = fields.FloatField()  # line: when the state began
    due = fields.FloatField(null=True)  # line: end of paid time; null before the first unlock
    stopped = fields.FloatField(null=True)  # line: ended before ``due`` by guest or staff
    held = fields.BooleanField(default=False)  # power carried over from the stay before
    anchor = fields.CharField(max_length=16, null=True)  # clock quality when ``due`` was set
    entered = fields.FloatField(null=True)  # line
    entered_at = fields.BigIntField(null=True)  # ms
    taken_last = fields.FloatField(null=True)  # line: when evidence last showed the room taken
    over_since = fields.FloatField(null=True)  # line: start of overtime
    power_s = fields.FloatField(default=0.0)
    power_since = fields.FloatField(null=True)  # line
    unsure_from = fields.FloatField(null=True)  # line: elapsed time is unknown from here
    off_due = fields.FloatField(null=True)  # line: when table power had to be off
    off_seen = fields.BooleanField(default=False)
    evidence: fields.Field[dict[str, Any]] = fields.JSONField(default=dict)
    ended_at = fields.BigIntField(null=True)  # ms
    door_was = fields.BooleanField(null=True)  # open, as the contact last said
    opened_last = fields.FloatField(null=True)  # line: when the door last stood open
    door_blind = fields.FloatField(null=True)  # line: when the contact last could not be read
    energy_last = fields.FloatField(null=True)  # Wh on the meter
    energy_wh = fields.FloatField(null=True)  # Wh since the first unlock
    keep = fields.BooleanField(null=True)  # power stays on in overtime
    former = fields.CharField(max_length=64, null=True)  # room that the guests were moved out of
    former_until = fields.FloatField(null=True)  # line: so long it keeps its light

    class Meta:
        """Name of the table."""

        table = "stay"


class CommandEntry(Model):
    """A command's way: received, executing, opened, or its final state. Its id is never taken twice."""

    id = fields.CharField(max_length=64, primary_key=True)
    action = fields.CharField(max_length=16)
    target = fields.CharField(max_length=64)
    grant = fields.CharField(max_length=64, null=True)
    by = fields.CharField(max_length=128)
    state = fields.CharField(max_length=16, db_index=True)
    reason = fields.CharField(max_length=32, null=True)
    reply_to = fields.CharField(max_length=64)
    received_at = fields.BigIntField()  # wire ms
    evidence: fields.Field[dict[str, Any]] = fields.JSONField(default=dict)

    class Meta:
        """Name of the table."""

        table = "command"


class OutboxEntry(Model):
    """An event. Its seq is SQLite's AUTOINCREMENT, contiguous (a rollback takes it back)."""

    seq = fields.IntField(primary_key=True)
    id = fields.CharField(max_length=26, unique=True)
    at = fields.BigIntField()
    clock = fields.CharField(max_length=16)
    kind = fields.CharField(max_length=16)
    body: fields.Field[dict[str, Any]] = fields.JSONField()
    historical = fields.BooleanField(default=False)

    class Meta:
        """Name of the table."""

        table = "outbox"


class KeyValue(Model):
    """Small facts as JSON: journal id, acknowledged seq, the clock's last mark, boots."""

    key = fields.CharField(max_length=32, primary_key=True)
    value = fields.TextField()

    class Meta:
        """Name of the table."""

        table = "kv"


class GrantUse(Model):
    """How often a grant opened a door, counted by grant, so a renewed pass resets nothing."""

    grant = fields.CharField(max_length=64, primary_key=True)
    uses = fields.IntField()
    first_at = fields.BigIntField()
    last_at = fields.BigIntField(null=True)  # ms; null: the last one opened nothing

    class Meta:
        """Name of the table."""

        table = "grant_use"


class OverrideEntry(Model):
    """Staff's will over a binding, until ``until_line`` on the store's line."""

    binding = fields.CharField(max_length=64, primary_key=True)
    on = fields.BooleanField()
    force = fields.BooleanField()
    until = fields.BigIntField()
    until_line = fields.FloatField()
    command = fields.CharField(max_length=64)
    since_line = fields.FloatField(null=True)  # when it was given

    class Meta:
        """Name of the table."""

        table = "override"
