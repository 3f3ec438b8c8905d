"""The MQTT side: desired documents, commands, what stores report."""
