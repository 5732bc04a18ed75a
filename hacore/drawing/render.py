"""The files in ``diagrams/``: written from the tables, and held against them.

What is compared is text: the dot source and the Markdown. An SVG depends on who drew it, so it is never compared; it
carries the hash of the dot source that it was drawn from, and is drawn anew when that is another one.
"""

from __future__ import annotations

import shutil
import sysconfig
from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path

import graphviz

from hacore.drawing import dot, markdown
from hacore.protocol.table import Table

SUFFIXES = {".dot", ".svg", ".md"}


class NoRendererError(RuntimeError):
    """Nothing is installed that turns dot source into a picture."""

    def __init__(self) -> None:
        super().__init__("found neither Graphviz's dot nor graphviz-pure: pip install hacore[diagrams]")


def generate(tables: Iterable[Table], directory: Path) -> list[Path]:
    """Bring a directory up to date: write what is missing or stale, remove what is left over. Returns what changed."""
    directory.mkdir(parents=True, exist_ok=True)
    wanted = texts(tables)
    changed = []
    for path, fault in _faults(wanted, directory):
        changed.append(path)
        if fault == "left over":
            path.unlink()
        elif path.suffix == ".svg":
            path.write_text(svg(wanted[f"{path.stem}.dot"]))
        else:
            path.write_text(wanted[path.name])
    return changed


def stale(tables: Iterable[Table], directory: Path) -> list[str]:
    """What ``generate`` would change, one line a file."""
    return [f"{path.name}: {fault}" for path, fault in _faults(texts(tables), directory)]


def texts(tables: Iterable[Table]) -> dict[str, str]:
    """Every generated file but the SVGs, by name."""
    tables = tuple(tables)
    pages = {f"{table.name}.md": markdown.page(table) for table in tables}
    sources = {f"{name}.dot": text for table in tables for name, text in dot.pictures(table).items()}
    return {"README.md": markdown.index(tables), **pages, **sources}


def svg(source: str) -> str:
    """Draw dot source. The result names the source by its hash, and not the program that drew it."""
    drawn = _draw(source)
    return f"<!-- {_stamp(source)} -->\n{drawn[drawn.index('<svg') :]}"


def renderer() -> str:
    """Graphviz's own ``dot``, or else ``graphviz-pure``, which pip puts beside the Python that runs this."""
    here = sysconfig.get_path("scripts")
    found = shutil.which("dot") or shutil.which("graphviz-pure") or shutil.which("graphviz-pure", path=here)
    if not found:
        raise NoRendererError
    return found


def _draw(source: str) -> str:
    """The package graphviz runs whatever its DOT_BINARY names, and has no parameter for it."""
    command = graphviz.backend.dot_command
    before, command.DOT_BINARY = command.DOT_BINARY, Path(renderer())
    try:
        return str(graphviz.Source(source).pipe(format="svg", encoding="utf-8", quiet=True))
    finally:
        command.DOT_BINARY = before


def _stamp(source: str) -> str:
    return f"{dot.GENERATED} sha256 of the dot source: {sha256(source.encode()).hexdigest()}"


def _faults(wanted: dict[str, str], directory: Path) -> Iterator[tuple[Path, str]]:
    """Each file to write or to remove, and why."""
    pictures = {f"{Path(name).stem}.svg": text for name, text in wanted.items() if name.endswith(".dot")}
    for name, text in sorted((wanted | pictures).items()):
        path = directory / name
        if not path.exists():
            yield path, "missing"
        elif _stamp(text) not in _read(path) if name in pictures else _read(path) != text:
            yield path, "stale"
    ours = (path for path in sorted(directory.glob("*.*")) if path.suffix in SUFFIXES and dot.GENERATED in _read(path))
    yield from ((path, "left over") for path in ours if path.name not in wanted | pictures)


def _read(path: Path) -> str:
    return path.read_text(errors="replace")
