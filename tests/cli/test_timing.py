"""hacore timing."""

import pytest

from hacore.cli.timing import SETTINGS as NAMES
from hacore.cli.timing import _sentences
from hacore.protocol.timing import Timing
from tests.cli.clusters import SETTINGS, Cluster


def test_the_settings_are_those_of_the_cluster(cluster: Cluster) -> None:
    cluster.put(SETTINGS, {"timing": {"hardware_s": 10, "round_s": 2}})
    told = cluster.json("timing")
    timing = Timing(hardware_s=10, round_s=2)
    assert told["source"] == "cluster"
    assert told["settings"] == {name: getattr(timing, name) for name in NAMES}
    assert told["reset_s"] == timing.reset_s
    assert told["failover_s"] == timing.failover_s
    assert told["failover_with_master_s"] == timing.failover_with_master_s
    assert [(it["at_s"], it["what"]) for it in told["timeline"]] == [
        (round(at_s, 6), what) for at_s, what in timing.timeline()
    ]
    assert told["inequality"]["holds"]
    assert told["inequality"]["left_s"] >= told["inequality"]["right_s"]
    assert cluster.ok("timing").startswith(f"Settings of the cluster in {cluster.directory}\n")


def test_without_a_cluster_they_are_the_defaults(cluster: Cluster) -> None:
    (cluster.directory / "store.db").unlink()
    assert cluster.run("timing").stdout.startswith("Settings of the defaults: there is no cluster in ")
    assert '"source": "defaults"' in cluster.run("timing", "--json").stdout


def test_others_can_be_tried(cluster: Cluster) -> None:
    before = cluster.seen()
    told = cluster.json("timing", "--set", "hardware_s=10", "--set", "lock_ttl_s=60")
    assert told["tried"] == {"hardware_s": 10, "lock_ttl_s": 60}
    assert told["failover_s"] == Timing(hardware_s=10, lock_ttl_s=60).failover_s
    assert "lock_ttl_s" not in told["derived"]
    assert "watchdog_s" in told["derived"]
    text = cluster.ok("timing", "--set", "hardware_s=10")
    assert ", with hardware_s=10\n" in text
    assert cluster.seen() == before


def test_the_text_shows_every_duration_and_moment(cluster: Cluster) -> None:
    text = cluster.ok("timing")
    timing = Timing()
    for name, sentence in _sentences().items():
        assert name in text
        assert sentence in text
    for at_s, what in timing.timeline():
        assert f"  {at_s:7.2f}  {what}" in text
    assert f"At most {timing.failover_s:.2f} s until" in text
    assert "lock_ttl_s * (1 - drift) >= (watchdog_s + reset_s) * (1 + drift)" in text


@pytest.mark.parametrize(
    ("setting", "because"),
    [
        ("lock_ttl_s=1", "1 * 0.9995 < (5.6 + 3.5) * 1.0005"),
        ("lock_ttl=1", "unknown timing setting 'lock_ttl': the settings are round_s,"),
        ("drift=0.5", "a clock that runs wrong by a tenth"),
        ('round_s="1"', "must be a number"),
        ("round_s=0", "must be more than 0"),
    ],
)
def test_what_is_broken_is_one_line(cluster: Cluster, setting: str, because: str) -> None:
    assert because in cluster.refused("timing", "--set", setting)
    assert because in cluster.refused("timing", "--json", "--set", setting)


def test_a_broken_cluster_is_one_line(cluster: Cluster) -> None:
    cluster.put(SETTINGS, {"timing": {"rounds": 1}})
    assert "'rounds'" in cluster.refused("timing")
    cluster.put(SETTINGS, {"timing": 1})
    assert "document 'settings'" in cluster.refused("timing")


def test_what_is_not_understood(cluster: Cluster) -> None:
    cluster.not_understood("timing", "--set", "round_s")
    cluster.not_understood("timing", "--set", "round_s=soon")


# ------------------------------------------------------------------------------------------------------ --synthesise


def test_the_least_durations(cluster: Cluster) -> None:
    told = cluster.json("timing", "--synthesise")
    timing = Timing()
    assert told["source"] == "cluster"
    assert told["given"] == {name: getattr(timing, name) for name in told["given"]}
    assert told["taken"] == {name: getattr(timing, name) for name in told["least"]}
    assert told["least"]["watchdog_s"] == timing.watchdog_s
    assert timing.lock_ttl_s - 0.01 <= told["least"]["lock_ttl_s"] < timing.lock_ttl_s
    assert told["exact"]["lock_ttl_s"] == "182091/19990"
    moments = [it["at_s"] for it in told["shorter"]["moments"]]
    assert moments == sorted(moments)
    assert told["shorter"]["lock_ttl_s"] < told["least"]["lock_ttl_s"]


def test_the_least_durations_as_text(cluster: Cluster) -> None:
    text = cluster.ok("timing", "--synthesise", "--set", "watchdog_s=20")
    lines = [line.split() for line in text.splitlines()]
    assert ["watchdog_s", "20", "20"] in lines
    assert ["lock_ttl_s", "23.5235", "23.53"] in lines
    assert "for up to 17.2 s is not reset" in text
    assert text.splitlines()[-1].endswith("after its lock was taken")


def test_the_least_durations_of_nothing(cluster: Cluster) -> None:
    assert "unsafe: " in cluster.refused("timing", "--synthesise", "--set", "lock_ttl_s=1")
    assert "unknown timing setting" in cluster.refused("timing", "--synthesise", "--set", "lock=1")


def test_what_power_fencing_saves(cluster: Cluster) -> None:
    timing = Timing(hardware_s=10)
    words = ("timing", "--set", "hardware_s=10", "--power", "4")
    assert cluster.json(*words)["failover_powered_s"] == timing.failover_powered_s(4.0)
    bound = f"At most {timing.failover_powered_s(4.0):.2f} s if fencing devices say within 4 s that the node is off.\n"
    assert cluster.ok(*words).endswith(bound)
    assert "fencing devices" not in cluster.ok("timing")
