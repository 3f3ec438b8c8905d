"""Cleaning: a task at the end of a stay, somebody who takes it, the door, what it pays."""
