"""What hangs in a store, its credentials, its reports and the commands to it."""
