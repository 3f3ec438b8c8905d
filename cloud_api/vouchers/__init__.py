"""Vouchers: one right to a stay, used once (I3)."""
