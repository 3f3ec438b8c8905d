"""The installers' page on the store's own network: what hangs here, what it says, and a self-test."""
