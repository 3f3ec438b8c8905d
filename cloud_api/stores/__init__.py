"""Stores, rooms and doors as customers see them."""
