"""A baseboard management controller in this process: a real IPMI responder (pyghmi's) that switches a test's node."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from typing import Any

USER, PASSWORD = "admin", "correct horse"
MISSING = [name for name in ("fence_ipmilan", "ipmitool") if not shutil.which(name, path="/usr/sbin:/usr/bin")]
MISSING += [] if find_spec("pyghmi") else ["pyghmi (PyPI)"]
"""What must be installed to speak IPMI here, and is not."""


@dataclass
class Switch:
    """What a controller switches, and what it was told."""

    off: Callable[[], object]
    is_on: Callable[[], bool]
    port: int = 0
    told: list[str] = field(default_factory=list)

    @property
    def parameters(self) -> dict[str, str]:
        """Those of fence_ipmilan. Without the cipher every call takes 14 s."""
        return {
            **{"ip": "127.0.0.1", "ipport": str(self.port), "username": USER, "password": PASSWORD},
            **{"lanplus": "1", "cipher": "3", "power_wait": "0"},
        }


@contextmanager
def controllers(*switches: Switch) -> Iterator[None]:
    """Serve a controller for each switch, on a free port each."""
    responder: Any = import_module("pyghmi.ipmi.bmc")
    session: Any = import_module("pyghmi.ipmi.private.session")

    class Controller(responder.Bmc):  # type: ignore[misc] # pyghmi has no types
        def __init__(self, switch: Switch) -> None:
            super().__init__({USER: PASSWORD}, port=0)
            self.switch = switch
            self.port = switch.port = self.serversocket.getsockname()[1]

        def get_power_state(self) -> str:
            return "on" if self.switch.is_on() else "off"

        def power_off(self) -> None:
            self.switch.told.append("off")
            self.switch.off()

    made: list[Any] = [Controller(switch) for switch in switches]
    over = threading.Event()

    def serve() -> None:
        while not over.is_set():
            session.Session.wait_for_rsp(0.1)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(10)  # the sockets stay: pyghmi uses the first one for as long as the process lives
        made.clear()
