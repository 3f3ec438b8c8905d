"""Tests of cloud_api.backups."""
