"""Copies of everything that cannot be had again: made, kept, checked, put back."""
