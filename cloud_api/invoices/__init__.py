"""Invoices that guests ask for: who it is made out to, until somebody in the house has made it out."""
