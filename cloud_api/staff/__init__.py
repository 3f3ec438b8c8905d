"""Who works for a merchant and what they may do."""
