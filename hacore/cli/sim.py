"""``hacore sim``: clusters that exist in memory only, with the daemons and tables that run on nodes."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hacore.cli.faults import UNSAFE, UNSETTLED, faults
from hacore.cli.options import trace_option
from hacore.cli.text import say_json

if TYPE_CHECKING:
    from hacore.sim.events import Events
    from hacore.sim.scenario import Scenario


@click.group(short_help="Carry out scenarios on simulated hardware.")
def sim() -> None:
    """Run clusters on simulated hardware, in simulated time, with the daemons and tables that run on nodes."""


RUN = """Carry out the scenario in FILE on simulated hardware, and print what happens.

A scenario is a JSON file: nodes, services, rules and settings at the start, and lists of commands. The first list is
given at 20 s, the next each 100 s after the one before. The least one that shows something:

\b
  {"nodes": {"node1": {}, "node2": {}, "node3": {}},
   "services": {"vm:101": {"node": "node3", "state": "started"}},
   "commands": [["power node1 on", "power node2 on", "power node3 on"], ["power node3 off"]]}

With the profile hacore, nodes have clocks that run wrong, and everything takes a while that --seed decides. What
hacore promises is looked at in every event, and in the end everything must be as it should: what is requested started
runs where it may, and nothing else runs. With the profile reference, daemons take their rounds one after the other as
those of the manager that hacore is compared with, by variants of the tables; what that breaks is told at the end.
See docs/simulation.md.

\b
Examples:
  hacore sim run failover.json                       what hacore does about it
  hacore sim run failover.json --seed 7 --events out.jsonl
  hacore sim run failover.json --profile reference --check

\b
Exit codes: 0 as it should be; 1 the events differ from those expected (--check); 2 the file was not understood;
  12 a promise was broken; 13 it did not end as it should.
"""


@dataclass
class Answer:
    """What became of a run."""

    scenario: str
    profile: str
    seed: int
    ended_s: float = 0.0
    events: int = 0
    difference: str = ""
    """From the events expected."""
    violation: str = ""
    unsettled: str = ""
    story: str = ""
    broken: dict[str, str] = field(default_factory=dict)
    """What the reference breaks, by the promise's name."""

    @property
    def exit_code(self) -> int:
        return UNSAFE if self.violation else UNSETTLED if self.unsettled else int(bool(self.difference))

    def sentence(self) -> str:
        if self.violation:
            return f"NOT SAFE: {self.violation}"
        if self.unsettled:
            return f"DOES NOT END AS IT SHOULD: {self.unsettled}"
        return f"ok: {self.events} events in {self.ended_s:.0f} s" if not self.difference else self.difference


sim.add_command(faults)


@sim.command(help=RUN, short_help="Carry out one scenario.")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--profile", type=click.Choice(["hacore", "reference"]), default="hacore", show_default=True)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Decides delays and clocks.")
@click.option("--check", is_flag=True, help="With --profile reference: the events must be those the file expects.")
@click.option("--events", "out", type=click.Path(path_type=Path), metavar="OUT", help="Write events as JSON lines.")
@trace_option
@click.option("--json", "as_json", is_flag=True, help="Print only what became of it, in JSON.")
@click.pass_context
def run(
    ctx: click.Context,
    /,
    file: Path,
    *,
    profile: str,
    seed: int,
    check: bool,
    out: Path | None,
    trace: Path | None,
    as_json: bool,
) -> None:
    from hacore.sim.events import line
    from hacore.sim.scenario import ScenarioError, read_scenario

    try:
        scenario = read_scenario(file)
        answer = Answer(scenario.name or file.stem, profile, seed)
        events = _reference(scenario, answer, check) if profile == "reference" else _hacore(scenario, answer, trace)
    except ScenarioError as problem:
        click.echo(f"hacore: {' '.join(str(problem).split())}", err=True)
        ctx.exit(2)
    answer.events = len(events.list)
    if out:
        events.write(out)
    if as_json:
        say_json({**asdict(answer), "ok": answer.exit_code == 0})
    else:
        for event in events.list:
            click.echo(line(event))
        _conclude(answer)
    ctx.exit(answer.exit_code)


def _conclude(answer: Answer) -> None:
    if answer.story:
        click.echo(f"\nThe last of the story:\n{answer.story}\n")
    for name, text in answer.broken.items():
        click.echo(f"the reference breaks {name} here: {text}")
    click.echo(answer.sentence())


def _hacore(scenario: Scenario, answer: Answer, trace: Path | None) -> Events:
    from hacore.sim.play import Play
    from hacore.sim.promises import Unsettled, Violation
    from hacore.sim.traces import traced

    play = Play(scenario, answer.seed)
    try:
        with traced(play.world, trace):
            play.run()
    except Violation as problem:
        answer.violation, answer.story = str(problem), play.world.story()
    except Unsettled as problem:
        answer.unsettled = str(problem)
    answer.ended_s = round(play.world.now, 3)
    return play.world.events


def _reference(scenario: Scenario, answer: Answer, check: bool) -> Events:
    from hacore.protocol.reference.tables import REFERENCE, timing
    from hacore.sim.clockwork import Clockwork, loop_of
    from hacore.sim.events import first_difference

    loop_s = loop_of(scenario)
    clockwork = Clockwork(scenario, REFERENCE, timing(loop_s), loop_s)
    events = clockwork.run()
    answer.ended_s, answer.broken = clockwork.now_s, clockwork.notes.broken
    answer.difference = first_difference(scenario.expect, events.list) if check else ""
    return events
