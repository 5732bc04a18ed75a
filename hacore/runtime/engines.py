"""The stores that ``hacore.toml`` can name: what each is told there, and how it is made and opened."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, TypeAlias

import msgspec

from hacore.devices.store import Store, StoreError
from hacore.devices.store.pmxcfs import PmxcfsStore
from hacore.devices.store.sqlite import SqliteStore

MAKE_TIMEOUT_S = 10.0
PMXCFS_DEAF_S = 10.6
"""Seen with three nodes: 8 s from the loss of a node, 2.6 s more from its return."""


class SqliteEngine(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="engine", tag="sqlite"):
    """One file in the cluster's directory."""

    timing: ClassVar[Mapping[str, float]] = {}
    """What a new cluster's timing settings are, where they differ from the defaults."""

    def make(self, directory: Path) -> None:
        """Make the store, if there is none. Raises StoreError."""
        if not (directory / "store.db").exists():
            directory.mkdir(parents=True, exist_ok=True)
            SqliteStore.create(directory / "store.db")

    def open(self, directory: Path, timeout_s: float) -> Store:
        return SqliteStore(directory / "store.db", timeout_s)

    def exists(self, directory: Path) -> bool:
        """Whether there is a store, or something that prevents us from telling: opening it will say what is wrong."""
        try:
            (directory / "store.db").stat()
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError:
            pass
        return True


class EtcdEngine(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="engine", tag="etcd"):
    """An etcd cluster, reached through any of its endpoints."""

    endpoints: tuple[str, ...]
    ca: str = ""
    cert: str = ""
    key: str = ""
    user: str = ""
    password_file: str = ""
    prefix: str = "/hacore/"

    timing: ClassVar[Mapping[str, float]] = {"call_timeout_s": 0.35, "hardware_s": 2.0}
    """A call may take more than ten times what it does on a network and disks that are well. During an election (1.5 s)
    it is given up, and the renewal is made good in the next rounds, long before watchdog_s has passed. Real watchdogs
    count in whole seconds."""

    def __post_init__(self) -> None:
        secure = {url.startswith("https://") for url in self.endpoints}
        if len(secure) != 1:
            raise ValueError("endpoints: name the members of etcd, either all with https:// or all with http://")
        if secure != {bool(self.ca)}:
            raise ValueError(
                "ca: name the file with the authority's certificate for https endpoints, and only for them"
            )
        if bool(self.cert) != bool(self.key) or (self.cert and not self.ca):
            raise ValueError("cert and key: give both or neither, and only with https endpoints")
        if bool(self.user) != bool(self.password_file):
            raise ValueError("user and password_file: give both or neither")
        if not self.prefix.endswith("/"):
            raise ValueError("prefix: must end with a slash")

    def make(self, directory: Path) -> None:
        """Nothing is to be made: etcd is there, or a call will say that it is not."""

    def open(self, directory: Path, timeout_s: float) -> Store:
        from hacore.devices.store.etcd import EtcdStore, tls_with  # noqa: PLC0415 - HTTP takes long to import

        login = (self.user, _content(directory / self.password_file).rstrip("\n")) if self.user else None
        ca, cert, key = (directory / name if name else None for name in (self.ca, self.cert, self.key))
        tls = tls_with(ca, cert, key) if ca else None
        try:
            return EtcdStore(self.endpoints, timeout_s, prefix=self.prefix, tls=tls, login=login)
        except ValueError as problem:
            raise StoreError(str(problem)) from None

    def exists(self, directory: Path) -> bool:
        """Whether there is a cluster, only etcd can tell."""
        return True


class PmxcfsEngine(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="engine", tag="pmxcfs"):
    """A directory of Proxmox's cluster file system."""

    path: str = "/etc/pve/priv/hacore"

    timing: ClassVar[Mapping[str, float]] = {
        "round_s": 5.0,
        "call_timeout_s": 2.0,
        "hardware_s": 5.0,
        "offline_s": 20.0,
    }
    """When nodes come or go, pmxcfs answers nobody for PMXCFS_DEAF_S. A call is given up long before that, as what it
    had asked for does no harm when it comes late; but watchdog_s (34, from these) and offline_s must outlast it, or all
    nodes would be taken for lost at once. Rounds are long because each writes to the disks of all nodes."""

    def make(self, directory: Path) -> None:
        """Make the store, if there is none. Raises StoreError."""
        PmxcfsStore.create(Path(self.path), MAKE_TIMEOUT_S)

    def open(self, directory: Path, timeout_s: float) -> Store:
        return PmxcfsStore(Path(self.path), timeout_s)

    def exists(self, directory: Path) -> bool:
        """Whether there is a cluster, only pmxcfs can tell."""
        return True


def _content(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as problem:
        raise StoreError(f"{path} cannot be read ({problem}): see to it, or name another in hacore.toml") from None


Engine: TypeAlias = SqliteEngine | EtcdEngine | PmxcfsEngine
