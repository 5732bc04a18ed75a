"""Network namespaces joined by a bridge, and ways to part them: what a test's machines are cabled with."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Collection

import pytest

needs_namespaces = pytest.mark.skipif(
    os.geteuid() != 0 or not (shutil.which("ip") and shutil.which("nft")),
    reason="network namespaces want root, ip and nft: tools/test-packages.sh",
)


class Net:
    """``count`` namespaces with an address each. Everything is named with this process's id, so several may be."""

    def __init__(self, count: int) -> None:
        pid = os.getpid()
        self.bridge = f"hb{pid}"
        self.subnet = f"100.{64 + pid % 64}.{pid // 64 % 256}"
        self.names = [f"hn{pid}x{number}" for number in range(count)]
        self._cables = [f"hv{pid}x{number}" for number in range(count)]
        _ip(f"link add {self.bridge} type bridge", f"link set {self.bridge} up")
        _ip(f"addr add {self.subnet}.254/24 dev {self.bridge}")
        for number, (name, cable) in enumerate(zip(self.names, self._cables, strict=True)):
            _ip(f"netns add {name}", f"link add {cable} type veth peer name eth0 netns {name}")
            _ip(f"link set {cable} master {self.bridge} up")
            _ip("link set lo up", "link set eth0 up", f"addr add {self.address(number)}/24 dev eth0", within=name)

    def address(self, number: int) -> str:
        return f"{self.subnet}.{number + 1}"

    def within(self, number: int) -> list[str]:
        """What is put before a command that is to run there."""
        return ["ip", "netns", "exec", self.names[number]]

    def drop(self, at: int, sources: Collection[int]) -> None:
        """From now on nothing that comes from ``sources`` arrives at ``at``."""
        rules = "\n".join(f"ip saddr {self.address(source)} drop" for source in sources)
        chain = f"chain in {{\ntype filter hook ingress device eth0 priority 0;\n{rules}\n}}"
        self._nft(at, f"table netdev parted {{\n{chain}\n}}\n")

    def part(self, number: int) -> None:
        """Nothing passes any more between one and the others, in either direction; from outside all are reached."""
        others = [other for other in range(len(self.names)) if other != number]
        self.drop(number, others)
        for other in others:
            self.drop(other, [number])

    def unplug(self, number: int) -> None:
        """Pull the cable."""
        _ip(f"link set {self._cables[number]} down")

    def heal(self) -> None:
        """As it was at first."""
        for number, cable in enumerate(self._cables):
            _ip(f"link set {cable} up")
            self._nft(number, "table netdev parted {}\ndelete table netdev parted\n")

    def close(self) -> None:
        """Remove it all."""
        for name in self.names:
            _ip(f"netns del {name}")
        _ip(f"link del {self.bridge}")

    def _nft(self, at: int, script: str) -> None:
        subprocess.run([*self.within(at), "nft", "-f", "-"], input=script, text=True, check=True)


def _ip(*lines: str, within: str = "") -> None:
    where = ["-n", within] if within else []
    subprocess.run(["ip", *where, "-batch", "-"], input="\n".join([*lines, ""]), text=True, check=True)
