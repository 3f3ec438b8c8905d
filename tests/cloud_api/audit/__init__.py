"""Tests of cloud_api.audit."""
