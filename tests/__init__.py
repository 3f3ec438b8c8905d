"""Tests mirror the packages they test; tests/support starts the real parts they stand on."""
