"""What a machine is told about its cluster."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from hacore.devices.store import StoreError
from hacore.devices.watchdog import sysfs
from hacore.manager.documents import Settings
from hacore.protocol.timing import Timing, guarded_round_s, least_offline_s
from hacore.runtime.cluster import create, timing_of
from hacore.runtime.config import FILE, Config, ConfigError, WatchdogDevice, load, open_store, state_path
from hacore.runtime.engines import PMXCFS_DEAF_S, EtcdEngine, PmxcfsEngine


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
        ("[watchdog]\ndevice = 'watchdog0'", 'must be "auto" or an absolute path'),
    ],
)
def test_what_is_wrong_is_said_with_the_file(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / FILE).write_text(text)
    with pytest.raises(ConfigError, match=says) as caught:
        open_store(tmp_path, 1.0)
    assert str(tmp_path / FILE) in str(caught.value)


# ------------------------------------------------------------------------------------------------------------- etcd

MEMBERS = 'endpoints = ["https://10.0.0.1:2379", "https://10.0.0.2"]'


def etcd(*lines: str) -> str:
    return "\n".join(["[store]", 'engine = "etcd"', *lines, ""])


def test_etcd_is_named_with_all_that_it_takes(tmp_path: Path) -> None:
    files = ['ca = "ca.pem"', 'cert = "node.pem"', 'key = "/etc/node.key"']
    (tmp_path / FILE).write_text(etcd(MEMBERS, *files, 'user = "hacore"', 'password_file = "password"'))
    store = load(tmp_path).store
    assert isinstance(store, EtcdEngine)
    assert store.endpoints == ("https://10.0.0.1:2379", "https://10.0.0.2")
    assert (store.prefix, store.key) == ("/hacore/", "/etc/node.key")
    assert store.exists(tmp_path)


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ([], "endpoints"),
        (["endpoints = []"], "endpoints: name the members"),
        (['endpoints = ["http://a", "https://b"]'], "all with https:// or all with http://"),
        ([MEMBERS], "ca: name the file"),
        (['endpoints = ["http://a"]', 'ca = "ca.pem"'], "only for them"),
        ([MEMBERS, 'ca = "ca.pem"', 'cert = "node.pem"'], "cert and key: give both"),
        (['endpoints = ["http://a"]', 'cert = "node.pem"', 'key = "node.key"'], "only with https"),
        (['endpoints = ["http://a"]', 'user = "hacore"'], "user and password_file"),
        (['endpoints = ["http://a"]', 'prefix = "/hacore"'], "end with a slash"),
        (['endpoints = ["http://a"]', 'lease = "x"'], "lease"),
    ],
)
def test_what_etcd_cannot_be_asked_with_is_refused(tmp_path: Path, lines: list[str], says: str) -> None:
    (tmp_path / FILE).write_text(etcd(*lines))
    with pytest.raises(ConfigError, match=says):
        load(tmp_path)


def test_an_endpoint_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(etcd('endpoints = ["http://"]'))
    with pytest.raises(StoreError, match="'http://' is no endpoint"):
        open_store(tmp_path, 1.0)


def test_a_failover_on_etcd_takes_at_most_twenty_seconds() -> None:
    timing = timing_of(Settings(timing=dict(EtcdEngine.timing)))
    assert timing.failover_s < timing.failover_with_master_s <= 20.0


def test_an_election_of_etcd_resets_no_healthy_node() -> None:
    """From the last renewal: nothing is written during an election, then a round, a read and a renewal."""
    timing = timing_of(Settings(timing=dict(EtcdEngine.timing)))
    election_s = 4.0
    assert election_s + timing.round_s + 2 * timing.call_timeout_s < timing.watchdog_s


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
