"""Who did what, when, why and from where: written once, chained, never changed."""
