"""Tests of the cloud; one folder per package."""
