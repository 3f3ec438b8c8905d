"""Telling other software what happened: signed, repeated until it is taken, written down."""
