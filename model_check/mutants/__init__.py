"""Mutants: the tables with one thing changed, and what becomes of each."""
