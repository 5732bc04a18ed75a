"""Clusters in whatever condition, as hypothesis draws them."""

from hypothesis import strategies as st

from hacore.manager.documents import Command, Commands, Device, Disarm, LrmStatus, Record, Resource, Settings, Status
from hacore.manager.view import Sight
from hacore.protocol.locks import FENCING, Lock
from hacore.protocol.service import SERVICE
from tests.manager.cluster import LAST_UID, NODES, OWN, Cluster

SIDS = ("proc:a", "proc:b", "vm:1")
FOUR = (*NODES, "n4")
"""n4 may be no member."""

nodes = st.sampled_from(FOUR)
members = st.sampled_from([[*NODES], [*FOUR], ["n1", "n3"]])
node_states = st.sampled_from(["unknown", "online", "online", "maintenance", "fence", "gone"])
answers = st.sampled_from(["success", "success", "failed", "stuck", "down", "wrong_node", "ignored"])
modes = st.sampled_from(["", "active", "active", "idle", "restart", "disarm", "maintenance", "shutdown"])
sightings = st.sampled_from(["online", "online", "away", "lost", "gone"])
words = st.sampled_from(
    [
        *(f"{verb} {sid} n2" for verb in ("migrate", "relocate") for sid in SIDS),
        *("stop proc:a 5", "stop vm:9 5", "enable-node-maintenance n1", "disable-node-maintenance n1"),
        *("disarm-ha freeze", "disarm-ha ignore", "arm-ha", "nonsense", "migrate proc:a", ""),
    ]
)
records = st.builds(
    Record,
    state=st.sampled_from([state.name for state in SERVICE.states]),
    node=nodes,
    uid=st.integers(1, LAST_UID).map(str),
    target=st.sampled_from(["", "n1", "n2", "n3"]),
    timeout_s=st.sampled_from([None, 5.0]),
    running=st.booleans(),
    generation=st.integers(0, 2),
    failed_nodes=st.lists(nodes, max_size=2),
    maintenance_node=st.sampled_from(["", "", "n1", "n2"]),
)
resources = st.builds(
    Resource,
    node=nodes,
    state=st.sampled_from(["started", "started", "started", "stopped", "disabled", "ignored"]),
    max_relocate=st.integers(0, 2),
    failback=st.booleans(),
)
lrms = st.builds(
    LrmStatus,
    mode=modes,
    generation=st.integers(0, 2),
    results=st.dictionaries(st.integers(1, LAST_UID).map(str), answers, max_size=6),
)
disarms = st.sampled_from(
    [
        None,
        None,
        None,
        *((mode, state) for mode in ("freeze", "ignore") for state in ("deferred", "disarming", "disarmed")),
    ]
)


@st.composite
def clusters(draw: st.DrawFn) -> Cluster:
    """Documents and sight in any combination that the types allow; n3, the master's node, is online."""
    status = Status(
        master=draw(nodes),
        nodes=draw(st.dictionaries(nodes, node_states)) | {OWN: "online"},
        services=draw(st.dictionaries(st.sampled_from(SIDS), records, max_size=3)),
        maintenance=sorted(draw(st.sets(nodes, max_size=1))),
        last_uid=LAST_UID,
    )
    disarm = draw(disarms)
    status.disarm = Disarm(*disarm) if disarm else None
    uids = iter(draw(st.permutations(range(1, LAST_UID))))
    for record in status.services.values():
        record.uid = str(next(uids))
    texts = draw(st.lists(words, max_size=2))
    configured = draw(st.dictionaries(st.sampled_from(SIDS), resources, max_size=3))
    for sid in draw(st.sets(st.sampled_from(sorted(status.services)))) if status.services else ():
        configured.setdefault(sid, Resource(status.services[sid].node))
    return Cluster(
        status=status,
        resources=configured,
        lrms=draw(st.fixed_dictionaries({}, optional=dict.fromkeys(FOUR, lrms))),
        locks={
            node: Lock(owner, 5, 3, 9.0)
            for node, owner in draw(st.dictionaries(nodes, st.sampled_from(["", "self", FENCING]))).items()
        },
        settings=Settings(
            rebalance_on_start=draw(st.booleans()),
            fencing={node: [[Device("fence_dummy")]] for node in ("n1", "n2", "n4")},
        ),
        members=draw(members),
        commands=Commands(2, [Command(number, text) for number, text in enumerate(texts, 1)]),
        sight=draw(sights()),
    )


@st.composite
def sights(draw: st.DrawFn) -> Sight:
    """What a CRM on n3 can see: who is lost is not online, who is gone for long is lost."""
    seen = {node: draw(sightings) for node in FOUR} | {OWN: "online"}
    shot = draw(st.sampled_from([{}, {"n1": False}, {"n1": True}, {"n2": True, "n4": False}]))
    return Sight(
        online=frozenset(node for node in FOUR if seen[node] == "online"),
        lost=frozenset(node for node in FOUR if seen[node] in {"lost", "gone"}),
        gone_long=frozenset(node for node in FOUR if seen[node] == "gone"),
        expired=frozenset(draw(st.sets(nodes))),
        shot=frozenset(shot),
        off=frozenset(node for node, known in shot.items() if known),
    )
