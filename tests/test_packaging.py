"""The unit file: systemd finds nothing to say about it, and what it starts is there."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

UNIT = Path(__file__).parents[1] / "packaging" / "systemd" / "hacore.service"
PROGRAM = "/opt/hacore/bin/hacore"


def verified(path: Path, text: str) -> str:
    """What systemd says of a unit file, its program being one that is there."""
    unit = path / UNIT.name
    unit.write_text(text.replace(PROGRAM, str(Path(sys.executable).parent / "hacore")))
    told = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False, timeout=60)
    return told.stdout + told.stderr


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd")
def test_systemd_has_nothing_to_say(tmp_path: Path) -> None:
    text = UNIT.read_text()
    assert verified(tmp_path, text) == ""
    assert "KilMode" in verified(tmp_path, text.replace("KillMode", "KilMode"))


def test_nothing_is_killed_before_it_has_ended_in_order() -> None:
    settings = dict(line.split("=", 1) for line in UNIT.read_text().splitlines() if "=" in line and line[0] != "#")
    wanted = {"Type": "notify", "KillMode": "mixed", "TimeoutStopSec": "infinity", "OOMPolicy": "continue"}
    assert {key: settings[key] for key in wanted} == wanted
    assert "WatchdogSec" not in settings
