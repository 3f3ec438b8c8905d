"""An SMS gateway that sends to a page instead of a phone: a real server with a signed interface."""
