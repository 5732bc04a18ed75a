"""The master's round over documents: pure functions, no clock, no I/O."""
