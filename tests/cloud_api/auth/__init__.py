"""Tests of cloud_api.auth."""
