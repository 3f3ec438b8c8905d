"""Tests of cloud_api.members."""
