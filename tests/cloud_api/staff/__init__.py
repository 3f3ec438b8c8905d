"""Tests of cloud_api.staff."""
