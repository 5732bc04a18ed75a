"""What the names of the service, node and disarm tables mean: what a master plans with a record, and what it writes.

A plan is the row that a master has decided for one record, and has not yet written. Deciding and writing are two steps,
with any pause between them. A real transaction holds a plan for every record at once; here they are written one after
the other, in an order that the tables allow, which adds states and leaves none out. Only one order is insisted upon,
because a transaction knows no other: a node's fencing lock is freed after the services that rest on it have moved on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from hacore.protocol import disarm, node, service
from hacore.protocol.table import Action, Fact, Row, Table
from hacore.protocol.vocabulary import FENCED, MAINTENANCE_ASKED
from model_check.lang import FALSE, TRUE, Context, Domain, Expr, every, ite, some
from model_check.world.fields import OUTCOMES, RELEASES, Dimensions, in_fence
from model_check.world.rows import UNKNOWN, Effect, Reader, Truth, at, conditions
from model_check.world.slices import Slice
from model_check.world.spells import Spells

PLACED = (service.SET_TARGET, service.TAKE_COMMAND, service.STEAL, service.FOLLOW)
"""Actions for which placement, or a command to move, names a node."""


class Records:
    """Plans and writes of one world's masters."""

    def __init__(self, dims: Dimensions, slice_: Slice, spells: Spells, tables: Mapping[str, Table]) -> None:
        self.dims, self.slice, self.spells, self.tables = dims, slice_, spells, tables
        self.readers = {
            "service": Reader("service", "state", {"s": dims.service}, self._service_facts(), blind=_has_read),
            "node": Reader("node", "node_state", {"n": dims.node}, self._node_facts(), blind=_has_read),
            "disarm": Reader("disarm", "disarm", {}, self._disarm_facts(), blind=_has_read),
        }

    # ------------------------------------------------------------------------------------------------------ facts

    def _if(self, happening: str, truth: Truth = UNKNOWN) -> Callable[..., Truth]:
        return lambda *_, **__: truth if self.slice.has(happening) else FALSE

    def _service_facts(self) -> dict[Fact, Callable[..., Truth]]:
        def answered(*outcomes: str) -> Callable[..., Truth]:
            return lambda c, s: c.answer[s].isin(*outcomes)

        def mode(c: Context, s: Expr, *modes: str) -> Expr:
            return c.mode[c.at[s]].isin(*modes)

        def asks_again(c: Context, s: Expr) -> Expr:
            return mode(c, s, *RELEASES) & ~(c.gen[c.at[s]] == c.ack[s])

        return {
            service.WANT_STARTED: lambda c, s: c.wanted[s] == "started",
            service.WANT_DISABLED: lambda c, s: c.wanted[s] == "disabled",
            service.SUCCEEDED: answered("success"),
            service.START_FAILED: answered("failed", "wrong_node"),
            service.WRONG_NODE: answered("wrong_node"),
            service.WENT_DOWN: answered("down"),
            service.ANSWERED: answered(*OUTCOMES),
            service.NOTED: lambda c, s: UNKNOWN,
            service.NODE_ONLINE: lambda c, s: self.spells.online(c, c.at[s]),
            service.NODE_LOST: lambda c, s: self.spells.lost(c, c.at[s]),
            service.IN_MAINTENANCE: lambda c, s: c.node_state[c.at[s]] == "maintenance",
            service.LRM_RESTARTS: lambda c, s: mode(c, s, "restart"),
            service.LRM_ACTIVE: lambda c, s: mode(c, s, "active"),
            service.LRM_ASKS_AGAIN: asks_again,
            service.DISARMING: lambda c, s: c.disarm.isin("disarming", "disarmed"),
            service.REBALANCE: self._if("move"),
            service.ELSEWHERE: self._if("move"),
            service.LIVE: lambda c, s: TRUE if self.slice.has("live") else FALSE,
            service.EXHAUSTED: lambda c, s: UNKNOWN,
            service.ASKED_STOP: self._if("stop"),
            service.ASKED_MIGRATE: self._if("move"),
            service.ASKED_RELOCATE: self._if("move"),
            service.MOVED: self._if("move"),
            FENCED: lambda c, s: c.lock[c.at[s]] == "fencing",
            service.MOVED_LIVE: lambda c, s: ~c.target[s].is_none(),
            service.PLACE_FOUND: lambda c, s: UNKNOWN,
            service.BLOCKED_TOLD: lambda c, s: UNKNOWN,
            service.STOP_TRIED: lambda c, s: UNKNOWN,
        }

    def _node_facts(self) -> dict[Fact, Callable[..., Truth]]:
        return {
            node.ONLINE: self.spells.online,
            node.MEMBER: lambda c, n: TRUE,
            node.GONE_LONG: lambda c, n: FALSE,
            node.LRM_MAINTENANCE: lambda c, n: c.mode[n] == "maintenance",
            MAINTENANCE_ASKED: lambda c, n: c.maintained[n],
            node.SERVICES_IN_FENCE: lambda c, n: in_fence(c, self.dims, n),
            FENCED: lambda c, n: c.lock[n] == "fencing",
        }

    def _disarm_facts(self) -> dict[Fact, Callable[..., Truth]]:
        def unsettled(c: Context) -> Expr:
            return some(self.dims.service, lambda s: c.state[s].isin("fence", "recovery", "migrate", "relocate"))

        return {
            disarm.DISARM_COMMAND: self._if("disarm"),
            disarm.ARM_COMMAND: self._if("disarm"),
            disarm.UNSETTLED: unsettled,
            disarm.ALL_RELEASED: lambda c: every(
                self.dims.node, lambda n: (c.mode[n] == "disarm") & (c.lock[n] == "free")
            ),
            disarm.LOCATIONS_FREE: lambda c: FALSE,
        }

    # ---------------------------------------------------------------------------------------------------- planning

    def plans(self, c: Context) -> Iterator[tuple[str, Mapping[str, Domain], Effect]]:
        """For each row that changes anything: a master (``m``) decides it. Its name, parameters and effect."""
        for reader in self.readers.values():
            for rows in self.tables[reader.table].by_state.values():
                fires = conditions(reader, rows, c)
                for row in filter(changes, rows):
                    extra = {"d": self.dims.node} if placed(row) else {}
                    yield row.id, {**reader.over, **extra}, self._planning(reader, row, fires[row.id])

    def _planning(self, reader: Reader, row: Row, fires: Expr) -> Effect:
        def plan(c: Context, m: Expr, **given: Expr) -> None:
            c.when(at(c, reader, {key: given[key] for key in reader.over}) == row.state, fires)
            c.plan[m] = row.id
            c.basis[m] = True
            c.lock_seen[m] = True
            self._note(c, m, row, given)

        return plan

    def _note(self, c: Context, m: Expr, row: Row, given: Mapping[str, Expr]) -> None:
        about = given.get("n", c.at[given["s"]] if "s" in given else None)
        if about is not None:
            c.about[m] = about
        if "s" in given:
            c.about_service[m] = given["s"]
        if "d" in given:
            c.when(self._placed(c, row, given))
            c.dest[m] = given["d"]
        if service.ACKNOWLEDGE in row.do:
            c.read_gen[m] = c.gen[c.at[given["s"]]]
        if node.FREE_LOCK in row.do:
            c.when(~in_fence(c, self.dims, given["n"]))

    def _placed(self, c: Context, row: Row, given: Mapping[str, Expr]) -> Expr:
        if service.STEAL in row.do:
            return c.node_state[given["d"]] == "online"
        if service.FOLLOW in row.do:
            return TRUE
        return (c.node_state[given["d"]] == "online") & ~(c.at[given["s"]] == given["d"])

    # ----------------------------------------------------------------------------------------------------- writing

    def writes(self) -> Iterator[tuple[str, Effect]]:
        """For each row that may be planned: what its writing does. Its name and effect, given the master ``m``."""
        for name in self.readers:
            for row in filter(changes, self.tables[name].rows):
                yield row.id, self._writing(name, row)

    def _writing(self, table: str, row: Row) -> Effect:
        def write(c: Context, m: Expr) -> None:
            c.when(c.plan[m] == row.id)
            if table == "service":
                self._write_service(c, row, c.about_service[m], m)
            elif table == "node":
                c.node_state[c.about[m]] = row.target
                if node.FREE_LOCK in row.do:
                    self._free(c, m)
            else:
                c.disarm = row.target

        return write

    def _write_service(self, c: Context, row: Row, s: Expr, m: Expr) -> None:
        anew = row.target != row.state
        c.state[s] = row.target
        if anew or service.NEW_UID in row.do:
            self._new_uid(c, s)
        if service.ACKNOWLEDGE in row.do:
            c.ack[s] = c.read_gen[m]
        elif anew:
            c.ack[s] = 0
        self._write_place(c, row, s, m)
        if service.WANT_STOP in row.do:
            c.wanted[s] = "stopped"

    def _write_place(self, c: Context, row: Row, s: Expr, m: Expr) -> None:
        if placed(row) and not set(row.do) & {service.STEAL, service.FOLLOW}:
            c.target[s] = c.dest[m]
        elif row.target != row.state and service.KEEP_TARGET not in row.do:
            c.target[s] = None
        if service.ARRIVE in row.do:
            c.at[s] = ite(c.target[s].is_none(), c.at[s], c.target[s])
        if service.STEAL in row.do or service.FOLLOW in row.do:
            c.at[s] = c.dest[m]

    def _new_uid(self, c: Context, s: Expr) -> None:
        """What was asked, done or answered before is of another uid."""
        c.answer[s] = "none"
        c.current[:, s] = False
        c.outcome[:, s] = "none"
        c.job_current[:] = lambda n: c.job_current[n] & ~(c.job[n] == s)

    def _free(self, c: Context, m: Expr) -> None:
        c.lock[c.about[m]] = "free"
        c.mine[c.about[m]] = False
        c.untouched[:, c.about[m]] = False
        c.late_valid[c.about[m]] = c.late_valid[c.about[m]] & (c.late[c.about[m]] != "release")


def _has_read(*_: object, **__: object) -> tuple[Expr, Expr]:
    """A master decides only on what it has read."""
    return TRUE, FALSE


def placed(row: Row) -> bool:
    """Whether placement, or a command to move, names a node for this row."""
    return bool(set(row.do) & set(PLACED)) and service.WANT_STOP not in row.do


def changes(row: Row) -> bool:
    """Whether writing it changes anything that the model keeps track of."""
    return row.target != row.state or not WRITES.isdisjoint(row.do)


WRITES = frozenset[Action](
    {
        service.SET_TARGET,
        service.ARRIVE,
        service.STEAL,
        service.FOLLOW,
        service.NEW_UID,
        service.ACKNOWLEDGE,
        service.WANT_STOP,
        node.FREE_LOCK,
        disarm.SET_REQUEST,
        disarm.DROP_REQUEST,
    }
)
"""Actions that change a record although its state stays."""
