"""How long what a merchant no longer needs is kept, and the nightly clearing."""
