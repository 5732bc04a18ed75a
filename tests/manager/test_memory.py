"""What a master remembers from round to round makes it quicker, and changes nothing of what it decides."""

from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hacore.manager import services, view
from hacore.manager.documents import STATUS, DocumentError, Record, Status, status_of
from hacore.manager.memory import Memory
from hacore.manager.round import decide
from hacore.manager.view import View
from hacore.protocol.requests import Document, Snapshot
from tests.manager.cluster import OWN, WEB, Cluster, after
from tests.manager.worlds import clusters


def decide_twice_with_one_memory(cluster: Cluster) -> None:
    """The second decision is about the same documents, the third about what the first one wrote."""
    memory, before = Memory(), cluster.snapshot()
    alone = decide(OWN, before, cluster.sight)
    for _ in range(2):
        assert decide(OWN, before, cluster.sight, memory=memory) == alone
    written = after(before, alone)
    assert decide(OWN, written, cluster.sight, memory=memory) == decide(OWN, written, cluster.sight)


@settings(max_examples=60)
@given(clusters())
def test_a_memory_changes_no_decision(cluster: Cluster) -> None:
    decide_twice_with_one_memory(cluster)


def renewed(snapshot: Snapshot, number: int) -> Snapshot:
    """The same documents, each written anew."""
    return Snapshot({key: Document(it.value, 1000 * number + it.revision) for key, it in snapshot.documents.items()}, 1)


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(clusters(), min_size=2, max_size=3))
def test_a_memory_of_other_documents_changes_no_decision(turns: list[Cluster]) -> None:
    memory = Memory()
    for number, cluster in enumerate(turns):
        snapshot = renewed(cluster.snapshot(), number)
        assert decide(OWN, snapshot, cluster.sight, memory=memory) == decide(OWN, snapshot, cluster.sight)


def running() -> Cluster:
    cluster = Cluster()
    cluster.service(WEB, Record("started", "n1", "1", running=True))
    return cluster


def test_what_rests_is_not_looked_at_again() -> None:
    memory, cluster = Memory(), running()
    decide(OWN, cluster.snapshot(), cluster.sight, memory=memory)
    with patch.object(services, "step", side_effect=AssertionError):
        decide(OWN, cluster.snapshot(), cluster.sight, memory=memory)


def test_a_rest_that_does_not_end_with_its_node_would_be_noticed() -> None:
    def rests(self: View, sid: str) -> bool:
        return self.memory.resting(sid) is not None

    memory, before, later = Memory(), running(), running()
    later.lose("n1")
    snapshot = renewed(later.snapshot(), 1)
    decide(OWN, before.snapshot(), before.sight, memory=memory)
    with patch.object(View, "rests", rests):
        assert decide(OWN, snapshot, later.sight, memory=memory) != decide(OWN, snapshot, later.sight)
    assert decide(OWN, snapshot, later.sight, memory=memory) == decide(OWN, snapshot, later.sight)


def test_a_record_that_is_changed_where_it_is_remembered_would_be_noticed() -> None:
    cluster = Cluster()
    cluster.service(WEB, Record("started", "n1", "1"))
    cluster.lose("n1")

    def uncopied(status: Status) -> Status:
        return status

    with patch.object(view, "working_copy", uncopied), pytest.raises(AssertionError):
        decide_twice_with_one_memory(cluster)


def test_a_document_is_read_once_for_each_revision() -> None:
    memory = Memory()
    old = Snapshot({STATUS: Document({"master": "n1"}, 1)}, 1)
    new = Snapshot({STATUS: Document({"master": "n2"}, 2)}, 2)
    assert memory.read(old, STATUS, status_of) is memory.read(old, STATUS, status_of)
    assert memory.read(new, STATUS, status_of).master == "n2"


def test_an_entry_that_is_nothing_is_told_as_what_it_is() -> None:
    snapshot = Snapshot({STATUS: Document({"services": {WEB: None}}, 1)}, 1)
    with pytest.raises(DocumentError):
        Memory().status(snapshot)
