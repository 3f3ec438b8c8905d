"""The controller: pure parts by properties, the whole on virtual boards and a real broker."""
