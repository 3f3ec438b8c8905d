"""A business in numbers: rolled up by store and business day, each traceable to its rows."""
