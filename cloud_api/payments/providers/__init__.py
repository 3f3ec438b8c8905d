"""Payment providers behind the one port."""
