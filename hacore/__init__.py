"""A high-availability core for Linux clusters whose protocol is data."""


def __getattr__(name: str) -> str:
    """``__version__``, looked up only when it is asked for: that takes longer than all else here."""
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415

    try:
        return version("hacore")
    except PackageNotFoundError:  # a checkout that is run without being installed
        return "unknown"
