"""hacore node-maintenance, disarm, arm, settings."""

import fcntl

import pytest

from tests.cli.clusters import SETTINGS, STATUS, Cluster

DISARMED = {"disarm": {"mode": "freeze", "state": "disarmed"}}


@pytest.mark.parametrize(
    ("words", "queued"),
    [
        (("node-maintenance", "enable", "node2"), "enable-node-maintenance node2"),
        (("node-maintenance", "disable", "node2"), "disable-node-maintenance node2"),
        (("disarm",), "disarm-ha freeze"),
        (("disarm", "--mode", "ignore"), "disarm-ha ignore"),
    ],
)
def test_commands_are_queued(cluster: Cluster, words: tuple[str, ...], queued: str) -> None:
    assert cluster.ok(*words) == f"queued as command 1: {queued}\n"
    assert cluster.queued() == [queued]


def test_arm_is_for_a_disarmed_cluster(cluster: Cluster) -> None:
    assert cluster.refused("arm") == "the cluster is not disarmed"
    cluster.ok("disarm")
    cluster.ok("arm")
    assert cluster.queued() == ["disarm-ha freeze", "arm-ha"]


def test_a_disarmed_cluster(cluster: Cluster) -> None:
    cluster.put(STATUS, DISARMED)
    assert "disarmed already (mode freeze)" in cluster.refused("disarm", "--mode", "ignore")
    assert "no service can move: hacore arm" in cluster.refused("node-maintenance", "enable", "node1")
    cluster.ok("arm")
    cluster.ok("node-maintenance", "enable", "node1")
    cluster.ok("disarm")
    assert cluster.queued() == ["arm-ha", "enable-node-maintenance node1", "disarm-ha freeze"]


@pytest.mark.parametrize("way", ["enable", "disable"])
@pytest.mark.parametrize(("node", "because"), [("node9", "its nodes are node1, node2"), ("a b", "bad node name")])
def test_unknown_nodes(cluster: Cluster, way: str, node: str, because: str) -> None:
    assert because in cluster.refused("node-maintenance", way, node)


def test_modes_that_are_not_understood(cluster: Cluster) -> None:
    cluster.not_understood("disarm", "--mode", "maybe")
    cluster.not_understood("node-maintenance", "start", "node1")


def test_wait_for_maintenance_and_back(serving: Cluster) -> None:
    with serving.master():
        result = serving.run("node-maintenance", "enable", "node1", "--wait", "10")
        assert result.exit_code == 0, result.output
        assert result.stderr.splitlines()[-1] == "node1: maintenance, no service is active there"
        assert serving.json("status")["services"]["proc:web"]["node"] != "node1"
        result = serving.run("node-maintenance", "disable", "node1", "--wait", "10")
    assert result.exit_code == 0, result.output
    assert result.stderr.splitlines()[-1] == "node1: online"


def test_wait_sees_maintenance_refused(serving: Cluster) -> None:
    with serving.master(online=frozenset({"node1", "node2"})):
        result = serving.run("node-maintenance", "enable", "node3", "--wait", "10")
    assert result.exit_code == 1
    assert "refused: node3 is not online" in result.stderr


def test_wait_for_disarm_and_arm(serving: Cluster) -> None:
    with serving.master():
        result = serving.run("disarm", "--wait", "10")
        assert result.exit_code == 0, result.output
        assert result.stderr.splitlines()[-1] == "the cluster is disarmed (freeze)"
        result = serving.run("arm", "--wait", "10")
    assert result.exit_code == 0, result.output
    assert result.stderr.splitlines()[-1] == "the cluster is armed"


# ------------------------------------------------------------------------------------------------------- settings


def test_settings_are_shown(cluster: Cluster) -> None:
    assert cluster.json("settings") == {
        "shutdown_policy": "conditional",
        "scheduler": "basic",
        "rebalance_on_start": False,
        "rebalance": False,
        "rebalance_method": "bruteforce",
        "rebalance_threshold": 0.3,
        "rebalance_hold_rounds": 3,
        "rebalance_margin": 0.1,
        "timing": {},
    }
    cluster.put(SETTINGS, {"shutdown_policy": "migrate", "timing": {"round_s": 0.5}})
    lines = cluster.ok("settings").splitlines()
    assert [line.split() for line in lines] == [
        ["shutdown_policy", "migrate"],
        ["scheduler", "basic"],
        ["rebalance_on_start", "false"],
        ["rebalance", "false"],
        ["rebalance_method", "bruteforce"],
        ["rebalance_threshold", "0.3"],
        ["rebalance_hold_rounds", "3"],
        ["rebalance_margin", "0.1"],
        ["timing.round_s", "0.5"],
    ]


def test_settings_are_changed_and_taken_back(cluster: Cluster) -> None:
    cluster.ok("settings", "set", "shutdown_policy=freeze", "rebalance_on_start=true", "timing.round_s=0.5")
    assert cluster.value(SETTINGS) == {
        "shutdown_policy": "freeze",
        "rebalance_on_start": True,
        "timing": {"round_s": 0.5},
    }
    cluster.ok("settings", "set", "timing.hardware_s=3")
    assert cluster.value(SETTINGS)["timing"] == {"round_s": 0.5, "hardware_s": 3}
    said = cluster.ok("settings", "set", "shutdown_policy=", "timing.round_s=", "timing.hardware_s=")
    assert said.splitlines()[0] == "shutdown_policy: the default"
    assert cluster.value(SETTINGS) == {"rebalance_on_start": True}


@pytest.mark.parametrize(
    ("change", "because"),
    [
        (
            "policy=freeze",
            "unknown setting 'policy': the settings are shutdown_policy, scheduler, rebalance_on_start, rebalance, ",
        ),
        ("scheduler=fair", "scheduler 'fair' is none of basic, static, dynamic"),
        ("rebalance_margin=NaN", "rebalance_margin must be at least 0"),
        ("rebalance_hold_rounds=1.5", "Expected `int`, got `float`"),
        ("timing={}", "unknown setting 'timing'"),
        ("timing.rounds=1", "unknown setting 'timing.rounds'"),
        ("shutdown_policy=never", "is none of conditional, freeze, failover, migrate"),
        ("rebalance_on_start=yes", "rebalance_on_start is 'yes', but must be true or false"),
        ("rebalance_on_start=1", "rebalance_on_start"),
        ("timing.round_s=fast", "timing.round_s is 'fast', but must be a number"),
        ("timing.round_s=[1]", "must be a number"),
        ("timing.round_s=true", "must be a number"),
        ("timing.round_s=1e999", "must be a number"),
        ("timing.round_s=NaN", "must be a number"),
        ("timing.round_s=-1", "must be more than 0"),
        ("timing.idle_rounds=1.5", "must be a whole number"),
        (
            "timing.lock_ttl_s=1",
            "unsafe: lock_ttl_s * (1 - drift) >= (watchdog_s + reset_s) * (1 + drift) does not hold: 1 *",
        ),
    ],
)
def test_settings_that_are_refused_change_nothing(cluster: Cluster, change: str, because: str) -> None:
    assert because in cluster.refused("settings", "set", "shutdown_policy=freeze", change)


def test_changes_that_are_not_understood(cluster: Cluster) -> None:
    assert "write NAME=VALUE" in cluster.not_understood("settings", "set", "shutdown_policy")
    cluster.not_understood("settings", "set")
    cluster.not_understood("settings", "get")


def test_timing_stays_while_a_site_runs(cluster: Cluster) -> None:
    with (cluster.directory / "site.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        because = cluster.refused("settings", "set", "timing.round_s=0.5")
        assert "is up: its daemons read timing.* when they start" in because
        cluster.ok("settings", "set", "shutdown_policy=freeze")
    cluster.ok("settings", "set", "timing.round_s=0.5")
