"""pmxcfs in a file system of FUSE: it does what was seen of the real one, run as a cluster of three nodes.

Below the mount point each node has a directory, in which it sees what it would see below /etc/pve. All nodes see the
same files. A write is done for all at once, in one order; and:

- ``mkdir`` of what is there: EEXIST. Below ``priv/lock``: the node that made a directory renews it by setting its time
  to now or later; an earlier time, or another node's setting it: EACCES; setting it to 0 asks for it: EACCES while it
  is younger than 120 s, else it is removed, and the answer is ENOENT. ``rename``: EACCES. ``rmdir``: whoever asks.
- ``rename`` of a file: ENOENT if it is not there, over whatever is there otherwise. A file has 1 MiB at most: EFBIG.
- A node that is cut off sees what it last saw. When the quorum is lost, or found again, writes wait for a while on both
  sides; on the side without it they then get EPERM once, and EACCES after that, and modes lack write permission.
- A node whose pmxcfs is stopped answers nothing.

One JSON object a write, the file ``control`` at the top is told to make that so: {"cut": NODE, "wait_s": 8},
{"heal": NODE}, {"stop": NODE}, {"go_on": NODE}, {"later_s": 121}, {"hold": NODE}, {"let_go": NODE}.

    python -m tests.devices.fuse_pmxcfs MOUNTPOINT NODE...
"""

from __future__ import annotations

import copy
import errno
import json
import os
import stat
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import Any, NoReturn

import mfusepy

LOCKS = "/priv/lock/"
LIFETIME_S = 120
MOST_BYTES = 1024 * 1024


def refuse(number: int) -> NoReturn:
    raise mfusepy.FuseOSError(number)


@dataclass
class Entry:
    """A directory, or a file with content."""

    owner: str
    mtime: int
    content: bytes | None = None


@dataclass
class Node:
    """One node's pmxcfs: what it sees, and in which trouble it is."""

    files: dict[str, Entry]
    quorate: bool = True
    told: bool = False
    """It has refused a write for want of quorum, and said so by EPERM."""
    waits_until_s: float = 0.0
    stopped: bool = False
    holds: bool = False
    """Messages to rename are on their way, and do not arrive."""


@dataclass
class Pmxcfs(mfusepy.Operations):  # type: ignore[misc]
    """All nodes' file systems. One lock is the order of messages."""

    use_ns = True

    names: list[str]
    later_s: float = 0.0
    order: threading.Condition = field(default_factory=threading.Condition)

    def __post_init__(self) -> None:
        directories = ("/", "/ha", "/nodes", "/priv", "/priv/lock")
        self.files = {path: Entry("", self.now()) for path in directories}
        self.nodes = {name: Node(self.files) for name in self.names}

    def now(self) -> int:
        return int(time.time() + self.later_s)

    def at(self, path: str) -> tuple[Node, str, str]:
        """The node below whose directory a path is, its name, and the path there; not before it answers."""
        name, _, rest = path.lstrip("/").partition("/")
        node = self.nodes.get(name) or refuse(errno.ENOENT)
        self.order.wait_for(lambda: not node.stopped)
        return node, name, f"/{rest}"

    def entry(self, node: Node, path: str) -> Entry:
        return node.files.get(path) or refuse(errno.ENOENT)

    def writing(self, path: str) -> tuple[str, str]:
        """Wait until messages pass; then the node's name and the path. Raises without quorum."""
        node, name, rest = self.at(path)
        while (left_s := node.waits_until_s - time.monotonic()) > 0:
            self.order.wait(left_s)
        if not node.quorate:
            first, node.told = not node.told, True
            refuse(errno.EPERM if first else errno.EACCES)
        return name, rest

    def make(self, path: str, content: bytes | None) -> None:
        name, rest = self.writing(path)
        if rest in self.files:
            refuse(errno.EEXIST)
        if rest.rpartition("/")[0] not in {"", *self.files}:
            refuse(errno.ENOENT)
        self.files[rest] = Entry(name, self.now(), content)

    # ------------------------------------------------------------------------------------------------- directories

    def getattr(self, path: str, fh: int | None = None) -> dict[str, Any]:
        if path in {"/", "/control"}:
            kind = stat.S_IFDIR | 0o755 if path == "/" else stat.S_IFREG | 0o600
            return {"st_mode": kind, "st_nlink": 1, "st_size": 0}
        with self.order:
            node, _, rest = self.at(path)
            entry = self.entry(node, rest)
            mode = (stat.S_IFDIR | 0o700) if entry.content is None else (stat.S_IFREG | 0o600)
            mode &= ~0 if node.quorate else ~0o222
            return {
                "st_mode": mode,
                "st_nlink": 1,
                "st_size": len(entry.content or b""),
                "st_mtime": entry.mtime * 10**9,
            }

    def readdir(self, path: str, fh: int) -> list[str]:
        if path == "/":
            return [".", "..", *self.nodes]
        with self.order:
            node, _, rest = self.at(path)
            below = rest.rstrip("/") + "/"
            inside = [it.removeprefix(below) for it in node.files if it.startswith(below) and it != below]
            return [".", "..", *(it for it in inside if "/" not in it)]

    def mkdir(self, path: str, mode: int) -> None:
        with self.order:
            self.make(path, None)

    def rmdir(self, path: str) -> None:
        with self.order:
            _, rest = self.writing(path)
            if any(it.startswith(f"{rest}/") for it in self.files):
                refuse(errno.ENOTEMPTY)
            del self.files[rest]

    def utimens(self, path: str, times: tuple[int, int]) -> None:
        with self.order:
            name, rest = self.writing(path)
            entry = self.entry(self.nodes[name], rest)
            mtime = times[1] // 10**9
            if rest.startswith(LOCKS):
                if mtime == 0 and self.now() - entry.mtime > LIFETIME_S:
                    del self.files[rest]
                    refuse(errno.ENOENT)
                if mtime < entry.mtime or entry.owner != name:
                    refuse(errno.EACCES)
            entry.mtime = mtime

    # ------------------------------------------------------------------------------------------------------- files

    def create(self, path: str, mode: int, fi: Any = None) -> int:
        with self.order:
            self.make(path, b"")
        return 0

    def open(self, path: str, flags: int) -> int:
        if flags & os.O_TRUNC:
            self.truncate(path, 0)
        return 0

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        with self.order:
            node, _, rest = self.at(path)
            return (self.entry(node, rest).content or b"")[offset : offset + size]

    def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
        with self.order:
            if path == "/control":
                self.control(**json.loads(data))
                return len(data)
            _, rest = self.writing(path)
            entry = self.files.get(rest) or refuse(errno.ENOENT)
            if offset + len(data) > MOST_BYTES:
                refuse(errno.EFBIG)
            before = (entry.content or b"").ljust(offset, b"\0")
            entry.content, entry.mtime = before[:offset] + data + before[offset + len(data) :], self.now()
        return len(data)

    def truncate(self, path: str, length: int, fh: int | None = None) -> None:
        if path == "/control":
            return
        with self.order:
            _, rest = self.writing(path)
            entry = self.files.get(rest) or refuse(errno.ENOENT)
            entry.content, entry.mtime = (entry.content or b"")[:length].ljust(length, b"\0"), self.now()

    def unlink(self, path: str) -> None:
        with self.order:
            _, rest = self.writing(path)
            del self.files[rest]

    def rename(self, old: str, new: str) -> None:
        with self.order:
            name, source = self.writing(old)
            self.order.wait_for(lambda: not self.nodes[name].holds)
            _, target = self.writing(new)
            if source.startswith(LOCKS):
                refuse(errno.EACCES)
            if source not in self.files:
                refuse(errno.ENOENT)
            self.files[target] = self.files.pop(source)

    # ----------------------------------------------------------------------------------------------------- trouble

    def control(
        self,
        *,
        cut: str = "",
        heal: str = "",
        wait_s: float = 0.0,
        stop: str = "",
        go_on: str = "",
        later_s: float = 0.0,
        hold: str = "",
        let_go: str = "",
    ) -> None:
        if cut:
            self.nodes[cut].files, self.nodes[cut].quorate = copy.deepcopy(self.files), False
        if heal:
            self.nodes[heal] = Node(self.files)
        if cut or heal:
            for node in self.nodes.values():
                node.waits_until_s = time.monotonic() + wait_s
        if stop or go_on:
            self.nodes[stop or go_on].stopped = bool(stop)
        if hold or let_go:
            self.nodes[hold or let_go].holds = bool(hold)
        self.later_s += later_s
        self.order.notify_all()


if __name__ == "__main__":
    mfusepy.FUSE(Pmxcfs(sys.argv[2:]), sys.argv[1], foreground=True, fsname="pmxcfs", attr_timeout=0, entry_timeout=0)
