"""Telling people what happened: which event, to whom, in which words, by which channel, and how it went."""
