"""Stored value 储值: what members paid in advance, what was given on top, and every movement of it."""
