"""Files stay small, say what they are for, and never ask the wall clock."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

MAX_LINES = 400

WALL_CLOCK = {
    *("time.time", "time.time_ns", "time.localtime", "time.gmtime", "time.ctime", "time.CLOCK_REALTIME"),
    *("datetime.now", "datetime.utcnow", "datetime.today", "date.today"),
}
"""It jumps, and it can be set. Durations are measured on CLOCK_BOOTTIME."""

MAY_ASK_WALL_CLOCK: set[str] = set()
"""Files that tell people what time it is, and decide nothing by it."""

ROOT = Path(__file__).parents[1]
FILES = sorted(
    path
    for top in ("hacore", "model_check")
    for path in (ROOT / top).rglob("*")
    if path.is_file() and "__pycache__" not in path.parts
)
MODULES = [path for path in FILES if path.suffix == ".py"]


def wall_clock(source: str) -> Iterator[str]:
    """Every mention of the wall clock in a module."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute):
            name = ".".join(ast.unparse(node).split(".")[-2:])
            if name in WALL_CLOCK:
                yield f"{node.lineno}: {name}"
        elif isinstance(node, ast.ImportFrom):
            yield from (
                f"{node.lineno}: {node.module}.{alias.name}"
                for alias in node.names
                if f"{node.module}.{alias.name}" in WALL_CLOCK
            )


def test_files_are_small() -> None:
    lines = {str(path.relative_to(ROOT)): path.read_bytes().count(b"\n") for path in FILES}
    assert {name: count for name, count in lines.items() if count > MAX_LINES} == {}


def test_modules_say_what_they_are_for() -> None:
    sources = {path.relative_to(ROOT): path.read_text() for path in MODULES}
    silent = [str(path) for path, source in sources.items() if source and not ast.get_docstring(ast.parse(source))]
    assert silent == []


def test_nothing_asks_the_wall_clock() -> None:
    asked = [
        f"{path.relative_to(ROOT)}:{mention}"
        for path in MODULES
        if path.is_relative_to(ROOT / "hacore") and str(path.relative_to(ROOT)) not in MAY_ASK_WALL_CLOCK
        for mention in wall_clock(path.read_text())
    ]
    assert asked == []


@pytest.mark.parametrize(
    ("source", "mentions"),
    [
        ("import time\nnow = time.time()", ["2: time.time"]),
        ("from time import time", ["1: time.time"]),
        ("import datetime\nnow = datetime.datetime.now()", ["2: datetime.now"]),
        ("import time\nnow = time.clock_gettime(time.CLOCK_BOOTTIME)", []),
        ('"""Not time.time()."""', []),
    ],
)
def test_the_wall_clock_is_found(source: str, mentions: list[str]) -> None:
    assert list(wall_clock(source)) == mentions
