"""A command is checked when it is written; one that cannot be carried out is an event, and nothing else happens."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hacore.manager.commands import GRAMMAR, CommandError, append, check
from hacore.manager.documents import (
    COMMANDS,
    STATUS,
    Command,
    Commands,
    Disarm,
    Record,
    Resource,
    commands_of,
    dump,
    status_of,
)
from hacore.manager.round import decide
from hacore.manager.view import REFUSALS_KEPT
from hacore.protocol.names import NameProblem
from hacore.protocol.requests import Document, Snapshot
from tests.manager.cluster import OWN, VM, WEB, Cluster, after, event, kinds, settle

# ------------------------------------------------------------------------------------------- when it is written


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("migrate proc:web n2", ["migrate", "proc:web", "n2"]),
        ("  relocate   vm:100 n2\n", ["relocate", "vm:100", "n2"]),
        ("stop proc:web 0", ["stop", "proc:web", "0"]),
        ("enable-node-maintenance n1", ["enable-node-maintenance", "n1"]),
        ("disable-node-maintenance n1", ["disable-node-maintenance", "n1"]),
        ("disarm-ha ignore", ["disarm-ha", "ignore"]),
        ("arm-ha", ["arm-ha"]),
    ],
)
def test_a_command_is_its_words(text: str, words: list[str]) -> None:
    assert check(text) == words


def test_every_command_of_the_grammar_is_tested() -> None:
    assert set(GRAMMAR) == {*["migrate", "relocate", "stop", "disarm-ha", "arm-ha"]} | {
        f"{verb}-node-maintenance" for verb in ("enable", "disable")
    }


@pytest.mark.parametrize(
    ("text", "problem", "words"),
    [
        ("", CommandError, "unknown command ''"),
        ("reboot n1", CommandError, "unknown command 'reboot': the commands are migrate, "),
        ("Migrate proc:web n2", CommandError, "unknown command"),
        ("migrate proc:web", CommandError, "write: migrate SID NODE"),
        ("migrate proc:web n2 n3", CommandError, "write: migrate SID NODE"),
        ("arm-ha now", CommandError, "write: arm-ha"),
        ("migrate web n2", NameProblem, "bad service id 'web'"),
        ("migrate proc:web N2", NameProblem, "bad node name 'N2'"),
        ("stop proc:web soon", CommandError, "bad time-out 'soon'"),
        ("stop proc:web -1", CommandError, "bad time-out '-1'"),
        ("stop proc:web 1.5", CommandError, "bad time-out '1.5'"),
        ("disarm-ha", CommandError, "write: disarm-ha MODE"),
        ("disarm-ha off", CommandError, "bad mode 'off'"),
        ("enable-node-maintenance ../n1", NameProblem, "bad node name"),
    ],
)
def test_a_malformed_command_is_refused_with_its_reason(text: str, problem: type[ValueError], words: str) -> None:
    with pytest.raises(problem) as refused:
        check(text)
    assert str(refused.value).startswith(words)
    assert "\n" not in str(refused.value)
    with pytest.raises(problem):
        append(Commands(), text)


def test_commands_are_numbered_in_their_order() -> None:
    queue = append(append(Commands(7, [Command(7, "arm-ha")]), "disarm-ha freeze"), "  stop  proc:web 5")
    assert queue == Commands(9, [Command(7, "arm-ha"), Command(8, "disarm-ha freeze"), Command(9, "stop proc:web 5")])


@given(st.text())
def test_whatever_is_written_is_a_command_or_is_refused(text: str) -> None:
    try:
        words = check(text)
    except (CommandError, NameProblem):
        return
    assert check(" ".join(words)) == words == text.split()


# ---------------------------------------------------------------------------------------- when the master reads it


def settled(*, disarm: str = "", state: str = "started", want: str = "started") -> tuple[Cluster, Snapshot]:
    """A cluster in which the master has nothing to do: proc:web on n1, n2 not online."""
    cluster = Cluster()
    cluster.service(WEB, Record(state, "n1", "7", running=True), Resource("n1", want))
    cluster.lose("n2", since="away")
    if disarm:
        cluster.status.disarm = Disarm("freeze", disarm)
    return cluster, settle(cluster.snapshot(), cluster.sight)


def commanded(snapshot: Snapshot, *texts: str) -> Snapshot:
    """The documents with these commands in the queue, unchecked: a queue may be written by anybody."""
    last = commands_of(snapshot).last_id
    queue = [Command(last + number, text) for number, text in enumerate(texts, 1)]
    document = Document(dump(Commands(last + len(texts), queue)), snapshot.revision + 1)
    return Snapshot({**snapshot.documents, COMMANDS: document}, snapshot.revision + 1)


@pytest.mark.parametrize(
    ("text", "reason", "world"),
    [
        ("nonsense", "unknown command 'nonsense'", {}),
        ("migrate proc:web", "write: migrate SID NODE", {}),
        ("migrate proc:nope n3", "proc:nope is not managed", {}),
        ("relocate proc:nope n3", "proc:nope is not managed", {}),
        ("stop proc:nope 5", "proc:nope is not managed", {}),
        ("migrate proc:web n2", "n2 is not online", {}),
        ("relocate proc:web n9", "n9 is not online", {}),
        ("migrate proc:web n1", "proc:web is on n1 already", {}),
        ("relocate proc:web n1", "proc:web is on n1 already", {}),
        ("migrate proc:web n3", "proc:web is in state error", {"state": "error"}),
        ("stop proc:web 5", "proc:web is in state stopped", {"state": "stopped", "want": "stopped"}),
        ("migrate proc:web n3", "proc:web is in state request_stop", {"state": "request_stop", "want": "stopped"}),
        ("migrate proc:web n3", "proc:web is in state freeze", {"disarm": "disarming"}),
        ("enable-node-maintenance n2", "n2 is not online", {}),
        ("enable-node-maintenance n9", "n9 is not online", {}),
        ("enable-node-maintenance n1", "the cluster is disarmed", {"disarm": "disarming"}),
    ],
)
def test_what_cannot_be_done_is_refused_and_nothing_else_happens(text: str, reason: str, world: dict[str, Any]) -> None:
    cluster, before = settled(**world)
    asked = commanded(before, text)
    decision = decide(OWN, asked, cluster.sight)
    assert kinds(decision) == ["command_refused"]
    said = event(decision, "command_refused")
    assert (said["id"], said["command"]) == (1, text)
    assert said["reason"].startswith(reason)
    assert set(decision.writes) == {STATUS, COMMANDS}
    assert decision.writes[COMMANDS] == {"last_id": 1, "queue": []}
    refusals = decision.writes[STATUS].pop("refusals")
    assert refusals == [{"id": 1, "text": text, "reason": said["reason"]}]
    assert decision.writes[STATUS] == before[STATUS].value


def test_only_the_last_few_refusals_are_kept() -> None:
    cluster, before = settled()
    asked = commanded(before, *(f"nonsense-{number}" for number in range(REFUSALS_KEPT + 3)))
    status = status_of(after(asked, decide(OWN, asked, cluster.sight)))
    assert [refusal.id for refusal in status.refusals] == [*range(4, REFUSALS_KEPT + 4)]


def test_a_refused_command_does_not_keep_the_next_from_being_taken() -> None:
    cluster, before = settled()
    asked = commanded(before, "nonsense", "relocate proc:web n3", "stop proc:nope 1")
    decision = decide(OWN, asked, cluster.sight)
    assert [each.fields["id"] for each in decision.events if each.kind == "command_refused"] == [1, 3]
    assert status_of(after(asked, decision)).services[WEB].target == "n3"


def test_a_command_lives_for_one_round() -> None:
    cluster, before = settled()
    asked = commanded(before, "stop proc:web 5")
    written = after(asked, decide(OWN, asked, cluster.sight))
    assert commands_of(written).queue == []
    assert decide(OWN, written, cluster.sight).events == ()


@pytest.mark.parametrize("sid", [WEB, VM])
def test_a_service_is_commanded_in_the_round_in_which_it_is_managed(sid: str) -> None:
    cluster = Cluster()
    cluster.service(sid, Record("started", "n1", "7", running=True))
    cluster.command(f"migrate {sid} n2")
    record = status_of(after(cluster.snapshot(), cluster.decide())).services[sid]
    assert (record.state, record.target) == ("migrate" if sid == VM else "relocate", "n2")


def test_maintenance_is_requested_once_and_withdrawn() -> None:
    cluster, before = settled()
    asked = commanded(before, "enable-node-maintenance n1", "enable-node-maintenance n1")
    written = after(asked, decide(OWN, asked, cluster.sight))
    assert status_of(written).maintenance == ["n1"]
    withdrawn = commanded(written, "disable-node-maintenance n1", "disable-node-maintenance n3")
    assert status_of(after(withdrawn, decide(OWN, withdrawn, cluster.sight))).maintenance == []


def test_a_master_whose_own_node_is_away_leaves_the_commands_for_the_next() -> None:
    cluster = Cluster()
    cluster.lose(OWN, since="away")
    cluster.command("enable-node-maintenance n1")
    assert COMMANDS not in cluster.decide().writes


def test_of_two_commands_to_one_service_none_is_lost_silently() -> None:
    cluster, before = settled()
    decision = decide(OWN, commanded(before, "stop proc:web 5", "relocate proc:web n3"), cluster.sight)
    assert "command_refused" in kinds(decision)


@pytest.mark.parametrize(
    ("disarm", "text"),
    [("", "arm-ha"), ("disarming", "disarm-ha freeze"), ("disarming", "disarm-ha ignore")],
)
def test_disarming_twice_or_arming_what_is_armed_is_refused(disarm: str, text: str) -> None:
    cluster, before = settled(disarm=disarm)
    decision = decide(OWN, commanded(before, text), cluster.sight)
    assert kinds(decision) == ["command_refused"]


def test_a_command_to_a_service_that_nobody_guards_yet_is_refused_and_says_why() -> None:
    cluster = Cluster(resources={WEB: Resource("n1")})
    cluster.command("relocate proc:web n2")
    refused = [event for event in cluster.decide().events if event.kind == "command_refused"]
    assert [event.fields["reason"] for event in refused] == ["proc:web is in state new"]
