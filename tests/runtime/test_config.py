"""What a machine is told about its cluster."""

from __future__ import annotations

from pathlib import Path

import pytest

from hacore.devices.watchdog import sysfs
from hacore.runtime.config import FILE, Config, ConfigError, WatchdogDevice, load, open_store, state_path


def test_without_a_file_it_is_a_local_cluster(tmp_path: Path) -> None:
    assert load(tmp_path) == Config()
    assert state_path(tmp_path, "node1") == tmp_path / "nodes" / "node1"


def test_a_machine_keeps_its_state_where_it_is_told(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text('node = "alpha"\nstate = "/var/lib/hacore"\n[store]\nengine = "sqlite"\n')
    assert state_path(tmp_path, "alpha") == Path("/var/lib/hacore")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("nodes = 3", "nodes"),
        ('[store]\nengine = "paper"', "paper"),
        ("node = ", "end of document"),
        ("node = 1", "node"),
        ("[watchdog]\ndevice = 'watchdog0'", 'must be "auto" or an absolute path'),
    ],
)
def test_what_is_wrong_is_said_with_the_file(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / FILE).write_text(text)
    with pytest.raises(ConfigError, match=says) as caught:
        open_store(tmp_path, 1.0)
    assert str(tmp_path / FILE) in str(caught.value)


def test_which_watchdog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sysfs, "MACHINE", tmp_path)
    with pytest.raises(FileNotFoundError):
        load(tmp_path).watchdog.open(tmp_path, 5.0)  # the emulated one, which nobody serves here
    assert WatchdogDevice("/dev/watchdog7").path() == Path("/dev/watchdog7")
    with pytest.raises(OSError, match="there is no watchdog: modprobe softdog"):
        WatchdogDevice("auto").path()
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev" / "watchdog3").touch()
    assert WatchdogDevice("auto").path() == tmp_path / "dev" / "watchdog3"
