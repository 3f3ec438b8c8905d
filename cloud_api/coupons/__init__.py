"""The house's own coupons: what they take off, who has them, and that each is used once."""
