"""A payment provider of its own (收银台): pages, signed API, signed callbacks, refunds, and faults on wish."""
