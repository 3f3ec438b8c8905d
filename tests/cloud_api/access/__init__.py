"""Tests of cloud_api.access."""
