"""The database's schema over time: Alembic, for both engines, shipped inside the package."""
