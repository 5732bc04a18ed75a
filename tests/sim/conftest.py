"""``pytest tests/sim --regenerate`` writes down anew what scenarios give: commit only what you understand."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--regenerate", action="store_true", help="write the events of tests/scenarios/*.json anew")
