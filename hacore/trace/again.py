"""A life, lived again: daemons are pure, so the same answers make the same daemon ask the same.

Each recorded answer is given to a new daemon of that kind, and what it asks next must be what the next line says. So
nothing can be altered, left out or put in between that matters to what the daemon did afterwards. The multiplexer's
trace leaves out its looks at the clock: see :mod:`hacore.trace.multiplexing`.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Generator, Iterator
from textwrap import shorten
from typing import Any

import msgspec

from hacore.daemons.base import Daemon
from hacore.daemons.crm import Crm
from hacore.daemons.lrm import Lrm
from hacore.daemons.machine import QuickStepper
from hacore.daemons.worker import Worker
from hacore.protocol.requests import Job, Outcome, Request
from hacore.trace.lines import answered, asking
from hacore.trace.problem import Problem
from hacore.trace.reading import Life, Line

NAME = "Again"
KINDS: dict[str, type[Crm] | type[Lrm]] = {"crm": Crm, "lrm": Lrm}
ENVELOPE = frozenset({"t", "node", "daemon", "worker", "uid", "answer"})
Asking = Generator[Request[Any], Any, Any]
WORDS = 300
"""Signs of a line that are shown."""


def again(life: Life) -> Iterator[Problem]:
    """Where a life goes another way than the same daemon would have gone: the first such line, and of each worker."""
    if life.whole and life.timing and life.daemon in KINDS:
        yield from _Again(life).run()


class _Again:
    def __init__(self, life: Life) -> None:
        self.life = life
        self.jobs: dict[tuple[str, str], deque[Job]] = defaultdict(deque)
        for line in life.lines:  # a worker's first line may stand before the line that tells of its start
            if line.ask == "Spawn":
                job = msgspec.convert(line.said["job"], Job)
                self.jobs[job.sid, job.uid].append(job)
        self.workers: dict[tuple[str, str], _One] = {}
        self.outcomes: Counter[Outcome] = Counter()
        self.lost: set[tuple[str, str]] = set()
        """Workers of which nothing more is expected."""

    def run(self) -> Iterator[Problem]:
        assert self.life.timing is not None
        daemon = _One(_lives(_quick(KINDS[self.life.daemon](self.life.node, self.life.timing))))
        for line in self.life.lines:
            if "begin" in line.said or line.said.get("say") == "service_trouble":
                continue
            if line.worker is not None:
                yield from self._work(line, line.worker)
                continue
            problem = daemon.take(line)
            if problem:
                yield problem
                return
            if line.ask == "Reap":
                yield from self._reaped(line)

    def _work(self, line: Line, worker: tuple[str, str]) -> Iterator[Problem]:
        if worker in self.lost:
            return
        if worker not in self.workers:
            if not self.jobs[worker]:
                self.lost.add(worker)
                yield Problem.at(NAME, f"a worker for {worker[0]}, uid {worker[1]}, that nobody has started", line)
                return
            self.workers[worker] = _One(_quick(Worker(self.life.node, self.jobs[worker].popleft())).work())
        one = self.workers[worker]
        problem = one.take(line)
        if problem:
            self.lost.add(worker)
            yield problem
        elif one.ended is not None:
            self.outcomes[one.ended] += 1
            del self.workers[worker]

    def _reaped(self, line: Line) -> Iterator[Problem]:
        for outcome in answered("Reap", line.said["answer"]):
            if self.outcomes[outcome]:
                self.outcomes[outcome] -= 1
            elif (outcome.sid, outcome.uid) in self.workers and outcome.code == "stuck":
                del self.workers[outcome.sid, outcome.uid]  # it could not even look: its host says so for it
            elif (outcome.sid, outcome.uid) not in self.lost:
                yield Problem.at(NAME, f"no worker came to {outcome.code} with {outcome.sid}, uid {outcome.uid}", line)


class _One:
    """A daemon or a worker that is asked, one line after the other, for what it asks next."""

    def __init__(self, asks: Asking) -> None:
        self.asks = asks
        self.ended: Any = None
        self.next = next(asks, None)

    def take(self, line: Line) -> Problem | None:
        """Whether the line is what comes next. Its answer is given, and what comes next is found."""
        if self.next is None:
            return Problem.at(NAME, "it has ended, and still there is a line", line)
        expected = msgspec.json.decode(msgspec.json.encode(asking(self.next)))
        said = {key: value for key, value in line.said.items() if key not in ENVELOPE}
        if {key: value for key, value in expected.items() if key not in ENVELOPE} != said:
            return Problem.at(NAME, f"it would {_words(expected)}, not {_words(said)}", line)
        try:
            answer = answered(expected.get("ask", ""), line.said.get("answer"))
            self.next = self.asks.send(answer)
        except StopIteration as end:
            self.next, self.ended = None, end.value
        except (msgspec.ValidationError, TypeError, ValueError, AttributeError, KeyError) as problem:
            return Problem.at(NAME, f"an answer that cannot be: {problem}", line)
        return None


def _words(said: dict[str, Any]) -> str:
    """A line in a few words."""
    if "row" in said:
        return f"fire {said['row']} given {', '.join(said['facts']) or 'no fact'}"
    if "say" in said:
        return f"say {said['say']} {said['about']}"
    return shorten(f"ask {said['ask']} { {key: it for key, it in said.items() if key != 'ask'} }", WORDS)


def _quick(machine: Any) -> Any:
    machine.stepper = QuickStepper(machine.variant)
    return machine


def _lives(daemon: Daemon) -> Asking:
    while (yield from daemon.round()) is not None:
        pass
