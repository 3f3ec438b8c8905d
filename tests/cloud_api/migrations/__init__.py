"""Tests of cloud_api.migrations."""
