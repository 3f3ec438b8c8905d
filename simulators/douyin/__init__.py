"""A simulator of Douyin life services' goodlife API for verifying vouchers."""
