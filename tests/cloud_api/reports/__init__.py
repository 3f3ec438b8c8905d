"""Tests of cloud_api.reports."""
