"""The cloud of Kaimen: booking, payment, doors and what stores report; an API with pages, and workers."""
