"""What is done to many rows of a list at once, each told by itself."""
