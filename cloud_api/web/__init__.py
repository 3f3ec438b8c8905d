"""Pages, clients of the same services as the API."""
