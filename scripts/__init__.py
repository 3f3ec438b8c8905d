"""What keeps the repository in order; run as ``python -m scripts.…`` by the Makefile."""
