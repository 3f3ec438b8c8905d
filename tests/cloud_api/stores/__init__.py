"""Tests of cloud_api.stores."""
