"""Cards of stores abroad, by Stripe's own client library."""
