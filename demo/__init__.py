"""The whole of Kaimen on one machine: broker, cloud, a store with virtual boards, a cashier, a phone."""
