"""The machine that a daemon runs: ``transitions.Machine``, built from a table.

Nothing is decided here. The machine's states are the table's states; its one trigger, ``step``, has one transition
for each row, in the order of the rows; a row's guard is the transition's condition, and its actions are the callbacks
that run after the transition. So the machine has moved before anything is done, and what is to be done is exactly
what the row names: the callbacks only note the actions, and the daemon turns them into requests.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from transitions import EventData, Machine

from hacore.protocol.table import Action, Fact, Row, Table, TableError


class Stepper:
    """A table and the state in which one daemon is.

    ``todo`` holds the actions of the row that fired last, in the row's order.
    """

    def __init__(self, table: Table, state: str | None = None) -> None:
        self.table = table
        self.todo: list[Action] = []
        self._fired: list[Row] = []
        names = [each.name for each in table.states]
        if state is not None and state not in names:
            raise TableError(f"table {table.name} has no state {state}")
        self._machine = Machine(
            states=names, initial=state or table.initial, send_event=True, auto_transitions=False, queued=False
        )
        for row in table.rows:
            self._machine.add_transition(
                "step",
                row.state,
                row.target,
                conditions=partial(_holds, row),
                after=[partial(self._note_row, row), *(partial(self._note_action, action) for action in row.do)],
            )

    @property
    def state(self) -> str:
        return self._machine.get_model_state(self._machine).name

    def step(self, fact: Callable[[Fact], bool]) -> Row:
        """Fire the first row whose guard holds and return it. If there is none, raise and stay."""
        self.todo, self._fired = [], []
        if self.table.by_state[self.state]:  # in a final state there is nothing to trigger
            self._machine.events["step"].trigger(self._machine, fact=fact)
        if not self._fired:
            raise TableError(f"table {self.table.name}: state {self.state} is final or has no row that holds")
        return self._fired[0]

    def _note_row(self, row: Row, _: EventData) -> None:
        self._fired.append(row)

    def _note_action(self, action: Action, _: EventData) -> None:
        self.todo.append(action)


def _holds(row: Row, event: EventData) -> bool:
    return row.guard.holds(event.kwargs["fact"])
