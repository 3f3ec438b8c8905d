"""The wire contract of cloud and store: topics, messages, signatures, passes, connections."""
