"""Slices, explored: every state of each, the safety properties in all of them, and which rows fired."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from hacore.protocol.table import Table
from model_check.explore import Exploration, Progress, explore, story
from model_check.explore.result import Step as Taken
from model_check.ground import Ground
from model_check.lang import Expr, Model
from model_check.outcome import Check, Figure, Step, Story, Verdict
from model_check.properties import NO_NEEDLESS_RESET, SAFETY, SOMETIMES, add_safety
from model_check.world import world
from model_check.world.fields import Dimensions
from model_check.world.mixed import acting, mixed
from model_check.world.multiplexer import PROMISES, SMALL, Size, multiplexer
from model_check.world.slices import Slice

SENTENCES = {
    **{prop.name: prop.sentence for prop in (*SAFETY, NO_NEEDLESS_RESET)},
    **{name: sentence for name, (sentence, _) in PROMISES.items()},
}
MULTIPLEXED = (
    "The multiplexer's own rows: clients open, move, close, vanish; it is paused between any look at the clock and "
    "what follows, or killed. What the other slices take for granted of it holds."
)
DEADLOCK = "NoDeadlock"
NO_DEADLOCK = "Something can always happen."
Watch = Callable[[Progress], None]


def model_of(slice_: Slice, tables: Mapping[str, Table], old: Mapping[str, Table] | None = None) -> Model:
    """A slice's world with the safety properties as its invariants. With ``old``, some daemons run those tables."""
    model = mixed(slice_, old, tables) if old else world(slice_, tables)
    add_safety(model, Dimensions.of(slice_))
    return model


def explored(
    slice_: Slice,
    tables: Mapping[str, Table],
    watch: Watch | None = None,
    limit: int | None = None,
    old: Mapping[str, Table] | None = None,
) -> Check:
    """Every state of a slice. Broken promises come with their shortest run. With ``old``, some daemons run those."""
    model, group = model_of(slice_, tables, old), "upgrade" if old else "explore"
    shows = {name: SOMETIMES[name].formula(model.state(), Dimensions.of(slice_)) for name in slice_.shows}
    about = constants(slice_)
    return searched(model, group, slice_.name, slice_.sentence, about, sometimes=shows, watch=watch, limit=limit)


def multiplexed(tables: Mapping[str, Table], watch: Watch | None = None, size: Size = SMALL) -> Check:
    """Every state of one node's multiplexer, its clients and its hardware."""
    durations = ", ".join(f"{name} {getattr(size, name)}" for name in ("watchdog_s", "hardware_s", "reset_s"))
    about: dict[str, Figure] = {"clients": size.clients, "ticks": durations}
    return searched(multiplexer(tables, size), "explore", "watchdog", MULTIPLEXED, about, watch=watch)


def searched(
    model: Model,
    group: str,
    name: str,
    sentence: str,
    about: Mapping[str, Figure],
    *,
    sometimes: Mapping[str, Expr] | None = None,
    watch: Watch | None = None,
    limit: int | None = None,
) -> Check:
    """Every state of a model. ``about``: what it consists of; ``sometimes``: what is to be noted if it happens."""
    begin = time.perf_counter()
    ground = Ground(model)
    happens = {name: ground.expression(formula) for name, formula in (sometimes or {}).items()}
    found = explore(ground, deadlock=True, progress=watch, limit=limit, sometimes=happens)
    fired = fired_rows(ground, found)
    stories = tuple(stories_of(ground, found))
    unfinished = "" if found.complete or stories else f"stopped at {found.distinct:,} states"
    return Check(
        group=group,
        name=name,
        sentence=sentence,
        verdict=Verdict.SAFETY if stories else Verdict.BROKEN if unfinished else Verdict.PASSED,
        seconds=time.perf_counter() - begin,
        figures={
            "distinct states": found.distinct,
            "depth": found.depth,
            "rows": sum(count > 0 for count in fired.values()),
            "engine": found.engine,
            **about,
        },
        problem="; ".join(f"{told.property} does not hold" for told in stories) or unfinished,
        stories=stories,
        fired=fired,
        seen=dict(found.seen),
    )


def constants(slice_: Slice) -> dict[str, Figure]:
    """What a slice's world consists of."""
    return {
        "nodes": slice_.nodes,
        "services": slice_.services,
        "masters": slice_.managers,
        "ticks": f"watchdog {slice_.watchdog}, reset {slice_.reset}, lock {slice_.lock}",
    }


def fired_rows(ground: Ground, found: Exploration) -> dict[str, int]:
    """How often each row of the tables fired, those included that are taken along, or written by a master."""
    counts: Counter[str] = Counter()
    for instance in ground.instances:
        action = instance.action
        for row in {action.row, *action.tags, *(word for word in action.name.split() if "." in word)} - {""}:
            counts[row] += found.fired[instance.number]
    return {row: count for row, count in sorted(counts.items()) if not row.startswith("world.")}


def stories_of(ground: Ground, found: Exploration) -> Iterable[Story]:
    """What was violated first, and how it comes about."""
    if found.violated is not None:
        name, state = found.violated
        yield Story(name, SENTENCES.get(name, name), steps_to(ground, found, state))
    elif found.deadlocked is not None:
        yield Story(DEADLOCK, NO_DEADLOCK, steps_to(ground, found, found.deadlocked))


def steps_to(ground: Ground, found: Exploration, state: tuple[int, ...]) -> tuple[Step, ...]:
    return told(ground, story(ground, found, state))


def told(ground: Ground, steps: Iterable[Taken]) -> tuple[Step, ...]:
    """The explorer's steps, as reports show them."""
    return tuple(
        Step(
            step.number,
            _named(ground, step),
            step.instance.action.row,
            {name: (str(old), str(new)) for name, (old, new) in step.changes.items()},
        )
        for step in steps
    )


def _named(ground: Ground, step: Taken) -> str:
    """A step's name; where versions are kept, with that of the daemon that took it."""
    version = acting(step.instance.action, dict(step.instance.binding), ground.shown(step.before))
    return f"{step.instance.name}, {version}" if version else step.instance.name
