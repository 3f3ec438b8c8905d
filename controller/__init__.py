"""The store's own computer: knows the coming stays and runs the store when all else is down."""

__version__ = "0.1.0"
