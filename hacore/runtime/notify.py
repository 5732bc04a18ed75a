"""What daemons say, told to a command of the operator's, which may send mail or call a web hook.

It is run by a thread of its own, one event at a time, each with a limit: however long it takes, no daemon waits for it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from contextlib import suppress
from typing import Any

from hacore.devices.clock import now_s
from hacore.protocol.requests import Say
from hacore.runtime.aside import Aside

LIMIT_S = 30.0
"""How long the command may take for one event. After that it is killed, with all that it has started in its group."""
LAST_WORDS_S = 2.0
"""How long the end of a daemon waits for what is still to be told."""


class Notifier:
    """Runs ``command`` in a shell for each event of a daemon; without a command it does nothing."""

    def __init__(self, command: str, node: str, daemon: str) -> None:
        self._command, self._about = command, {"node": node, "daemon": daemon}
        self._aside = Aside() if command else None

    def tell(self, said: Say) -> None:
        """Tell it when its turn comes, with seconds since the boot as in traces. Never waits."""
        if self._aside:
            event = {"t": now_s(), **self._about, "event": said.event, "about": said.fields}
            self._aside.do(lambda: self._run(event))

    def end(self) -> None:
        if self._aside:
            self._aside.end(LAST_WORDS_S)

    def _run(self, event: dict[str, Any]) -> None:
        process = subprocess.Popen(
            ["/bin/sh", "-c", self._command], stdin=subprocess.PIPE, text=True, start_new_session=True
        )
        with process:
            try:
                process.communicate(json.dumps(event) + "\n", timeout=LIMIT_S)
            except subprocess.TimeoutExpired:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
