"""Merchants: whose stores they are."""
