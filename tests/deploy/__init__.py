"""docker-compose.yml and deploy/ without an engine: the file is checked, its commands are run."""
