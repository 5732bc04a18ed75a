"""Pictures and pages of the tables."""
