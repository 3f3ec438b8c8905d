"""Real parts for tests: PostgreSQL, an MQTT broker, a browser, free ports."""
