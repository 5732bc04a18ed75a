"""All engines find what a few lines of plain Python find; stories can be replayed; nothing is explored that was not
asked for."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from model_check.explore import Exploration, Progress, explore, keys, numpy_engine, story
from model_check.explore import c as c_engine
from model_check.expr import Expr
from model_check.ground import Ground, evaluate
from model_check.lang import BOOL, Context, Count, Enum, Field, Model
from tests.model_check.models import SOUND, UNSOUND, Cluster, sometimes, starts
from tests.model_check.random_models import models

ENGINES = pytest.mark.parametrize("engine", ["c", "numpy"])
State = tuple[int, ...]


@pytest.fixture(scope="module", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


# ------------------------------------------------------------------------------------------------- against plain Python


def plainly(ground: Ground, sometimes: Mapping[str, Expr], deadlock: bool) -> dict[str, object]:
    """What an exploration finds, from the successors of one state after the other."""
    levels: list[set[State]] = []
    fired: Counter[int] = Counter()
    level, known, stuck, violated = {ground.initial}, set[State](), set[State](), None
    while level:
        levels.append(level)
        known |= level
        violated = min(
            (
                (number, ground.pack(state))
                for state in level
                for number, truth in enumerate(ground.invariants.values())
                if not evaluate(truth, state)
            ),
            default=None,
        )
        if violated or (stuck and deadlock):
            break
        steps = [(state, list(ground.successors(state))) for state in level]
        stuck = {ground.pack(state) for state, after in steps if not after}
        fired.update(instance.number for _, after in steps for instance, _ in after)
        level = {state for _, after in steps for _, state in after} - known
    return {
        "levels": [{ground.pack(state) for state in level} for level in levels],
        "fired": tuple(fired[instance.number] for instance in ground.instances),
        "violated": violated and (list(ground.invariants)[violated[0]], ground.unpack(violated[1])),
        "deadlocked": ground.unpack(min(stuck)) if stuck and deadlock else None,
        "seen": {name: any(evaluate(truth, state) for state in known) for name, truth in sometimes.items()},
        "complete": not (violated or (stuck and deadlock)),
    }


def found(exploration: Exploration) -> dict[str, object]:
    levels = [set(map(tuple, level.tolist())) for level in exploration.levels]
    assert exploration.distinct == sum(map(len, levels)) == sum(map(len, exploration.levels))
    assert exploration.depth == len(levels)
    assert exploration.generated == 1 + sum(exploration.fired)
    return {"levels": levels} | {
        name: getattr(exploration, name) for name in ("fired", "violated", "deadlocked", "seen", "complete")
    }


def check(model: Model, engine: str, word: int, deadlock: bool) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("model_check.coding.WORD", word)
        patch.setattr("model_check.explore.c_source.MOST_INSTANCES", 2)
        ground = Ground(model)
        sometimes = {f"not {name}": ground.expression(~truth) for name, truth in model.invariants.items()}
        exploration = explore(ground, engine=engine, deadlock=deadlock, sometimes=sometimes)
    assert found(exploration) == plainly(ground, sometimes, deadlock)
    if exploration.violated:
        steps = story(ground, exploration, exploration.violated[1])
        assert len(steps) == exploration.depth - 1


@pytest.mark.parametrize("word", [3, 64])
@pytest.mark.parametrize("deadlock", [False, True])
@settings(max_examples=40, deadline=None)
@given(model=models())
def test_numpy_agrees_with_plain_python(model: Model, word: int, deadlock: bool) -> None:
    check(model, "numpy", word, deadlock)


@pytest.mark.parametrize(("word", "deadlock"), [(3, True), (64, False)])
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(model=models())
def test_c_agrees_with_plain_python(model: Model, word: int, deadlock: bool) -> None:
    check(model, "c", word, deadlock)


@pytest.mark.slow
@pytest.mark.parametrize("word", [3, 64])
@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(model=models())
def test_c_agrees_with_plain_python_at_length(model: Model, word: int) -> None:
    check(model, "c", word, deadlock=False)


# ------------------------------------------------------------------------------------------------------------ a cluster


@pytest.fixture(scope="module")
def sound() -> Ground:
    return Ground(SOUND.model)


@pytest.fixture(scope="module")
def unsound() -> Ground:
    return Ground(UNSOUND.model)


@ENGINES
@pytest.mark.parametrize("threads", [1, 3])
def test_a_cluster_has_so_many_states(engine: str, threads: int, sound: Ground) -> None:
    exploration = explore(
        sound, start=starts(SOUND, sound), engine=engine, threads=threads, sometimes=sometimes(SOUND, sound), keep=False
    )
    assert (exploration.engine, exploration.distinct, exploration.generated) == (engine, 72_564, 466_110)
    assert (exploration.depth, exploration.complete, exploration.violated) == (29, True, None)
    assert exploration.seen == {"runs twice": False, "recovers": True}
    idle = [instance.name for instance in sound.instances if not exploration.fired[instance.number]]
    assert idle == ["mark(m=0, n=0)", "mark(m=1, n=1)", "mark(m=2, n=2)"]
    assert exploration.levels == ()
    assert exploration.bytes >= 8 * exploration.distinct


@pytest.mark.slow
@ENGINES
def test_a_larger_cluster_has_so_many_states(engine: str) -> None:
    cluster = Cluster(3, 2, lock=2, watchdog=1, master=1)
    ground = Ground(cluster.model)
    exploration = explore(ground, start=starts(cluster, ground), engine=engine)
    assert (exploration.distinct, exploration.generated, exploration.depth) == (1_806_798, 14_276_817, 36)


@ENGINES
def test_a_story_can_be_replayed(engine: str, unsound: Ground) -> None:
    begins = starts(UNSOUND, unsound)
    exploration = explore(unsound, start=begins, engine=engine)
    assert exploration.violated is not None
    assert not exploration.complete
    name, state = exploration.violated
    steps = story(unsound, exploration, state)
    assert (name, len(steps), exploration.depth) == ("fence_safe", 9, 10)
    assert unsound.pack(steps[0].before) in begins
    assert steps[-1].after == state
    assert not evaluate(unsound.invariants[name], state)
    for number, (step, following) in enumerate(zip(steps, [*steps[1:], None], strict=True), 1):
        assert (step.instance, step.after) in list(unsound.successors(step.before))
        assert step.number == number
        assert following is None or following.before == step.after
    assert str(steps[-1]).startswith("  9 fence(m=")
    assert steps[-1].changes["record[0]"] == ("fence", "recovery")


def test_all_engines_tell_the_same_story(unsound: Ground) -> None:
    told = []
    for engine in ("c", "numpy"):
        exploration = explore(unsound, start=starts(UNSOUND, unsound), engine=engine)
        assert exploration.violated is not None
        told.append([str(step) for step in story(unsound, exploration, exploration.violated[1])])
    assert told[0] == told[1]


def test_of_unknown_states_there_is_no_story(sound: Ground) -> None:
    exploration = explore(sound, engine="numpy", limit=1)
    far = list(sound.initial)
    far[0] = 1 - far[0]
    assert story(sound, exploration, sound.initial) == []
    with pytest.raises(LookupError, match="does not know the state"):
        story(sound, exploration, tuple(far))
    with pytest.raises(LookupError, match="has kept no states"):
        story(sound, explore(sound, engine="numpy", limit=1, keep=False), sound.initial)


@ENGINES
def test_only_some_invariants_are_asked(engine: str, unsound: Ground) -> None:
    begins = starts(UNSOUND, unsound)
    assert explore(unsound, start=begins, engine=engine, invariants=["covered"], limit=20_000).violated is None
    assert explore(unsound, start=begins, engine=engine, invariants=["fence_safe"]).violated is not None
    with pytest.raises(KeyError, match="no invariant nonsense"):
        explore(unsound, engine=engine, invariants=["nonsense"])


@ENGINES
def test_a_limit_ends_it_after_a_level(engine: str, sound: Ground) -> None:
    whole = explore(sound, start=starts(SOUND, sound), engine="numpy")
    sizes = np.cumsum([len(level) for level in whole.levels]).tolist()
    exploration = explore(sound, start=starts(SOUND, sound), engine=engine, limit=sizes[4] - 1)
    assert (exploration.distinct, exploration.depth, exploration.complete) == (sizes[4], 5, False)


@ENGINES
def test_a_run_begins_where_it_is_told(engine: str) -> None:
    model = Model("chosen", [Field("most", Count(3), chosen=True), Field("count", Count(3))])

    @model.action()
    def grow(c: Context) -> None:
        c.when(c.count < c.most)
        c.count = c.count.next()

    ground = Ground(model)
    sizes = [explore(ground, start=[ground.pack(ground.start(most=most))], engine=engine).distinct for most in range(4)]
    assert sizes == [1, 2, 3, 4]
    both = [ground.pack(ground.start(most=most)) for most in (1, 1, 3)]
    assert (explore(ground, start=both, engine=engine).distinct, explore(ground, start=both).generated) == (6, 7)
    with pytest.raises(ValueError, match="packed states of 1 words"):
        explore(ground, start=[(0, 0)], engine=engine)


@ENGINES
def test_a_deadlock_is_found_if_asked_for(engine: str) -> None:
    model = Model("line", [Field("at", Enum("Place", tuple("abc")), (), "a")])

    @model.action()
    def one(c: Context) -> None:
        c.when(c.at == "a")
        c.at = "b"

    @model.action()
    def two(c: Context) -> None:
        c.when(c.at == "b")
        c.at = "c"

    ground = Ground(model)
    assert explore(ground, engine=engine).complete
    exploration = explore(ground, engine=engine, deadlock=True)
    assert exploration.deadlocked is not None
    assert not exploration.complete
    assert ground.shown(exploration.deadlocked) == {"at": "c"}
    assert [step.instance.name for step in story(ground, exploration, exploration.deadlocked)] == ["one", "two"]


@ENGINES
def test_a_model_may_have_no_steps_at_all(engine: str) -> None:
    exploration = explore(Ground(Model("still", [Field("up", BOOL)])), engine=engine)
    assert (exploration.distinct, exploration.depth, exploration.fired) == (1, 1, ())


@ENGINES
def test_progress_is_told(engine: str, sound: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(c_engine, "WATCH_S", 0.001)
    monkeypatch.setattr(numpy_engine, "WATCH_S", 0.0)
    told: list[Progress] = []
    exploration = explore(sound, start=starts(SOUND, sound), engine=engine, progress=told.append)
    assert told
    assert all(before.states <= after.states for before, after in pairwise(told))
    assert all(0 <= each.queue <= each.states <= exploration.distinct for each in told)
    assert all(each.depth <= exploration.depth for each in told)


@ENGINES
def test_an_interrupt_ends_it(engine: str, sound: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_: Progress) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(c_engine, "WATCH_S", 0.001)
    monkeypatch.setattr(numpy_engine, "WATCH_S", 0.0)
    with pytest.raises(KeyboardInterrupt):
        explore(sound, start=starts(SOUND, sound), engine=engine, progress=interrupt)


# ------------------------------------------------------------------------------------------------------------- engines


def test_keys_that_collide_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    salts: list[int] = []
    real = keys.keys_of

    def poor(states: tuple[np.ndarray, ...], salt: int) -> np.ndarray:
        salts.append(salt)
        return real(states, salt) if salt > 1 else states[0] & np.uint64(1)

    monkeypatch.setattr(keys, "keys_of", poor)
    monkeypatch.setattr("model_check.coding.WORD", 12)
    ground = Ground(SOUND.model)
    assert explore(ground, start=starts(SOUND, ground), engine="numpy").distinct == 72_564
    assert set(salts) == {0, 1, 2}


def test_without_a_compiler_it_is_numpy(sound: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    assert explore(sound, limit=1).engine == "c"
    monkeypatch.setenv("CC", "no-such-compiler")
    assert explore(sound, limit=1).engine == "numpy"
    with pytest.raises(c_engine.CompilerError, match="install one"):
        explore(sound, engine="c")
    with pytest.raises(ValueError, match="choose auto, c or numpy"):
        explore(sound, engine="fortran")


def test_a_compiler_that_fails_is_quoted() -> None:
    with pytest.raises(c_engine.CompilerError, match="error"):
        c_engine.library("this is not C")


def test_a_library_is_compiled_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    text = "int answer(void) { return 42; }"
    with ThreadPoolExecutor(4) as pool:
        (made,) = set(pool.map(c_engine.library, [text] * 4))
    monkeypatch.setattr("subprocess.run", None)
    assert c_engine.library(text) == made
    assert [path.name for path in (tmp_path / "hacore").iterdir()] == [made.name]


def test_where_nothing_can_be_kept_it_is_compiled_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert c_engine.library("int answer(void) { return 43; }").exists()


def test_too_little_memory_is_said() -> None:
    script = """
import resource
from model_check.explore import explore
from model_check.ground import Ground
from model_check.lang import BOOL, Field, Model
resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
try:
    explore(Ground(Model("still", [Field("up", BOOL)])), engine="c")
except MemoryError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("no memory for more than 0 states")
