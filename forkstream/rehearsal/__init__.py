"""Rehearsals: a fork's real chain over given events, at once and without its source, and what became of each of them."""
