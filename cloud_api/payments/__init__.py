"""Money on its way, one port for every provider."""
