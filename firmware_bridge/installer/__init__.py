"""What ``kaimen-bridge`` does for an installer who stands before a board with a laptop or a Pi."""
