"""Tests of cloud_api.webhooks."""
