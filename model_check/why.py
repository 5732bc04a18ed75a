"""Why the protocol is as it is: a run that a weaker one allows, and for exactly which durations it does.

Of a replayed run (:mod:`model_check.replay`) quantifier elimination leaves what it asks of the durations. The words of
that :func:`condition` are made here, and one run with numbers in it, as early and as quick as it can be.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TypeAlias

import z3

from hacore.protocol.timing import Timing
from model_check.holes import Hole
from model_check.lang import Premise
from model_check.replay import Happened, Replay, Value

ALWAYS, IMPOSSIBLE = "always", "impossible"
DEFAULTS = Timing()
LIKED = {name: Fraction(str(getattr(DEFAULTS, name))) for name in ("watchdog_s", "reset_s", "lock_ttl_s")}
LIKED |= {f"manager_{name}": LIKED[name] for name in ("watchdog_s", "lock_ttl_s")}
LIKED |= {"pause_s": Fraction(str(DEFAULTS.round_s)), "write_delay_s": Fraction(str(DEFAULTS.call_timeout_s))}
"""An example has the durations that hacore has, if it can. Sums name them in this order."""
GRAIN = Fraction(1, 100)
"""Where something must be longer or shorter, it is so by no less."""
Sum: TypeAlias = Mapping[str, Fraction]
"""A linear expression: the factor of each duration."""


# --------------------------------------------------------------------------------------------------------- conditions


def condition(run: Replay, premises: Iterable[Premise] = ()) -> str:
    """What the durations must fulfil so that the run is possible: exactly that, and nothing that the premises say."""
    if run.refused:
        return IMPOSSIBLE
    known = [*(length > 0 for length in run.durations.values()), *(_premise(run, it) for it in premises)]
    goal = z3.Goal()
    goal.add(z3.Exists([step.at for step in run.steps], z3.And(*run.asked, *known)))
    left = z3.Then("simplify", "qe2", "simplify", "ctx-solver-simplify")(goal).as_expr()
    ways = list(left.children()) if z3.is_or(left) else [left]
    return " or ".join(dict.fromkeys(_told(way, known) for way in ways))


def _premise(run: Replay, premise: Premise) -> Value:
    longer, shorter = (z3.Sum(*map(run.length, side)) for side in (premise.longer, premise.shorter))
    return longer >= shorter


def _told(way: Value, known: Sequence[Value]) -> str:
    """A conjunction, without what follows from the rest of it or is known anyway."""
    parts = list(way.children()) if z3.is_and(way) else [way]
    if _follows(z3.BoolVal(False), [*parts, *known]):
        return IMPOSSIBLE
    for part in tuple(parts):
        others = [other for other in parts if other is not part]
        if _follows(part, [*others, *known]):
            parts = others
    return " & ".join(sorted(map(_inequality, parts))) or ALWAYS


def _follows(part: Value, others: Sequence[Value]) -> bool:
    solver = z3.Solver()
    solver.add(*others, z3.Not(part))
    return bool(solver.check() == z3.unsat)


def _inequality(part: Value) -> str:
    """As people write it: sums of durations, the shorter one first."""
    strict = z3.is_not(part)
    left, right = (part.arg(0) if strict else part).children()
    if z3.is_ge(part.arg(0) if strict else part) != strict:
        left, right = right, left  # not (a >= b) is a < b, and a >= b is b <= a; not (a <= b) is b < a
    difference = _sum(right - left)
    sides = (
        {name: -factor for name, factor in difference.items() if factor < 0},
        {name: factor for name, factor in difference.items() if factor > 0},
    )
    return f" {'<' if strict else '<='} ".join(map(_written, sides))


def _sum(term: Value) -> Sum:
    """A term's factors. Raises ValueError if it is not a sum of durations."""
    if z3.is_rational_value(term) and term.as_fraction() == 0:
        return {}
    if z3.is_const(term) and not z3.is_rational_value(term):
        return {str(term): Fraction(1)}
    if z3.is_mul(term) and z3.is_rational_value(term.arg(0)):
        return {name: factor * term.arg(0).as_fraction() for name, factor in _sum(term.arg(1)).items()}
    if z3.is_add(term) or z3.is_sub(term):
        total: dict[str, Fraction] = {}
        for place, part in enumerate(term.children()):
            for name, factor in _sum(part).items():
                total[name] = total.get(name, Fraction()) + (-factor if place and z3.is_sub(term) else factor)
        return total
    raise ValueError(f"{term} is no sum of durations")


def _written(total: Sum) -> str:
    order = [*LIKED, *sorted(set(total) - set(LIKED))]
    named = ((name, total[name]) for name in order if name in total)
    return " + ".join(name if factor == 1 else f"{factor} * {name}" for name, factor in named) or "0"


# ------------------------------------------------------------------------------------------------------------ example


@dataclass(frozen=True)
class Moment:
    """A step with its time, and what it changed."""

    at_s: Fraction
    line: str
    changes: Mapping[str, tuple[str, str]]


@dataclass(frozen=True)
class Example:
    """A run with numbers in it."""

    durations: Mapping[str, Fraction]
    moments: tuple[Moment, ...]


def example(run: Replay) -> Example:
    """One of the runs: with durations that are liked, and each step as early as it can be. The run must be possible."""
    known = [*run.asked, *(length > 0 for length in run.durations.values())]
    for duration, length in run.durations.items():
        known.append(length == _q(_nearest(known, length, LIKED[duration.name])))
    for step in run.steps:
        known.append(step.at == _q(_nearest(known, step.at, Fraction())))
    model = _model(known)
    assert model is not None
    lengths = {it.name: _fraction(model.eval(length)) for it, length in run.durations.items()}
    return Example(
        dict(sorted(lengths.items(), key=lambda pair: list(LIKED).index(pair[0]))),
        tuple(_moment(model, step) for step in run.steps),
    )


def _nearest(known: Sequence[Value], term: Value, liked: Fraction) -> Fraction:
    """The value nearest to the one that is liked. If there is none that is nearest, one that is hardly further away."""
    distance, optimize = z3.Real("distance"), z3.Optimize()
    optimize.add(*known, distance >= term - _q(liked), distance >= _q(liked) - term)
    bound = optimize.minimize(distance)
    assert optimize.check() == z3.sat, "the run is not possible"
    _, least, more = map(_fraction, optimize.lower_values(bound))
    away = least + GRAIN if more else least
    near = (value for value in (liked + away, liked - away) if _model([*known, term == _q(value)]) is not None)
    return next(near, _fraction(optimize.model().eval(term)))


def _model(known: Sequence[Value]) -> Value:
    solver = z3.Solver()
    solver.add(*known)
    return solver.model() if solver.check() == z3.sat else None


def _q(number: Fraction) -> Value:
    return z3.Q(number.numerator, number.denominator)


def _fraction(term: Value) -> Fraction:
    return Fraction(str(term))


def _moment(model: Value, step: Happened) -> Moment:
    def told(value: Value) -> str:
        return seconds(_fraction(model.eval(value))) if z3.is_expr(value) else str(value)

    changes = {name: (told(old), told(new)) for name, (old, new) in step.changes.items()}
    return Moment(
        _fraction(model.eval(step.at)), step.line, {name: both for name, both in changes.items() if both[0] != both[1]}
    )


def seconds(number: Fraction) -> str:
    return f"{float(number):.2f}"


# -------------------------------------------------------------------------------------------------------- explanation


@dataclass(frozen=True)
class Explanation:
    """What is known of one hole."""

    hole: Hole
    condition: str
    """For which durations its script is a run."""
    if_safe: str
    """The same, if the safety inequality holds of them."""
    own: str
    """What becomes of the same script on our own tables: the step that cannot happen, or a condition."""
    example: Example | None

    @property
    def expected(self) -> bool:
        return self.condition == self.hole.possible


def explain(hole: Hole, exemplify: bool = True) -> Explanation:
    """Replay a hole's script. Raises LookupError if it does not end in what it shall show."""
    model = hole.timed().model()
    run, single = Replay(model, hole.script), model.invariants["SingleOwner"]
    if not run.refused and (run.holds(single) or run.holds(model.invariants[hole.breaks])):
        raise LookupError(f"the script of {hole.name} does not break SingleOwner and {hole.breaks}")
    told = condition(run)
    found = example(run) if exemplify and told != IMPOSSIBLE else None
    return Explanation(hole, told, condition(run, model.premises), _on_own_tables(hole), found)


def _on_own_tables(hole: Hole) -> str:
    own = replace(hole.timed(), tables={}, change=None).model()
    try:
        run = Replay(own, hole.script)
    except LookupError as unknown:
        return str(unknown)
    return f"{run.refused} cannot happen" if run.refused else condition(run, own.premises)


SHOWN = ("runs", "armed", "dog", "lock", "lease", "mode", "state", "at", "ack", "node_state", "holder", "manager_lease")
"""What people want to see of a run."""


def render(found: Explanation) -> str:
    """For people: what is weaker, what follows and when, what hacore does, and a run."""
    hole = found.hole
    lines = [
        f"{hole.name}: {hole.sentence}",
        f"  two nodes run the service: {found.condition}{'' if found.expected else f', and not: {hole.possible}'}",
        f"  if lock_ttl_s >= watchdog_s + reset_s: {found.if_safe}",
        f"  hacore {hole.ours}",
        f"  the same steps on our own tables: {found.own}",
    ]
    if found.example:
        lengths = (f"{name} = {float(it):g}" for name, it in found.example.durations.items())
        lines += [f"  for example, with {', '.join(lengths)}:", *map(_line, found.example.moments)]
    return "\n".join(lines)


def _line(moment: Moment) -> str:
    changes = (f"{name}: {old} -> {new}" for name, (old, new) in moment.changes.items() if name.split("[")[0] in SHOWN)
    return f"    t={seconds(moment.at_s):>6}  {moment.line:<55} {', '.join(changes)}".rstrip()


def as_json(found: Explanation) -> dict[str, object]:
    """For programs: all changes of the example, moments in seconds."""
    hole, example = found.hole, found.example
    return {
        **{"name": hole.name, "sentence": hole.sentence, "ours": hole.ours, "tables": sorted(hole.tables)},
        **{"condition": found.condition, "expected": found.expected, "if_safe": found.if_safe, "own": found.own},
        "script": list(hole.script),
        "durations": {name: float(it) for name, it in example.durations.items()} if example else {},
        "steps": [
            {
                "at_s": float(it.at_s),
                "action": it.line,
                "changes": {name: list(both) for name, both in it.changes.items()},
            }
            for it in (example.moments if example else ())
        ],
    }
