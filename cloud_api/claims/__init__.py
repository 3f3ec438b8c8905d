"""Room time, owned by one claim at a time."""
