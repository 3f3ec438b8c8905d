"""The store's own computer: knows the coming stays and runs the store when all else is down."""
