"""A high-availability core for Linux clusters whose protocol is data."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("hacore")
except PackageNotFoundError:  # a checkout that is run without being installed
    __version__ = "unknown"
