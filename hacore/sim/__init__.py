"""Simulated hardware, on which the same daemons and tables run that run on nodes."""
