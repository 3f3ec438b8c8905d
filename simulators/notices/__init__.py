"""The providers that carry notices, as small real servers: signatures checked, faults on demand."""
