"""Bank cards by UnionPay's online gateway (银联全渠道网关 5.1.0)."""
