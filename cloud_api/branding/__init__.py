"""Branding: how a merchant looks to its guests."""
