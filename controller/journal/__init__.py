"""What the store must not forget: one SQLite file, one writer, every commit on the disk."""
