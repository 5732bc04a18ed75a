"""Imports point one way, and what decides does not touch the world."""

import ast
import sys
from collections.abc import Iterator
from importlib.util import resolve_name
from pathlib import Path

import pytest

MAY_IMPORT = {
    "hacore": {"hacore.cli"},
    "hacore.protocol": set(),
    "hacore.manager": {"hacore.protocol"},
    "hacore.daemons": {"hacore.protocol", "hacore.manager"},
    "hacore.devices": {"hacore.protocol"},
    "hacore.drawing": {"hacore.protocol"},
    "hacore.trace": {"hacore", "hacore.protocol", "hacore.manager", "hacore.daemons"},
    "hacore.runtime": {
        *("hacore", "hacore.protocol", "hacore.manager", "hacore.daemons", "hacore.devices", "hacore.trace"),
    },
    "hacore.sim": {"hacore.protocol", "hacore.manager", "hacore.daemons", "hacore.trace"},
    "hacore.cli": {
        *("hacore", "hacore.protocol", "hacore.manager", "hacore.daemons", "hacore.devices"),
        *("hacore.drawing", "hacore.trace", "hacore.runtime", "hacore.sim"),
    },
    "model_check": {"hacore.protocol"},
}
"""What a package may import of this project, besides itself. A package stands for its modules."""

MAY_IMPORT_LATE = {"hacore.cli": {"model_check"}}
"""And what only inside a function."""

PURE: dict[str, set[str]] = {
    "hacore.protocol": set(),
    "hacore.manager": {"msgspec"},
    "hacore.daemons": {"msgspec", "transitions"},
}
"""What a package that touches nothing may import from elsewhere, besides the standard library without the world."""

WORLD = {
    *("asyncio", "datetime", "logging", "multiprocessing", "os", "pathlib", "random", "secrets", "select", "shutil"),
    *("signal", "socket", "sqlite3", "subprocess", "tempfile", "threading", "time", "urllib", "uuid"),
}

ROOT = Path(__file__).parents[1]


def imports(node: ast.AST, package: str, late: bool = False) -> Iterator[tuple[int, str, bool]]:
    """Every import below ``node``: its line, the full name, and whether it is made inside a function."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from ((child.lineno, alias.name, late) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            source = resolve_name("." * child.level + (child.module or ""), package)
            yield from ((child.lineno, f"{source}.{alias.name}", late) for alias in child.names)
        else:
            yield from imports(child, package, late or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef))


def package_of(name: str) -> str:
    """The package of the table that a full name lies in, or the first part of a name from elsewhere."""
    parts = name.split(".")
    prefixes = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
    return next((prefix for prefix in prefixes if prefix in MAY_IMPORT), parts[0])


def allowed(importer: str, imported: str, late: bool) -> bool:
    if imported == importer:
        return True
    if imported in MAY_IMPORT:
        return imported in MAY_IMPORT[importer] | (MAY_IMPORT_LATE.get(importer, set()) if late else set())
    return importer not in PURE or imported in PURE[importer] | (sys.stdlib_module_names - WORLD)


def violations(root: Path) -> list[str]:
    """Every import under ``root`` that the tables above do not allow."""
    found = []
    for path in sorted(path for top in ("hacore", "model_check") for path in root.glob(f"{top}/**/*.py")):
        parent = ".".join(path.relative_to(root).parent.parts)
        importer = package_of(parent)
        for line, name, late in imports(ast.parse(path.read_text()), parent):
            if not allowed(importer, package_of(name), late):
                found.append(f"{path.relative_to(root)}:{line}: {importer} must not import {name}")
    return found


def test_imports_point_one_way() -> None:
    assert violations(ROOT) == []


def test_every_package_is_in_the_table() -> None:
    packages = {f"hacore.{path.parent.name}" for path in ROOT.glob("hacore/*/__init__.py")}
    assert packages <= MAY_IMPORT.keys()


FORBIDDEN = [
    ("hacore/protocol/crm.py", "import time"),
    ("hacore/protocol/crm.py", "from os import path"),
    ("hacore/protocol/crm.py", "import msgspec"),
    ("hacore/protocol/crm.py", "from hacore import manager"),
    ("hacore/protocol/crm.py", "from ..manager.rules import place"),
    ("hacore/protocol/crm.py", "def late():\n    from hacore.daemons import crm"),
    ("hacore/manager/place.py", "import hacore.daemons.crm"),
    ("hacore/daemons/crm.py", "from hacore.devices.store.sqlite import Store"),
    ("hacore/devices/store/sqlite.py", "from ...runtime import loop"),
    ("hacore/sim/world.py", "from hacore.runtime import loop"),
    ("hacore/cli/check.py", "import model_check.explore"),
    ("hacore/runtime/loop.py", "def late():\n    import model_check"),
    ("model_check/world.py", "from hacore.daemons import crm"),
]

PERMITTED = [
    ("hacore/protocol/crm.py", "from .table import Row\nfrom dataclasses import dataclass"),
    ("hacore/manager/place.py", "import msgspec\nfrom hacore.protocol import requests"),
    ("hacore/devices/store/sqlite.py", "import sqlite3\nfrom hacore.protocol.requests import Read"),
    ("hacore/cli/check.py", "def check():\n    from model_check.explore import explore"),
    ("hacore/cli/__init__.py", "from hacore import __version__"),
    ("model_check/world.py", "import numpy\nfrom hacore.protocol.lrm import TABLE\nfrom . import lang"),
]


def write(root: Path, name: str, source: str) -> None:
    (root / name).parent.mkdir(parents=True)
    (root / name).write_text(source)


@pytest.mark.parametrize(("name", "source"), FORBIDDEN)
def test_a_forbidden_import_is_found(tmp_path: Path, name: str, source: str) -> None:
    write(tmp_path, name, source)
    (violation,) = violations(tmp_path)
    assert violation.startswith(f"{name}:")


@pytest.mark.parametrize(("name", "source"), PERMITTED)
def test_a_permitted_import_is_not(tmp_path: Path, name: str, source: str) -> None:
    write(tmp_path, name, source)
    assert violations(tmp_path) == []
