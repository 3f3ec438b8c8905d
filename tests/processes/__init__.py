"""Many processes on one database and one broker, as an owner of many stores runs them."""
