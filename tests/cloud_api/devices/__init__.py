"""Tests of cloud_api.devices."""
