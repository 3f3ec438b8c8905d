"""What time costs, explained line by line."""
