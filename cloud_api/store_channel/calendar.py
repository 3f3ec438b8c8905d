"""Days off and weekends worked, as the store's document carries them: the calendar that prices go by, too."""

from __future__ import annotations

from datetime import date, timedelta

from cloud_api.pricing.calendar import HOLIDAY, WORKDAY, calendar_of
from cloud_api.stores.models import Store
from store_link.rules import CalendarDay


def days_of(store: Store, year: int) -> tuple[CalendarDay, ...]:
    """Of ``year`` and the next: whole years, so that a document does not change with every day."""
    look = calendar_of(store)
    first = date(year, 1, 1)
    length = (date(year + 2, 1, 1) - first).days
    found = [look(first + timedelta(days=offset)) for offset in range(length)]
    return tuple(
        CalendarDay.model_validate({"date": day.date.isoformat(), "kind": day.kind})
        for day in found
        if day.kind == HOLIDAY or (day.kind == WORKDAY and day.date.weekday() >= 5)
    )
