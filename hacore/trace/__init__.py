"""Traces: what a line says, how files are read and merged, and what can be told from them."""
