"""Group-buy: campaigns, teams, what is bought there, and redeeming it."""
