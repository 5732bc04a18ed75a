"""What a machine is told about its cluster: ``DIR/hacore.toml``. Without that file DIR is a local cluster on SQLite.

    node = "alpha"              # this machine's name in the cluster
    state = "/var/lib/hacore"   # sockets, locks and traces of its daemons; without it: DIR/nodes/NODE
    notify = "/etc/hacore/notify"   # a command that is given each event as a line of JSON: docs/deploy.md

    [store]                     # where the cluster's documents are
    engine = "sqlite"           # one file, DIR/store.db: for a cluster on one machine

A cluster of several machines has its documents in etcd (docs/etcd.md); file names are relative to DIR:

    [store]
    engine = "etcd"
    endpoints = ["https://10.0.0.1:2379", "https://10.0.0.2:2379", "https://10.0.0.3:2379"]
    ca = "ca.pem"               # who vouches for the members; with https only
    cert = "node.pem"           # this machine's own certificate, if etcd asks for one, and its key
    key = "node.key"
    user = "hacore"             # if etcd has users
    password_file = "password"
    prefix = "/hacore/"         # all keys of this cluster begin with it; "/hacore/" if nothing is said

A cluster of Proxmox hosts may have them in Proxmox's own cluster file system (docs/proxmox.md):

    [store]
    engine = "pmxcfs"
    path = "/etc/pve/priv/hacore"   # this, if nothing is said

    [watchdog]                  # what resets this machine; without it: the emulated one of `hacore up`
    device = "auto"             # or "/dev/watchdog0": see hacore watchdog status

What all nodes must agree on is no matter of this file: it is in the cluster's documents (``hacore settings``).
"""

from __future__ import annotations

import errno
from pathlib import Path

import msgspec

from hacore.devices.store import Store
from hacore.devices.watchdog import HardwareWatchdog, sysfs
from hacore.devices.watchdog.emulated import EmulatedWatchdogClient
from hacore.devices.watchdog.linux import LinuxWatchdog
from hacore.runtime.engines import Engine, SqliteEngine

FILE = "hacore.toml"


class ConfigError(ValueError):
    """What is wrong with the file, in one line."""


class WatchdogDevice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The machine's hardware watchdog: ``auto``, the path of a device, or nothing for the site's emulated one."""

    device: str = ""

    def __post_init__(self) -> None:
        if self.device not in {"", "auto"} and not self.device.startswith("/"):
            raise ValueError(f'the watchdog\'s device must be "auto" or an absolute path, not "{self.device}"')

    def open(self, home: Path, timeout_s: float) -> HardwareWatchdog:
        """Open and arm it, for the node that keeps its state in ``home``. Raises OSError with what to do about it."""
        if not self.device:
            return EmulatedWatchdogClient.open(home / "watchdog.sock", timeout_s)
        return LinuxWatchdog.open(self.path(), timeout_s)

    def path(self) -> Path:
        """The device. Raises OSError if there is none."""
        if self.device != "auto":
            return Path(self.device)
        if chosen := sysfs.best(sysfs.devices(sysfs.MACHINE)):
            return chosen.path
        advice = f"there is no watchdog: modprobe {sysfs.modules(sysfs.MACHINE)[0]}"
        raise OSError(errno.ENODEV, advice, "/dev/watchdog0")


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file's content."""

    node: str = ""
    state: str = ""
    notify: str = ""
    store: Engine = msgspec.field(default_factory=SqliteEngine)
    watchdog: WatchdogDevice = msgspec.field(default_factory=WatchdogDevice)


def load(directory: Path) -> Config:
    """The configuration in ``directory``. Raises ConfigError, with what is wrong and where."""
    path = directory / FILE
    try:
        return parse(path.read_bytes(), path)
    except (FileNotFoundError, NotADirectoryError):
        return Config()


def parse(text: bytes | str, path: Path) -> Config:
    """The configuration that the file ``path`` says, or would say. Raises ConfigError."""
    try:
        return msgspec.toml.decode(text, type=Config)
    except msgspec.DecodeError as problem:
        raise ConfigError(f"{path}: {problem}") from None


def open_store(directory: Path, timeout_s: float) -> Store:
    """The store of the cluster in ``directory``, its calls bounded by ``timeout_s``. Raises StoreError, ConfigError."""
    return load(directory).store.open(directory, timeout_s)


def state_path(directory: Path, node: str) -> Path:
    """Where the daemons of ``node`` keep sockets, locks and traces."""
    state = load(directory).state
    return Path(state) if state else directory / "nodes" / node
