"""Tests of simulators.sms."""
