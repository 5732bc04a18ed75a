"""What a machine is told about its cluster."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from hacore.devices.store import StoreError
from hacore.protocol.timing import Timing, guarded_round_s, least_offline_s
from hacore.runtime.cluster import create
from hacore.runtime.config import (
    FILE,
    PMXCFS_DEAF_S,
    Config,
    ConfigError,
    PmxcfsEngine,
    load,
    open_store,
    state_path,
)


def test_without_a_file_it_is_a_local_cluster(tmp_path: Path) -> None:
    assert load(tmp_path) == Config()
    assert state_path(tmp_path, "node1") == tmp_path / "nodes" / "node1"


def test_a_machine_keeps_its_state_where_it_is_told(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text('node = "alpha"\nstate = "/var/lib/hacore"\n[store]\nengine = "sqlite"\n')
    assert state_path(tmp_path, "alpha") == Path("/var/lib/hacore")


def test_proxmox_hosts_have_their_store_where_proxmox_has_its_own(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text('[store]\nengine = "pmxcfs"\n')
    assert load(tmp_path).store == PmxcfsEngine("/etc/pve/priv/hacore")
    (tmp_path / FILE).write_text(f'[store]\nengine = "pmxcfs"\npath = "{tmp_path}/none"\n')
    with closing(open_store(tmp_path, 10.0)) as store, pytest.raises(StoreError, match=r"is pmxcfs running"):
        store.read(("",))
    with pytest.raises(StoreError, match=r"is not on pmxcfs"):
        create(tmp_path, ["node1"], {})


def test_the_timing_for_pmxcfs_outlasts_its_deafness() -> None:
    """A healthy node whose renewal was due when pmxcfs went deaf is neither reset nor taken for lost."""
    settings: dict[str, Any] = {**PmxcfsEngine.timing}
    timing = Timing(**settings)
    assert timing.watchdog_s > guarded_round_s(timing) + PMXCFS_DEAF_S
    assert min(timing.offline_s, timing.offline_delay_s) > least_offline_s(timing) + PMXCFS_DEAF_S
    assert timing.failover_with_master_s < 120
    hasty = Timing(**{**settings, "round_s": 1.0, "call_timeout_s": 0.5, "offline_s": 0.0})
    assert hasty.watchdog_s < guarded_round_s(hasty) + PMXCFS_DEAF_S


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("nodes = 3", "nodes"),
        ('[store]\nengine = "paper"', "paper"),
        ("node = ", "end of document"),
        ("node = 1", "node"),
    ],
)
def test_what_is_wrong_is_said_with_the_file(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / FILE).write_text(text)
    with pytest.raises(ConfigError, match=says) as caught:
        open_store(tmp_path, 1.0)
    assert str(tmp_path / FILE) in str(caught.value)
