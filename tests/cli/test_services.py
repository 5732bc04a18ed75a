"""hacore add, set, remove, config, migrate, relocate, stop."""

import pytest

from tests.cli.clusters import MEMBERS, RESOURCES, Cluster, resource

ADD = ("add", "proc:new", "--node", "node1", "--command", "exec ./new")


# -------------------------------------------------------------------------------------------------- configuration


def test_add_writes_what_was_given(cluster: Cluster) -> None:
    said = cluster.ok(*ADD)
    assert said == "added proc:new on node1, requested state started\n"
    assert cluster.value(RESOURCES) == {"proc:new": {"node": "node1", "config": {"command": "exec ./new"}}}


def test_add_takes_every_option(cluster: Cluster) -> None:
    counts = ("--max-restart", "3", "--max-relocate", "0", "--stop-timeout", "2.5")
    cluster.ok(*ADD, *counts, "--state", "stopped", "--no-failback", "--comment", "grüße")
    assert cluster.value(RESOURCES)["proc:new"] == {
        "node": "node1",
        "state": "stopped",
        "max_restart": 3,
        "max_relocate": 0,
        "failback": False,
        "comment": "grüße",
        "config": {"command": "exec ./new", "stop_timeout_s": 2.5},
    }


def test_settings_are_json_or_text(cluster: Cluster) -> None:
    words = ("environment.A=text", 'environment.B="1"', "stop_timeout_s=2.5", "directory=/srv/a=b")
    cluster.ok(*ADD, *(word for each in words for word in ("--set", each)))
    config = cluster.value(RESOURCES)["proc:new"]["config"]
    assert config.pop("environment") == {"A": "text", "B": "1"}
    assert config == {"command": "exec ./new", "stop_timeout_s": 2.5, "directory": "/srv/a=b"}
    cluster.ok("set", "proc:new", "--set", "environment.A=", "--set", "stop_timeout_s=", "--set", "nothing=")
    config = cluster.value(RESOURCES)["proc:new"]["config"]
    assert config == {"command": "exec ./new", "directory": "/srv/a=b", "environment": {"B": "1"}}
    assert "'directory' is no group" in cluster.not_understood("set", "proc:new", "--set", "directory.x=1")


def test_what_is_no_json_number_is_text(cluster: Cluster) -> None:
    cluster.ok("add", "ocf:x", "--node", "node1", "--set", "agent=no:such", "--set", "parameters.a=1e999")
    assert cluster.value(RESOURCES)["ocf:x"]["config"] == {"agent": "no:such", "parameters": {"a": "1e999"}}


def test_add_keeps_the_others(serving: Cluster) -> None:
    before = serving.value(RESOURCES)
    serving.ok(*ADD)
    after = serving.value(RESOURCES)
    assert after.pop("proc:new")
    assert after == before


@pytest.mark.parametrize(
    ("words", "because"),
    [
        (("proc:web", "--node", "node1", "--command", "x"), "proc:web is configured already"),
        (("proc:x", "--node", "node9", "--command", "x"), "its nodes are node1, node2, node3"),
        (("proc:x", "--node", "Node 1", "--command", "x"), "bad node name"),
        (("proc:x", "--node", "node1"), "'command' is missing"),
        (("proc:x", "--node", "node1", "--command", "  "), "'command' is empty"),
        (("proc:x", "--node", "node1", "--command", "x", "--stop-timeout", "inf"), "'stop_timeout_s' must be"),
        (("proc:x", "--node", "node1", "--command", "x", "--stop-timeout", "nan"), "'stop_timeout_s' must be"),
        (("db:1", "--node", "node1", "--command", "x"), "unknown type 'db' (known: ct, ocf, proc, unit, vm)"),
        (("vm:100", "--node", "node1", "--command", "x"), "unknown key 'command' (known: start_timeout_s"),
        (("vm:web", "--node", "node1"), "a guest of Proxmox has a number of at least 100, such as vm:100"),
        (("unit:x", "--node", "node1", "--set", "unti=x"), "unknown key 'unti' (known: unit, stop_timeout_s)"),
        (("unit:x", "--node", "node1", "--set", "unit=x.socket"), "'unit' must name a service of systemd"),
        (("ocf:x", "--node", "node1"), "'agent' must be PROVIDER:AGENT, such as heartbeat:IPaddr2"),
        (("ocf:x", "--node", "node1", "--set", "agent=../x:y"), "'agent' must be PROVIDER:AGENT"),
        (("ocf:x", "--node", "node1", "--set", "agent=a:b", "--set", "parameters=1"), "'parameters' must map names"),
        *(
            ((sid, "--node", "node1", "--command", "x"), "bad service id")
            for sid in ("web", "proc:", ":web", "proc:a b", "proc:../x", "proc:" + "x" * 64, "", "proc:web\n", "\udcff")
        ),
    ],
)
def test_add_refuses(serving: Cluster, words: tuple[str, ...], because: str) -> None:
    assert because in serving.refused("add", *words)


@pytest.mark.parametrize(
    "words",
    [
        ("--state", "running"),
        ("--max-restart", "-1"),
        ("--max-restart", "many"),
        ("--max-relocate", "1.5"),
        ("--stop-timeout", "-1"),
        ("--comment", "\udcff"),
        ("--set", "directory"),
        ("--set", "=x"),
        ("--set", "environment.=x"),
        ("--set", "directory=\udcff"),
        ("--unknown",),
    ],
)
def test_options_that_are_not_understood(serving: Cluster, words: tuple[str, ...]) -> None:
    serving.not_understood(*ADD, *words)
    serving.not_understood("set", "proc:web", *words)


def test_add_needs_a_node(cluster: Cluster) -> None:
    assert "--node" in cluster.not_understood("add", "proc:new", "--command", "x")


def test_set_changes_what_is_given_only(cluster: Cluster) -> None:
    config = {"command": "exec ./a", "directory": "/srv", "environment": {"A": "b"}, "stop_timeout_s": 1}
    cluster.put(RESOURCES, {"proc:a": {"node": "node2", "max_restart": 5, "comment": "c", "config": config}})
    assert cluster.ok("set", "proc:a", "--state", "disabled") == "proc:a: requested state disabled\n"
    cluster.ok("set", "proc:a", "--command", "exec ./b", "--stop-timeout", "7", "--no-failback")
    assert cluster.value(RESOURCES)["proc:a"] == {
        "node": "node2",
        "state": "disabled",
        "max_restart": 5,
        "failback": False,
        "comment": "c",
        "config": {**config, "command": "exec ./b", "stop_timeout_s": 7.0},
    }
    cluster.ok("set", "proc:a", "--comment", "", "--failback", "--state", "started")
    assert cluster.value(RESOURCES)["proc:a"].keys() == {"node", "max_restart", "config"}


def test_set_to_what_is_so_already_writes_nothing(serving: Cluster) -> None:
    before = serving.seen()
    serving.ok("set", "proc:db", "--state", "stopped")
    after = serving.seen()
    assert after[RESOURCES].value["proc:db"]["state"] == "stopped"
    assert set(after.documents) == set(before.documents)


@pytest.mark.parametrize(
    ("words", "because"),
    [
        (("proc:x", "--state", "stopped"), "proc:x is not configured; the services are proc:db, proc:old"),
        (("x", "--state", "stopped"), "bad service id"),
        (("proc:web", "--command", ""), "'command' is empty"),
    ],
)
def test_set_refuses(serving: Cluster, words: tuple[str, ...], because: str) -> None:
    assert because in serving.refused("set", *words)


def test_set_nothing_is_not_understood(serving: Cluster) -> None:
    assert "say what to change" in serving.not_understood("set", "proc:web")


def test_remove_takes_one_service_out(serving: Cluster) -> None:
    assert "left as it is on node1 (not managed yet)" in serving.ok("remove", "proc:web")
    assert sorted(serving.value(RESOURCES)) == ["proc:db", "proc:old", "proc:own"]
    assert "proc:web is not configured" in serving.refused("remove", "proc:web")


def test_remove_says_how_it_left_a_service(serving: Cluster) -> None:
    serving.rounds({}, frozenset({"node1"}))
    serving.rounds({}, frozenset({"node1"}))
    assert "(new)" in serving.ok("remove", "proc:web"), "no LRM has taken it on here"
    serving.rounds({}, frozenset({"node1"}))
    assert "proc:web" not in serving.value("manager/status")["services"]


def test_config(serving: Cluster) -> None:
    serving.ok("set", "proc:db", "--comment", "two\nlines")
    shown = serving.json("config")
    assert list(shown) == ["proc:db", "proc:old", "proc:own", "proc:web"]
    assert shown["proc:web"] == {
        **resource("node1"),
        "max_restart": 1,
        "max_relocate": 1,
        "failback": True,
        "comment": "",
        "lock": "",
    }
    lines = serving.ok("config").splitlines()
    assert [line for line in lines if not line.startswith(" ")] == list(shown)
    assert "  comment       two lines" in lines


def test_config_of_nothing(cluster: Cluster) -> None:
    assert cluster.json("config") == {}
    assert "no service is configured" in cluster.ok("config")


# ------------------------------------------------------------------------------------------------------- commands


def test_commands_are_queued_in_order(serving: Cluster) -> None:
    assert serving.ok("migrate", "proc:web", "node2") == "queued as command 1: migrate proc:web node2\n"
    serving.ok("relocate", "proc:db", "node3")
    serving.ok("stop", "proc:web", "--timeout", "0")
    assert serving.queued() == ["migrate proc:web node2", "relocate proc:db node3", "stop proc:web 0"]
    assert serving.value("commands")["last_id"] == 3


@pytest.mark.parametrize(("config", "seconds"), [({}, 10), ({"stop_timeout_s": 2.5}, 3), ({"stop_timeout_s": 0}, 0)])
def test_stop_takes_the_configured_time(cluster: Cluster, config: dict[str, float], seconds: int) -> None:
    cluster.put(RESOURCES, {"proc:a": {"node": "node1", "config": {"command": "x", **config}}})
    cluster.ok("stop", "proc:a")
    assert cluster.queued() == [f"stop proc:a {seconds}"]


def test_each_type_has_its_own_time_to_stop(cluster: Cluster) -> None:
    cluster.put(RESOURCES, {"vm:100": {"node": "node1"}, "unit:a": {"node": "node1"}})
    cluster.ok("stop", "vm:100")
    cluster.ok("stop", "unit:a")
    assert cluster.queued() == ["stop vm:100 180", "stop unit:a 90"]


@pytest.mark.parametrize("verb", ["migrate", "relocate"])
@pytest.mark.parametrize(
    ("sid", "node", "because"),
    [
        ("proc:x", "node2", "proc:x is not configured"),
        ("proc", "node2", "bad service id"),
        ("proc:own", "node2", "its requested state is ignored"),
        ("proc:web", "node9", "node9 is no node of this cluster; its nodes are node1, node2, node3"),
        ("proc:web", "NODE", "bad node name"),
        ("proc:web", "node1", "proc:web is on node1 already"),
    ],
)
def test_moves_that_are_refused_at_once(serving: Cluster, verb: str, sid: str, node: str, because: str) -> None:
    assert because in serving.refused(verb, sid, node)


def test_the_record_says_where_a_service_is(serving: Cluster) -> None:
    record = {"state": "started", "node": "node2", "uid": "1"}
    serving.put("manager/status", {"services": {"proc:web": record}})
    assert "proc:web is on node2 already" in serving.refused("migrate", "proc:web", "node2")
    serving.ok("migrate", "proc:web", "node1")


@pytest.mark.parametrize(
    ("sid", "because"),
    [
        ("proc:x", "proc:x is not configured"),
        ("proc:own", "is ignored"),
        ("proc:db", "requested state is stopped already"),
        ("proc:old", "requested state is disabled already"),
    ],
)
def test_stops_that_are_refused_at_once(serving: Cluster, sid: str, because: str) -> None:
    assert because in serving.refused("stop", sid)


@pytest.mark.parametrize("words", [("--timeout", "-1"), ("--timeout", "soon"), ("--wait", "-1"), ("--wait", "nan0")])
def test_times_that_are_not_understood(serving: Cluster, words: tuple[str, ...]) -> None:
    serving.not_understood("stop", "proc:web", *words)


def test_in_a_cluster_without_services(cluster: Cluster) -> None:
    assert "the services are none" in cluster.refused("stop", "proc:x")
    cluster.put(MEMBERS, None)
    assert "its nodes are none" in cluster.refused(*ADD)


# ------------------------------------------------------------------------------------------------------------ wait


@pytest.mark.parametrize("verb", ["migrate", "relocate"])
def test_wait_for_a_move(serving: Cluster, verb: str) -> None:
    with serving.master():
        result = serving.run(verb, "proc:web", "node2", "--wait", "10")
    assert result.exit_code == 0, result.output
    assert result.stderr.splitlines()[-1] == "proc:web: started on node2, running"
    assert serving.value(RESOURCES)["proc:web"]["node"] == "node2"


def test_wait_for_a_stopped_service_to_move(serving: Cluster) -> None:
    with serving.master():
        result = serving.run("relocate", "proc:db", "node1", "--wait", "10")
    assert result.exit_code == 0, result.output
    assert result.stderr.splitlines()[-1] == "proc:db: stopped on node1"


def test_wait_for_a_stop(serving: Cluster) -> None:
    with serving.master():
        result = serving.run("stop", "proc:web", "--wait", "10")
    assert result.exit_code == 0, result.output
    assert result.stderr.splitlines()[-1] == "proc:web: stopped on node1"
    assert serving.value(RESOURCES)["proc:web"]["state"] == "stopped"


def test_wait_sees_a_refusal(serving: Cluster) -> None:
    with serving.master(online=frozenset({"node1", "node2"})):
        result = serving.run("migrate", "proc:web", "node3", "--wait", "10")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1] == "hacore: not done: refused: node3 is not online"


def test_wait_sees_a_move_fail(serving: Cluster) -> None:
    with serving.master(answers={"relocate": "failed"}):
        result = serving.run("relocate", "proc:web", "node3", "--wait", "10")
    assert result.exit_code == 1
    assert "started on node1 (" in result.stderr.splitlines()[-1]


def test_wait_sees_a_stop_fail(serving: Cluster) -> None:
    with serving.master(answers={"request_stop": "stuck"}):
        result = serving.run("stop", "proc:web", "--wait", "10")
    assert result.exit_code == 1
    assert "error on node1 (it may still run)" in result.stderr.splitlines()[-1]


def test_wait_ends(serving: Cluster) -> None:
    result = serving.run("migrate", "proc:web", "node2", "--wait", "0.1")
    assert result.exit_code == 1
    assert "not done after 0.1 s: queued: there is no master to take it; the command stands" in result.stderr
    assert serving.queued() == ["migrate proc:web node2"]
