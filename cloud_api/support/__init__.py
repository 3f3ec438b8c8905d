"""Reviews after a stay; inquiries and complaints as tickets, answered by customer service."""
