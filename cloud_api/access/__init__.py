"""The right to enter: grants, passes, PINs, doors."""
