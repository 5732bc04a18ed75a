"""The machine that a daemon runs: ``transitions.Machine``, built from a table.

Nothing is decided here. The machine's states are the table's states; its one trigger, ``step``, has one transition
for each row, in the order of the rows; a row's guard is the transition's condition, and its actions are the callbacks
that run after the transition. So the machine has moved before anything is done, and what is to be done is exactly
what the row names: the callbacks only note the actions, and the daemon turns them into requests.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import cache, partial

from transitions import EventData, Machine

from hacore.protocol.table import Action, Fact, Row, Table, TableError


class Stepper:
    """A table and the state in which one daemon is: a model of the table's machine.

    ``todo`` holds the actions of the row that fired last, in the row's order.
    """

    def __init__(self, table: Table, state: str | None = None, machine: Machine | None = None) -> None:
        if state is not None and state not in table.by_state:
            raise TableError(f"table {table.name} has no state {state}")
        self.table = table
        self.state = state or table.initial
        self.todo: list[Action] = []
        self.fired: list[Row] = []
        self._step = (machine or machine_of(table)).events["step"]

    def step(self, holding: Collection[Fact]) -> Row:
        """Fire the first row whose guard holds, if these facts do, and return it. If there is none, raise and stay."""
        self.todo, self.fired = [], []
        if self.table.by_state[self.state]:  # in a final state there is nothing to trigger
            self._step.trigger(self, fact=holding.__contains__)
        if not self.fired:
            raise TableError(f"table {self.table.name}: state {self.state} is final or has no row that holds")
        return self.fired[0]


class QuickStepper(Stepper):
    """The same by the table alone, for simulations, which take many steps: a test holds both against each other."""

    def __init__(self, table: Table) -> None:
        self.table, self.state = table, table.initial
        self.todo, self.fired = [], []
        self._rows = _rows_found(table)

    def step(self, holding: Collection[Fact]) -> Row:
        case: tuple[str | Fact, ...] = (self.state, *holding)
        row = self._rows.get(case)
        if row is None:
            row = self._rows[case] = self.table.step(self.state, holding.__contains__)
        self.state, self.todo = row.target, list(row.do)
        return row


@cache
def _rows_found(_: Table) -> dict[tuple[str | Fact, ...], Row]:
    """The rows of a table that were found to fire, by the state and the facts that held: most steps are taken often."""
    return {}


@cache
def machine_of(table: Table) -> Machine:
    """The table's machine: made once, for it has no state of its own; each :class:`Stepper` is a model of it."""
    return made(table)


def made(table: Table) -> Machine:
    """A machine of the table: rows in order, guards as conditions, what is to be done noted after the transition."""
    machine = Machine(
        model=None,
        states=[state.name for state in table.states],
        initial=table.initial,
        send_event=True,
        auto_transitions=False,
        queued=False,
    )
    for row in table.rows:
        machine.add_transition(
            "step",
            row.state,
            row.target,
            conditions=partial(_holds, row),
            after=[partial(_note_row, row), *(partial(_note_action, action) for action in row.do)],
        )
    return machine


def _holds(row: Row, event: EventData) -> bool:
    return row.guard.holds(event.kwargs["fact"])


def _note_row(row: Row, event: EventData) -> None:
    _stepper(event).fired.append(row)


def _note_action(action: Action, event: EventData) -> None:
    _stepper(event).todo.append(action)


def _stepper(event: EventData) -> Stepper:
    model = event.model
    assert isinstance(model, Stepper)
    return model
