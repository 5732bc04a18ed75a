"""A kernel and an initramfs that boots into Python and hacore: Debian's kernel, and the Python that runs this.

Nothing of it is installed. What takes long to make is kept in a cache (HACORE_VM_CACHE, else ~/.cache/hacore-vm);
hacore itself is packed anew each time. The kernel unpacks one archive after the other, so they are just put together.
"""

from __future__ import annotations

import compileall
import os
import re
import shutil
import stat
import subprocess
import sys
import sysconfig
import tempfile
from importlib.util import find_spec
from pathlib import Path

from tests.vm.guest import MODULES

ROOT = Path(__file__).parents[2]
CACHE = Path(os.environ.get("HACORE_VM_CACHE") or Path.home() / ".cache" / "hacore-vm")
PACKAGES = ("click", "msgspec", "six", "transitions")
"""What hacore needs on a node."""
LEFT_OUT = {
    "site-packages",
    "pydoc_data",
    "test",
    "tests",
    "idlelib",
    "tkinter",
    "turtledemo",
    "ensurepip",
    "lib2to3",
    "__pycache__",
}
PROGRAMS = ("/bin/sh", "/bin/sleep")


def kernel() -> tuple[Path, Path]:
    """Debian's newest kernel for real hardware, and the directory with its modules below lib/modules/RELEASE."""
    if not list(CACHE.glob("kernel/boot/vmlinuz-*")):
        names = _run("apt-cache", "search", "--names-only", r"^linux-image-6\.1\.0-[0-9]+-amd64$").split("\n")
        name = max((line.split()[0] for line in names if line), key=lambda it: int(re.findall(r"-(\d+)-", it)[0]))
        with tempfile.TemporaryDirectory() as scratch:
            _run("apt-get", "download", name, cwd=scratch)
            (package,) = Path(scratch).glob("*.deb")
            _run("dpkg", "-x", str(package), f"{scratch}/tree")
            CACHE.mkdir(parents=True, exist_ok=True)
            shutil.move(f"{scratch}/tree", CACHE / "kernel")
    (image,) = CACHE.glob("kernel/boot/vmlinuz-*")
    return image, CACHE / "kernel"


def initramfs(place: Path) -> None:
    """Write the archive, all but the base of it made now."""
    base = CACHE / f"base-{sys.implementation.cache_tag}.cpio"
    with tempfile.TemporaryDirectory() as scratch:
        if not base.exists():
            _base(Path(scratch) / "base")
            base.with_suffix(".new").write_bytes(archive(Path(scratch) / "base"))
            base.with_suffix(".new").rename(base)
        fresh = Path(scratch) / "fresh"
        _hacore(fresh)
        with place.open("wb") as file:
            file.write(base.read_bytes())
            file.write(archive(fresh))


def _base(tree: Path) -> None:
    """Python, its libraries, a shell, and what hacore needs."""
    for name in ("dev", "proc", "sys", "run", "tmp", "root"):
        (tree / name).mkdir(parents=True)
    python = Path(sys.executable).resolve()
    library = Path(sysconfig.get_path("stdlib"))
    shutil.copytree(library, _in(tree, library), ignore=_left_out)
    for name in PACKAGES:
        spec = find_spec(name)
        assert spec
        assert spec.origin
        if spec.submodule_search_locations:
            shutil.copytree(spec.submodule_search_locations[0], tree / "app" / name, ignore=_left_out)
        else:
            shutil.copy(spec.origin, tree / "app")
    compiled(tree)
    for file in (python, *map(Path, PROGRAMS), *tree.rglob("*.so")):
        for needed in (file, *_libraries(file)):
            if not needed.is_relative_to(tree) and not _in(tree, needed).exists():
                _in(tree, needed).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(needed, _in(tree, needed))  # the file itself, where this is a link
    programs = [str(file) for file in tree.rglob("*") if file.is_file() and file.read_bytes()[:4] == b"\x7fELF"]
    _run("strip", "--strip-unneeded", *programs)


def _hacore(tree: Path) -> None:
    """hacore, the program that the kernel starts, and the watchdogs' modules."""
    shutil.copytree(ROOT / "hacore", tree / "app" / "hacore", ignore=_left_out)
    compiled(tree)
    init = tree / "init"
    init.write_text(f"#!{Path(sys.executable).resolve()} -IS\n{(ROOT / 'tests/vm/guest.py').read_text()}")
    init.chmod(0o755)
    _, system = kernel()
    for name in {name for names in MODULES.values() for name in names}:
        (module,) = system.rglob(f"{name}.ko")
        copy = tree / module.relative_to(system)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(module, copy)
    (release,) = (tree / "lib" / "modules").iterdir()
    _run("depmod", "-b", str(tree), release.name)


def compiled(tree: Path) -> None:
    """Only the compiled modules: an emulated processor would take minutes to compile them."""
    assert compileall.compile_dir(tree, legacy=True, quiet=1, workers=1)
    for source in tree.rglob("*.py"):
        source.unlink()


def archive(tree: Path) -> bytes:
    """The directory as an archive in the format that the kernel unpacks (cpio, "newc"), all of it root's."""
    entries = [(str(path.relative_to(tree)), path.lstat().st_mode, path) for path in sorted(tree.rglob("*"))]
    pieces = [_entry("dev", stat.S_IFDIR | 0o755), _entry("dev/console", stat.S_IFCHR | 0o600, device=(5, 1))]
    for name, mode, path in entries:
        content = path.read_bytes() if stat.S_ISREG(mode) else b""
        pieces.append(_entry(name, mode, content))
    return b"".join([*pieces, _entry("TRAILER!!!", 0)])


def _entry(name: str, mode: int, content: bytes = b"", device: tuple[int, int] = (0, 0)) -> bytes:
    written = name.encode() + b"\0"
    numbers = (0, mode, 0, 0, 1, 0, len(content), 0, 0, *device, len(written), 0)
    head = b"070701" + b"".join(b"%08x" % number for number in numbers) + written
    return _padded(head) + _padded(content)


def _padded(piece: bytes) -> bytes:
    return piece + bytes(-len(piece) % 4)


def _libraries(file: Path) -> list[Path]:
    """The shared libraries that a program needs."""
    said = subprocess.run(["ldd", str(file)], capture_output=True, text=True, check=False).stdout
    return [Path(path) for path in re.findall(r"(/\S+) \(0x", said)]


def _left_out(_: str, names: list[str]) -> set[str]:
    return {name for name in names if name in LEFT_OUT or name.startswith(("config-", "_tkinter")) or "_test" in name}


def _in(tree: Path, path: Path) -> Path:
    return tree / path.relative_to("/")


def _run(*command: str, cwd: str | None = None) -> str:
    return subprocess.run(command, cwd=cwd, check=True, capture_output=True, text=True).stdout
