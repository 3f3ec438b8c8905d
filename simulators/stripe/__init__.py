"""The part of Stripe's API that takes cards on a page, as its own client library meets it. See README.md."""
