"""The process that touches pmxcfs for a store, because whoever touches it may hang: it can be killed.

Run as a plain file by :mod:`hacore.devices.store.pmxcfs`, so it imports the standard library only:

    python -I -S pmxcfs_files.py answer|watch DIRECTORY

``answer`` answers requests, one JSON line each, until standard input ends:

    {"do": "create", "head": HEAD, "content": TEXT}                 -> {"done": whether there was none}
    {"do": "look", "known": HEAD}       -> {"head": HEAD, "content": TEXT, or null if that head is known}
    {"do": "commit", "head": HEAD, "next": HEAD, "content": TEXT}   -> {"done": whether the head was still that}

Instead of any answer there may be {"trouble": REASON}, or {"mend": REASON} if an operator must mend something.
``watch`` writes {"revisions": {KEY: REVISION, ...}, "forgotten": REVISION} whenever there is a new head; removed keys
are among them, but for those removed up to the revision that is forgotten.
"""

# ruff: noqa: PTH116, PTH118, PTH123, PTH208 -- names relative to an open directory: every call is to the same mount

from __future__ import annotations

import errno
import json
import os
import select
import subprocess
import sys
from contextlib import suppress
from typing import Any

WATCH_EVERY_S = 0.2
REOPEN_EVERY_S = 1.0
UNITS = ("pve-ha-lrm.service", "pve-ha-crm.service")
UNITS_ANSWER_S = 5.0
FRESH_S = 120
"""A manager status of Proxmox's HA manager that was written within this time: it is at work on some node."""


class MendError(Exception):
    """What an operator must mend."""


class Directory:
    """The store's directory, opened once: a pmxcfs that has ended, or another one in its place, gives errors."""

    def __init__(self, path: str) -> None:
        self.path = path
        try:
            self.fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        except (FileNotFoundError, NotADirectoryError):
            raise MendError(
                f"there is no {path}: is pmxcfs running (pve-cluster.service)? Then use hacore create"
            ) from None
        self._insist_on_fuse()

    def _insist_on_fuse(self) -> None:
        """Where pmxcfs is not mounted, /etc/pve is a directory of this machine alone."""
        device = os.fstat(self.fd).st_dev
        name = f"{os.major(device)}:{os.minor(device)}"
        with open("/proc/self/mountinfo") as mounts:
            kinds = [line.partition(" - ")[2].split()[0] for line in mounts if line.split()[2] == name]
        if not any(kind.startswith("fuse") for kind in kinds):
            raise MendError(f"{self.path} is not on pmxcfs, which is not running: start pve-cluster.service")

    def insist_on_us_alone(self) -> None:
        """Raise MendError while Proxmox's own HA manager is at work here or, as its status shows, anywhere."""
        asked = subprocess.run(
            ["systemctl", "is-active", *UNITS], capture_output=True, text=True, timeout=UNITS_ANSWER_S, check=False
        )
        states = asked.stdout.split()
        if len(states) != len(UNITS) or not set(states) <= {"inactive", "failed"}:
            said = " ".join(states) or asked.stderr.strip()
            raise MendError(
                f"{' and '.join(UNITS)} must not run beside hacore, but systemd says: {said}; "
                f"on every node: systemctl disable --now {' '.join(UNITS)}"
            )
        # The age by the clock of pmxcfs itself, which gives a file the time at which it is made.
        name = f"now.{os.uname().nodename}.{os.getpid()}"
        os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, dir_fd=self.fd))
        now = os.stat(name, dir_fd=self.fd).st_mtime
        os.unlink(name, dir_fd=self.fd)
        with suppress(FileNotFoundError):
            status = os.path.join(self.path, "../../ha/manager_status")
            if now - os.stat(status).st_mtime < FRESH_S:
                raise MendError(
                    f"Proxmox's HA manager is at work ({os.path.normpath(status)} is fresh): stop it on every node"
                )

    def head(self) -> str:
        heads = [name for name in os.listdir(self.fd) if name.startswith("head.")]
        if len(heads) != 1:
            raise MendError(
                f"the store {self.path} has {len(heads)} heads: restore a copy, or remove it and make it anew"
            )
        return heads[0].removeprefix("head.")

    def look(self, known: str) -> dict[str, Any]:
        """The newest head, and its content unless that is known."""
        # A write is answered when all that was written before it, anywhere, is known here, and only with the quorum.
        os.utime(self.fd, (1, 1))
        return self.seen(known)

    def seen(self, known: str) -> dict[str, Any]:
        """The head that is known here, be it old."""
        while True:
            head = self.head()
            try:
                return {"head": head, "content": None if head == known else self._read(f"documents.{head}")}
            except FileNotFoundError:  # there is a newer head
                if self.head() == head:
                    raise MendError(f"the store {self.path} has lost documents.{head}: restore a copy") from None

    def commit(self, head: str, following: str, content: str) -> dict[str, Any]:
        """Make ``following`` the head, if ``head`` still is."""
        self.write(f"documents.{following}", content)
        try:
            os.rename(f"head.{head}", f"head.{following}", src_dir_fd=self.fd, dst_dir_fd=self.fd)
            done = True
        except FileNotFoundError:
            done = self.head() == following  # pmxcfs may send anew what it is not sure to have sent
        self._tidy()
        return {"done": done}

    def _tidy(self) -> None:
        """Remove what can be the content of no head any more; what is left is removed the next time."""
        with suppress(OSError, MendError, ValueError):
            now = self.head()
            for name in os.listdir(self.fd):
                kind, _, of = name.partition(".")
                if kind == "documents" and of != now and revision(of) <= revision(now):
                    os.unlink(name, dir_fd=self.fd)

    def _read(self, name: str) -> str:
        with open(os.open(name, os.O_RDONLY, dir_fd=self.fd), encoding="ascii") as file:
            return file.read()

    def write(self, name: str, content: str) -> None:
        with open(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=self.fd), "wb") as file:
            file.write(content.encode("ascii"))


def revision(head: str) -> int:
    """A head's name is its revision, and what tells it from all others of that revision."""
    return int(head.partition(".")[0])


def create(path: str, head: str, content: str) -> bool:
    """Make a store whose first head and content are these; False if there is something already."""
    above, name = os.path.split(path)
    try:
        os.mkdir(name, 0o700, dir_fd=Directory(above).fd)
    except FileExistsError:
        return False
    made = Directory(path)
    made.write(f"documents.{head}", content)
    made.write(f"head.{head}", "")
    return True


def answer(path: str) -> None:
    """Answer until standard input ends. The directory is opened, and judged, for the first request."""
    directory: Directory | None = None
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if request["do"] == "create":
                say({"done": create(path, request["head"], request["content"])})
                continue
            if directory is None:
                directory = Directory(path)
                directory.insist_on_us_alone()
            if request["do"] == "look":
                say(directory.look(request["known"]))
            else:
                say(directory.commit(request["head"], request["next"], request["content"]))
        except MendError as problem:
            say({"mend": str(problem)})
            return
        except OSError as problem:
            too_large = {"mend": f"the documents of {path} are more than pmxcfs holds in a file: remove services"}
            say(too_large if problem.errno == errno.EFBIG else {"trouble": f"{path}: {problem.strerror}"})
            return  # whoever asks again asks a new process, which judges anew
        except subprocess.SubprocessError as problem:
            say({"trouble": str(problem)})
            return


def watch(path: str) -> None:
    """Tell each new head that becomes known here, until standard input ends."""
    known, pause_s = "", WATCH_EVERY_S
    directory: Directory | None = None
    while not select.select([sys.stdin], [], [], pause_s)[0]:
        try:
            directory = directory or Directory(path)
            seen = directory.seen(known)
        except (OSError, MendError):
            directory, pause_s = None, REOPEN_EVERY_S
            continue
        pause_s = WATCH_EVERY_S
        if seen["content"] is not None:
            known, content = seen["head"], json.loads(seen["content"])
            present = {key: document[1] for key, document in content["documents"].items()}
            say({"revisions": {**content["removed"], **present}, "forgotten": content["forgotten"]})


def say(message: dict[str, Any]) -> None:
    """One line."""
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    with suppress(BrokenPipeError):
        {"answer": answer, "watch": watch}[sys.argv[1]](sys.argv[2])
