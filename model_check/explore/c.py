"""The fast engine: the model as C, compiled when it is first needed, and kept.

Needs a C compiler, ``cc`` or what ``$CC`` names. Libraries are kept in ``$XDG_CACHE_HOME/hacore`` by the hash of their
text, so a model is compiled once, whatever the initial states, limits and invariants of later runs.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import shlex
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from model_check.explore.c_source import source
from model_check.explore.result import Found, Progress, State, Task, Words
from model_check.expr import Expr
from model_check.ground import Ground

FLAGS = ("-std=gnu11", "-O1", "-shared", "-fPIC", "-pthread")
"""-O2 takes twice as long, and what it makes is not faster."""
MOST_THREADS = 64
WATCH_S = 1.0
"""How often progress is told."""
U64, U8 = ctypes.c_uint64, ctypes.c_uint8
COUNTS, BYTES = ctypes.POINTER(U64), ctypes.POINTER(U8)
NOTHING = (1 << 64) - 1
"""The number of a finding that there is not."""


class CompilerError(RuntimeError):
    """The C compiler is missing, or refused."""


def compiler() -> list[str] | None:
    """The command of the C compiler, if there is any."""
    command = shlex.split(os.environ.get("CC", "cc"))
    return command if command and shutil.which(command[0]) else None


class Run(ctypes.Structure):
    """What the library is asked and answers: the same structure as in ``search.c.in``, as far as Python looks."""

    _fields_ = [
        ("starts", COUNTS),
        ("start_count", U64),
        ("limit", U64),
        ("wanted", BYTES),
        ("threads", ctypes.c_int32),
        ("deadlock", ctypes.c_int32),
        ("stop", ctypes.c_int32),
        ("failed", ctypes.c_int32),
        ("complete", ctypes.c_int32),
        ("depth", ctypes.c_int32),
        ("broken", COUNTS),
        ("stuck", COUNTS),
        ("fired", COUNTS),
        ("seen", BYTES),
        ("found", COUNTS),
        ("expanded", COUNTS),
        ("bytes", U64),
        ("most", U64),
        ("bounds", COUNTS),
        ("arrays", COUNTS * MOST_THREADS),
        ("rest", U64 * 64),
    ]


class CEngine:
    """A ground model's library, loaded."""

    name = "c"

    def __init__(self, ground: Ground, sometimes: Sequence[Expr], canonical: str = "") -> None:
        begin = time.perf_counter()
        text = source(ground, sometimes, canonical)
        self.generate_s = time.perf_counter() - begin
        self.library = ctypes.CDLL(str(library(text)))
        self.compile_s = time.perf_counter() - begin - self.generate_s
        self.library.predecessor.restype = COUNTS
        self.words = ground.words
        self.counted = len(ground.instances), len(sometimes)

    def run(self, task: Task) -> Found:
        threads = min(max(task.threads, 1), MOST_THREADS)
        instances, sometimes = self.counted
        run = Run(
            starts=task.starts.ctypes.data_as(COUNTS),
            start_count=len(task.starts),
            limit=NOTHING if task.limit is None else task.limit,
            wanted=(U8 * len(task.wanted))(*task.wanted),
            threads=threads,
            deadlock=task.deadlock,
            broken=(U64 * (1 + self.words))(NOTHING),
            stuck=(U64 * (1 + self.words))(NOTHING),
            fired=(U64 * instances)(),
            seen=(U8 * sometimes)(),
            found=(U64 * threads)(),
            expanded=(U64 * threads)(),
        )
        try:
            self._watched(run, task.progress)
            distinct = sum(run.found[:threads])
            if run.failed:
                raise MemoryError(f"no memory for more than {distinct:,} states; set a limit")
            (invariant, *violating), (none, *stuck) = run.broken[: 1 + self.words], run.stuck[: 1 + self.words]
            return Found(
                levels=self._levels(run) if task.keep else (),
                distinct=distinct,
                depth=run.depth,
                fired=tuple(run.fired[:instances]),
                violated=None if invariant == NOTHING else (invariant, tuple(violating)),
                deadlocked=None if none == NOTHING else tuple(stuck),
                seen=tuple(map(bool, run.seen[:sometimes])),
                complete=bool(run.complete),
                bytes=run.bytes,
            )
        finally:
            self.library.release(ctypes.byref(run))

    def _watched(self, run: Run, progress: Callable[[Progress], None] | None) -> None:
        """Search in a thread, so that progress can be told, and that an interrupt reaches the search."""
        search = threading.Thread(target=self.library.search, args=(ctypes.byref(run),))
        begin = time.perf_counter()
        search.start()
        try:
            while search.is_alive():
                search.join(WATCH_S)
                if progress is not None and search.is_alive():
                    found, expanded = sum(run.found[: run.threads]), sum(run.expanded[: run.threads])
                    progress(Progress(found, found / (time.perf_counter() - begin), run.depth, found - expanded))
        finally:
            run.stop = 1
            search.join()

    def _levels(self, run: Run) -> tuple[Words, ...]:
        shape = (run.depth, run.threads)
        bounds = np.ctypeslib.as_array(run.bounds, shape)
        arrays = [
            np.ctypeslib.as_array(run.arrays[thread], (int(bounds[-1, thread]), self.words))
            for thread in range(run.threads)
        ]
        begins = np.vstack((np.zeros(run.threads, np.uint64), bounds[:-1]))
        return tuple(
            np.concatenate([array[a:b] for array, a, b in zip(arrays, begin, end, strict=True)])
            for begin, end in zip(begins, bounds, strict=True)
        )

    def predecessor(self, states: Words, target: State) -> State | None:
        states = np.ascontiguousarray(states)
        goal = (U64 * len(target))(*target)
        found = self.library.predecessor(states.ctypes.data_as(COUNTS), U64(len(states)), goal)
        return tuple(found[: self.words]) if found else None


# ------------------------------------------------------------------------------------------------------- libraries


def library(text: str) -> Path:
    """The compiled library of a text. Several processes may ask at once: whoever is last puts the same file there."""
    command = compiler()
    if command is None:
        raise CompilerError("no C compiler: install one, name one in $CC, or explore with engine='numpy'")
    name = hashlib.sha256("\0".join((*command, *FLAGS, text)).encode()).hexdigest()[:32]
    kept = cache() / f"{name}.so"
    if not kept.exists():
        with tempfile.TemporaryDirectory(dir=kept.parent) as scratch:
            made, written = Path(scratch, "model.so"), Path(scratch, "model.c")
            written.write_text(text)
            done = subprocess.run([*command, *FLAGS, "-o", made, written], capture_output=True, text=True, check=False)
            if done.returncode:
                raise CompilerError(f"{shlex.join(command)} failed: {done.stderr[:2000]}")
            made.replace(kept)
    return kept


def cache() -> Path:
    """Where libraries are kept: for the user, or if that cannot be, for this process."""
    try:
        path = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "hacore")
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except (OSError, RuntimeError):
        return Path(_temporary().name)
    return path if os.access(path, os.W_OK) else Path(_temporary().name)


@functools.cache
def _temporary() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="hacore-")
