"""The wire: every codec against truncation, bit flips and noise; the links against real brokers."""
