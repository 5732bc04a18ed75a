"""What the design promises of the tables' shape, each promise as a function that finds the rows which break it."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import product
from typing import Any

from hacore.protocol import crm, lrm
from hacore.protocol.table import Action, Checker, Fact, Guard, Row, Site, Table
from hacore.protocol.vocabulary import GRANTED, HEARTBEAT, QUORATE

Problems = list[str]
"""The rows that break a promise."""


def needs(row: Row, *facts: Fact) -> bool:
    """Whether the row cannot fire unless one of the facts holds."""
    other = [fact for fact in dict.fromkeys(row.guard.facts()) if fact not in facts]
    valuations = (dict(zip(other, values, strict=True)) for values in product((False, True), repeat=len(other)))
    return not any(row.guard.holds(lambda fact, of=of: of.get(fact, False)) for of in valuations)  # type: ignore[misc]


def forbids(row: Row, fact: Fact) -> bool:
    """Whether the row cannot fire while the fact holds."""
    return needs(replace(row, guard=_opposite(row.guard, fact)), fact)


def _opposite(guard: Guard, fact: Fact) -> Guard:
    """The guard with the fact's values swapped."""

    class Swapped(Guard):
        __slots__ = ()

        def holds(self, value: Callable[[Fact], bool]) -> bool:
            return guard.holds(lambda each: value(each) ^ (each == fact))

        def facts(self) -> Any:
            return guard.facts()

    return Swapped()


def into(table: Table, state: str) -> list[Row]:
    """The rows that lead into a state from another one."""
    return [row for row in table.rows if row.target == state != row.state]


def reached(table: Table, begin: Iterable[str], without: Callable[[Row], bool] = lambda _: False) -> set[str]:
    """The states reached from ``begin`` by rows other than those left out."""
    seen, ahead = set(begin), list(begin)
    while ahead:
        state = ahead.pop()
        new = {row.target for row in table.by_state[state] if not without(row)} - seen
        seen |= new
        ahead += new
    return seen


def round_begins(table: Table) -> set[str]:
    """The states in which a round can begin."""
    return {table.initial, *(row.target for row in table.rows if row.ends_round)}


# ----------------------------------------------------------------------------------- promises that each table keeps


def acts_on_what_was_merely_read(table: Table) -> Problems:
    return [row.id for row in table.rows if row.effect and any(f.checker is Checker.READ for f in row.guard.facts())]


def has_two_effects(table: Table) -> Problems:
    return [row.id for row in table.rows if sum(action.site is not Site.LOCAL for action in row.do) > 1]


def is_never_reached(table: Table) -> Problems:
    return sorted(set(table.by_state) - reached(table, [table.initial]))


def cannot_end_its_round(table: Table) -> Problems:
    """States of a daemon from which no row that ends a round, and no final state, is ever reached."""
    ends = {row.state for row in table.rows if row.ends_round} | {state.name for state in table.states if state.final}
    return [name for name in table.by_state if not reached(table, [name]) & ends]


def says_nothing(table: Table) -> Problems:
    """Actions and facts without a sentence."""
    sentences = {each.name: each.sentence for each in table.actions} | {
        each.name: each.sentence for each in table.facts
    }
    return [name for name, sentence in sentences.items() if not sentence.strip().endswith(".")]


# ----------------------------------------------------------------------------------------------- promises of the LRM


def is_guarded(row: Row) -> bool:
    """Whether the row says: the watchdog has accepted the deadline of a lock request that was granted."""
    return row.state.endswith(".fed") and needs(row, lrm.ACCEPTED)


def feeds_without_a_granted_lock(table: Table) -> Problems:
    """Rows that move the deadline, or lead to where it counts as moved, other than by a granted lock request."""
    feeding = {row.target for row in table.rows if lrm.KEEP_ALIVE in row.do}
    return [
        row.id
        for row in table.rows
        if row.target in feeding | {"active.fed", "maintenance.fed"}
        and not (
            lrm.KEEP_ALIVE in row.do
            and needs(row, GRANTED)
            and all({lrm.TAKE_LOCK, lrm.RENEW_LOCK} & {*before.do} for before in into(table, row.state))
        )
    ]


def acts_unguarded(table: Table, action: Action) -> Problems:
    """Rows with this action that a round can reach without being guarded in it."""
    unguarded = reached(table, round_begins(table), without=is_guarded)
    return [row.id for row in table.rows if action in row.do and row.state in unguarded]


def spawns_without_a_fresh_read(table: Table) -> Problems:
    """Rows into a state that starts a worker which do not rest on what was read just before, in a state of its own."""
    spawning = {row.state for row in table.rows if lrm.SPAWN_WORKER in row.do}
    return [
        row.id
        for state in sorted(spawning)
        for row in into(table, state)
        if not needs(row, lrm.JOB_READY, lrm.STOP_READY) or QUORATE not in table.facts_of(row.state)
    ]


def works_before_it_looks_for_a_mark(table: Table) -> Problems:
    """States that spawn or leave on a read without having looked first whether it came, and whether it has a mark."""
    wrong = []
    for state in ("active.working", "maintenance.working", "lost_agent_lock"):
        blind, marked, *_ = table.by_state[state]
        if not (blind.guard == ~QUORATE and marked.guard == lrm.FENCE_REQUESTED):
            wrong.append(state)
        wrong += [row.id for row in (blind, marked) if not row.target.endswith(".resting") or row.do]
    return wrong


def says_active_elsewhere(table: Table) -> Problems:
    shown = table.state_named
    return [row.id for row in table.rows if lrm.SAY_ACTIVE in row.do and shown[row.state].shown != "active"]


def closes_without_reason(table: Table) -> Problems:
    """Rows that close the watchdog other than after a decision that allows it, or a lock request that was refused."""
    wrong = []
    for row in table.rows:
        if lrm.CLOSE_WATCHDOG not in row.do:
            continue
        refused = table.state_named[row.state].shown == "wait_for_agent_lock" and all(
            {*before.do} & {lrm.TAKE_LOCK} for before in into(table, row.state)
        )
        if not refused:
            wrong += [before.id for before in into(table, row.state) if not _may_let_go(before)]
    return wrong


def _may_let_go(row: Row) -> bool:
    idle = needs(row, lrm.IDLE_LONG)  # which holds with no worker only: the table assumes it
    return idle or (needs(row, lrm.QUIET, lrm.ALL_STOPPED) and forbids(row, lrm.WORKERS))


def leaves_while_it_says_active(table: Table) -> Problems:
    """Rows that let go of frozen services although mode active is published: the master may thaw them at any time."""
    published = {fact: fact == lrm.MODE_ACTIVE for fact in lrm.MODES}
    settled = published | {lrm.FROZEN_SERVICES: True, lrm.QUIET: True, lrm.WORKERS: False, lrm.FENCE_REQUESTED: False}
    closing = {row.state for row in table.rows if lrm.CLOSE_WATCHDOG in row.do}
    wrong = set()
    for state in {row.state for row in table.rows if row.target in closing and lrm.QUIET in {*row.guard.facts()}}:
        free = [fact for fact in table.facts_of(state) if fact not in settled]
        for values in product((False, True), repeat=len(free)):
            case = {fact: False for guard in table.assuming for fact in guard.facts()}
            case |= settled | dict(zip(free, values, strict=True))
            if all(guard.holds(case.__getitem__) for guard in table.assuming):
                row = table.step(state, case.__getitem__)
                wrong |= {row.id} if row.target in closing else set()
    return sorted(wrong)


def releases_before_it_closes(table: Table) -> Problems:
    """Rows that free the lock while the watchdog still runs: it would reset a node that did as it should."""

    def closed(before: Row) -> bool:
        return lrm.CLOSE_WATCHDOG in before.do or before.state == "wait_for_agent_lock"

    return [
        row.id
        for row in table.rows
        if lrm.RELEASE_LOCK in row.do and not all(closed(before) for before in into(table, row.state))
    ]


def takes_the_lock_unconditionally(table: Table) -> Problems:
    """Lock requests without the owner's check, or, for a new token, without a look at the mark."""
    given = {
        lrm.TAKE_LOCK: {lrm.LOCK_AVAILABLE, lrm.NO_FENCE_MARK},
        lrm.RENEW_LOCK: {lrm.LOCK_MINE},
        lrm.RELEASE_LOCK: {lrm.LOCK_MINE},
        lrm.PUBLISH: {lrm.STATUS_MINE},
    }
    return [row.id for row in table.rows for action in row.do if not given.get(action, set()) <= {*row.given}]


def takes_the_lock_unarmed(table: Table) -> Problems:
    """Rows of the waiting LRM that ask for the lock before the multiplexer has accepted the client."""
    wait = [row for row in table.rows if lrm.TAKE_LOCK in row.do and row.state.startswith("wait")]
    return [
        row.id
        for row in wait
        if not needs(row, lrm.ACCEPTED) or not all(lrm.OPEN_WATCHDOG in r.do for r in into(table, row.state))
    ]


# ----------------------------------------------------------------------------------------------- promises of the CRM


def writes_without_token(table: Table) -> Problems:
    """Effects of a master on the store, its heartbeat aside, that do not depend on its token."""
    return [
        row.id
        for row in table.rows
        if table.state_named[row.state].shown == "master"
        and row.effect
        and row.effect.site is Site.STORE
        and row.effect is not HEARTBEAT
        and crm.TOKEN_CURRENT not in row.given
    ]


def fences_without_mark(table: Table) -> Problems:
    """Takes a node's lock without looking whether the mark stands, and the lock is as it was judged."""
    looks = {"master.fencing": crm.AGENT_LOCK_SEEN, "master.claiming": crm.LOCK_UNTOUCHED}
    return [
        row.id
        for row in table.rows
        if crm.TAKE_AGENT_LOCK in row.do and not {crm.MARK_WRITTEN, looks[row.state]} <= {*row.given}
    ]


def fences_before_it_has_written(table: Table) -> Problems:
    """The choice of a node to fence stands below the row that writes first what is still to be changed."""
    rows = [row.guard for row in table.by_state["master.deciding"]]
    order = [crm.CHANGES, crm.FENCE_DUE, crm.POWERED_OFF, crm.POWER_DUE]
    return [] if [guard for guard in rows if guard in order] == order else ["master.deciding"]


def powers_off_undecided(table: Table) -> Problems:
    """Rows from which a power-off follows, other than the decision that a marked node is due."""
    shooting = {row.state for row in table.rows if crm.POWER_OFF in row.do}
    return [
        row.id
        for row in table.rows
        if row.target in shooting and (row.guard, row.state) != (crm.POWER_DUE, "master.deciding")
    ]


def becomes_master_unasked(table: Table) -> Problems:
    """Rows into the master's states that do not follow a granted lock."""
    is_master = {state.name for state in table.states if state.shown == "master"}
    return [
        row.id
        for row in table.rows
        if row.target in is_master
        and row.state not in is_master
        and not (needs(row, GRANTED) and all(crm.TAKE_MANAGER_LOCK in r.do for r in into(table, row.state)))
    ]


def takes_the_manager_lock_unseen(table: Table) -> Problems:
    """Campaigns for a lock that has not stood still, or may have changed since."""
    return [
        row.id
        for row in table.rows
        if crm.TAKE_MANAGER_LOCK in row.do and not (needs(row, crm.LOCK_EXPIRED) and crm.MANAGER_LOCK_SEEN in row.given)
    ]


def masters_after_an_unconfirmed_renewal(table: Table) -> Problems:
    """Ways on as a master, in a round, that pass no confirmed lock."""
    confirmed = {row.id for row in table.rows if needs(row, GRANTED) and row.state.endswith(".asked")}
    unconfirmed = reached(table, round_begins(table), without=lambda row: row.id in confirmed)
    deciding = {"master.deciding", "master.writing", "master.retiring"}
    return sorted(unconfirmed & {*deciding, "master.fencing", "master.shooting", "master.claiming"})


def starts_unguarded(table: Table) -> Problems:
    return acts_unguarded(table, lrm.SPAWN_WORKER)


def says_active_unguarded(table: Table) -> Problems:
    return acts_unguarded(table, lrm.SAY_ACTIVE)
