"""Documents read back as they were written; what does not fit is refused with document and field; names are checked."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hacore.manager import documents
from hacore.manager.documents import (
    COMMANDS,
    DYNAMIC_STATS,
    MEMBERS,
    RESOURCES,
    SETTINGS,
    STATIC_STATS,
    STATUS,
    Command,
    Commands,
    Disarm,
    DocumentError,
    DynamicStats,
    LrmStatus,
    Record,
    Resource,
    Settings,
    Size,
    StaticStats,
    Status,
    Use,
    dump,
    lrm_key,
)
from hacore.protocol.names import NameProblem, check_node, check_sid
from hacore.protocol.requests import Document, Snapshot

EMPTY = Snapshot({}, 0)


def holding(key: str, value: Any) -> Snapshot:
    return Snapshot({key: Document(value, 3)}, 3)


def test_what_is_absent_has_its_defaults() -> None:
    assert documents.status_of(EMPTY) == Status()
    assert documents.resources_of(EMPTY) == {}
    assert documents.settings_of(EMPTY) == Settings()
    assert documents.members_of(EMPTY) == []
    assert documents.commands_of(EMPTY) == Commands()
    assert documents.lrm_of(EMPTY, "n1") == LrmStatus()


def test_absent_documents_do_not_share_their_defaults() -> None:
    documents.status_of(EMPTY).nodes["n1"] = "online"
    documents.commands_of(EMPTY).queue.append(Command(1, "arm-ha"))
    documents.lrm_of(EMPTY, "n1").results["1"] = "success"
    assert (Status().nodes, Commands().queue, LrmStatus().results) == ({}, [], {})
    assert Record("started", "n1", "1").failed_nodes is not Record("started", "n1", "1").failed_nodes


RECORDS = {"vm:1": Record("migrate", "n1", "4", target="n2")}
WRITTEN: list[tuple[Any, Any]] = [
    (
        Status("n1", {"n1": "online"}, RECORDS, ["n2"], Disarm("freeze", "deferred"), 4),
        documents.status_of,
    ),
    ({"proc:a": Resource("n1", config={"command": ["sleep", "9"], "deep": {"x": [1, None]}})}, documents.resources_of),
    (Settings("migrate", rebalance_on_start=True, timing={"round_s": 0.2}), documents.settings_of),
    (StaticStats({"n1": Size(8.0, 2**33)}, {"vm:1": Size(0.5, 2**31)}), documents.static_stats_of),
    (DynamicStats({"n1": Use(1.5, 2**31)}, {"vm:1": Use(0.25, 2**30)}), documents.dynamic_stats_of),
    (["n1", "n2"], documents.members_of),
    (Commands(3, [Command(3, "arm-ha")]), documents.commands_of),
    (LrmStatus("active", 2, {"4": "success"}), lambda seen: documents.lrm_of(seen, "n1")),
]


@pytest.mark.parametrize(
    ("key", "value", "read"),
    [
        (key, value, read)
        for key, (value, read) in zip(
            (STATUS, RESOURCES, SETTINGS, STATIC_STATS, DYNAMIC_STATS, MEMBERS, COMMANDS, lrm_key("n1")),
            WRITTEN,
            strict=True,
        )
    ],
    ids=["status", "resources", "settings", "static", "dynamic", "members", "commands", "lrm"],
)
def test_what_is_written_reads_back(key: str, value: Any, read: Any) -> None:
    stored = msgspec.json.decode(msgspec.json.encode(dump(value)))
    assert read(holding(key, stored)) == value
    assert dump(read(holding(key, stored))) == stored


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        (STATUS, [], "document 'manager/status': Expected `object`"),
        (STATUS, {"services": {"proc:a": {"state": "started"}}}, "missing required field `node`"),
        (STATUS, {"last_uid": "9"}, "$.last_uid"),
        (RESOURCES, {"proc:a": {}}, "missing required field `node`"),
        (RESOURCES, {"proc:a": {"node": "n1", "state": "running"}}, "state 'running' is none of started, stopped, "),
        (RESOURCES, {"proc:a": {"node": "n1", "max_restart": -1}}, "max_restart and max_relocate must be at least 0"),
        (RESOURCES, {"proc:a": {"node": "n1", "sate": "started"}}, "unknown field `sate`"),
        (SETTINGS, {"shutdown_policy": "none"}, "shutdown_policy 'none' is none of conditional, "),
        (SETTINGS, {"balance": True}, "unknown field `balance`"),
        (SETTINGS, {"scheduler": "fair"}, "scheduler 'fair' is none of basic, static, dynamic"),
        (SETTINGS, {"rebalance_method": "luck"}, "rebalance_method 'luck' is none of bruteforce, topsis"),
        (SETTINGS, {"rebalance_margin": -0.1}, "rebalance_margin must be at least 0"),
        (STATIC_STATS, {"nodes": {"n1": {"maxcpu": 4}}}, "node n1 must have processors and memory"),
        (STATIC_STATS, {"services": {"vm:1": {"cpu": 4}}}, "unknown field `cpu`"),
        (DYNAMIC_STATS, {"services": {"vm:1": {"cpu": -4}}}, "processors and memory must be numbers of at least 0"),
        (MEMBERS, "n1", "document 'members': Expected `array`"),
        (COMMANDS, {"queue": [{"id": 1}]}, "missing required field `text`"),
    ],
)
def test_what_does_not_fit_is_refused_with_document_and_field(key: str, value: Any, words: str) -> None:
    read: Any = {
        STATUS: documents.status_of,
        RESOURCES: documents.resources_of,
        SETTINGS: documents.settings_of,
        STATIC_STATS: documents.static_stats_of,
        DYNAMIC_STATS: documents.dynamic_stats_of,
        MEMBERS: documents.members_of,
        COMMANDS: documents.commands_of,
    }[key]
    with pytest.raises(DocumentError) as refused:
        read(holding(key, value))
    assert str(refused.value).startswith(f"document '{key}': ")
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("sid", ["proc:web", "vm:100", "ct:a-b_c.D@1", "p2:" + "x" * 63])
def test_a_service_may_be_called(sid: str) -> None:
    assert check_sid(sid) == sid


@pytest.mark.parametrize(
    "sid", ["", "web", "proc:", ":web", "Proc:web", "proc:-web", "proc:web ", "proc:a/b", "proc:web\n", "p:" + "x" * 64]
)
def test_a_service_may_not_be_called(sid: str) -> None:
    with pytest.raises(NameProblem, match="bad service id"):
        check_sid(sid)


@pytest.mark.parametrize("node", ["n1", "a", "node-1", "0a", "x" * 63])
def test_a_node_may_be_called(node: str) -> None:
    assert check_node(node) == node


@pytest.mark.parametrize("node", ["", "N1", "-a", "a-", "a.b", "a/b", "..", "a\n", "x" * 64, "knö"])
def test_a_node_may_not_be_called(node: str) -> None:
    with pytest.raises(NameProblem, match="bad node name"):
        check_node(node)


@given(st.text(max_size=12))
def test_a_name_never_leaves_its_directory_or_key(name: str) -> None:
    """Names become parts of keys and of paths."""
    try:
        check_node(name)
    except NameProblem:
        return
    assert not set(name) & set("/.\0\n ")
    assert len(lrm_key(name).split("/")) == 2
