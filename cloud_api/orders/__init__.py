"""Bookings, from hold to completion."""
