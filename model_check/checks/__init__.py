"""All checks of the protocol, each of which gives a :class:`model_check.outcome.Check`."""
