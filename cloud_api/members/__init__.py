"""Customers as people: what is known of them, theirs to take along or to have deleted."""
