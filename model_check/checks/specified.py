"""TLC's say: it counts the same states as the explorer, and the specification for people keeps its promises."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from model_check.checks.explored import model_of
from model_check.checks.proved import Source
from model_check.conform import SPEC, against_companion, against_tlc
from model_check.explore import explore
from model_check.ground import Ground
from model_check.outcome import Check, Step, Story, Verdict
from model_check.tlc import Answer, TlcError, run
from model_check.tlc import Verdict as Tlc
from model_check.world import world
from model_check.world.slices import SMALL, Slice

SLOW = frozenset({"MCAll", "MCLiveFailover", "MCLiveUpdate", "MCOperators"})
"""Configurations of the specification that take TLC minutes."""


def conforms(slice_: Slice, tables: Source) -> Check:
    """The explorer and TLC find equally many states in one slice, at equal depth."""
    begin = time.perf_counter()
    model = model_of(slice_, tables())
    ground = Ground(model)
    found = explore(ground, keep=False)
    problem, figures = "", {"explorer": found.distinct, "depth": found.depth}
    if found.violated is None:
        try:
            both = against_tlc(model, ground, found)
            figures |= {"TLC": both.tlc.distinct}
            problem = "" if both.equal else f"TLC counts {both.tlc}, the explorer {both.explorer}"
        except TlcError as failure:
            problem = str(failure)
    else:
        problem = f"{found.violated[0]} does not hold, so there is nothing to compare"
    return Check(
        group="tlc",
        name=f"{slice_.name} (small)" if slice_ in SMALL else slice_.name,
        sentence=f"Explorer and TLC count the same states. {slice_.sentence}",
        verdict=Verdict.BROKEN if problem else Verdict.PASSED,
        seconds=time.perf_counter() - begin,
        figures=dict(figures),
        problem=problem,
    )


def refines(slice_: Slice, tables: Source) -> Check:
    """Every step of a slice is one that the specification for people takes, too."""
    begin = time.perf_counter()
    sentence = f"What the tables do, spec/HACluster.tla tells. {slice_.sentence}"
    known = tables()
    model = world(slice_, known)
    try:
        answer = against_companion(model, Ground(model), known.values())
    except TlcError as failure:
        seconds = time.perf_counter() - begin
        return Check("refine", slice_.name, sentence, Verdict.BROKEN, seconds, problem=str(failure))
    verdict, problem = _judged(answer, "")
    return Check(
        group="refine",
        name=slice_.name,
        sentence=sentence,
        verdict=verdict,
        seconds=time.perf_counter() - begin,
        figures={"distinct states": answer.distinct, "steps": answer.generated - 1},
        problem=problem,
        stories=() if verdict is Verdict.PASSED else (_story(answer),),
    )


def configurations(slow: bool = False) -> Iterator[Path]:
    """The specification's configurations, those that take minutes only if asked for."""
    yield from (path for path in sorted(SPEC.glob("MC*.cfg")) if slow or path.stem not in SLOW)


def specified(config: Path) -> Check:
    """One configuration of the specification for people: it holds, or fails as its first line says it must."""
    begin = time.perf_counter()
    first, second, *_ = config.read_text().splitlines()
    must_fail = first.removeprefix("\\* Must fail: ") if "Must fail: " in first else ""
    sentence = (second if must_fail else first).removeprefix("\\* ")
    try:
        answer = run(SPEC / "MC.tla", config, brief=True)
    except TlcError as failure:
        return Check("spec", config.stem, sentence, Verdict.BROKEN, time.perf_counter() - begin, problem=str(failure))
    verdict, problem = _judged(answer, must_fail)
    return Check(
        group="spec",
        name=config.stem,
        sentence=f"{sentence} Must break {must_fail}." if must_fail else sentence,
        verdict=verdict,
        seconds=time.perf_counter() - begin,
        figures={"distinct states": answer.distinct, **({"breaks": must_fail} if must_fail else {})},
        problem=problem,
        stories=() if verdict is Verdict.PASSED else (_story(answer),),
    )


def _judged(answer: Answer, must_fail: str) -> tuple[Verdict, str]:
    if must_fail:
        broken = answer.violated == must_fail
        return (Verdict.PASSED, "") if broken else (Verdict.BROKEN, f"{must_fail} should be broken, and is not")
    kind = {Tlc.OK: Verdict.PASSED, Tlc.LIVENESS: Verdict.LIVENESS}.get(answer.verdict, Verdict.SAFETY)
    return kind, "" if kind is Verdict.PASSED else f"{answer.violated or answer.verdict} does not hold"


def _story(answer: Answer) -> Story:
    steps, before = [], dict[str, str]()
    for number, step in enumerate(answer.trace):
        changes = {name: (before.get(name, ""), text) for name, text in step.state.items() if before.get(name) != text}
        steps.append(Step(number, step.action, "", changes))
        before = dict(step.state)
    return Story(answer.violated, answer.violated, tuple(steps))
