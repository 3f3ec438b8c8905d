"""What every package stands on and that is no business itself: money, clocks, ids, errors, database."""
