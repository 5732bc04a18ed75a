"""Checking traces: good ones pass, and whatever is forged, torn, weakened or broken is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hacore.cli import main
from hacore.sim.faults import Seed
from hacore.sim.play import Play
from hacore.sim.traces import traced
from hacore.trace.checking import check
from hacore.trace.merging import merged
from hacore.trace.promises import Promises
from hacore.trace.reading import read
from tests.daemons.variants import VARIANTS, BlindFencingCrm, TokenlessCrm, Variant
from tests.sim.small import small
from tests.trace.forging import FORGERIES, Files, Said, indices, load, simulate, write

PROMISES = """SingleOwner Guarded GuardedTouch FenceBeforeRecover OneMaster AckOnce FrozenUntouched ErrorUntouched
NoNeedlessReset"""


def problems(*paths: Path) -> list[str]:
    return [str(problem) for problem in check(paths).problems]


# ----------------------------------------------------------------------------------------------------- good traces


@pytest.mark.parametrize("seed", [1, pytest.param(4, marks=pytest.mark.slow), pytest.param(11, marks=pytest.mark.slow)])
def test_a_simulated_run_is_fine(tmp_path: Path, seed: int) -> None:
    report = check([simulate(tmp_path, seed, 15.0)])
    assert report.problems == ()
    assert (report.nodes, report.partial) == (3, 0)
    assert report.rows > 1000


@pytest.mark.parametrize(
    "commands",
    [
        (("network node1 off",), ("network node1 on",)),
        pytest.param((("restart-lrm node1",),), marks=pytest.mark.slow),
    ],
    ids=lambda commands: commands[0][0],
)
def test_a_scenario_is_fine(tmp_path: Path, commands: tuple[tuple[str, ...], ...]) -> None:
    play = Play(small(tmp_path, *commands))
    with traced(play.world, tmp_path / "t"):
        play.run()
    assert problems(tmp_path / "t") == []


def test_a_trace_changes_nothing_in_the_run(tmp_path: Path) -> None:
    run, same = Seed(5, duration_s=10.0), Seed(5, duration_s=10.0)
    with traced(run.world, tmp_path):
        run.run(settle=False)
    same.run(settle=False)
    assert list(run.world.trace) == list(same.world.trace)


def test_clocks_are_aligned_by_what_they_saw_of_the_store(tmp_path: Path) -> None:
    run = Seed(0, duration_s=0.0)
    with traced(run.world, tmp_path):
        run.run()
    moments = merged(read([tmp_path])).moments
    nodes, drift_s = run.world.nodes, run.world.timing.drift * run.world.now
    apart = [moment.at - (moment.line.t - (at := nodes[moment.line.node]).offset_s) / at.rate for moment in moments]
    assert max(apart) - min(apart) < 0.1 + 2 * drift_s
    assert [moment.line.committed for moment in moments if moment.line.committed] == sorted(
        moment.line.committed for moment in moments if moment.line.committed
    )


# -------------------------------------------------------------------------------------------------------- forgeries


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Files:
    run, directory = Seed(3, duration_s=2.0), tmp_path_factory.mktemp("good")
    with traced(run.world, directory):
        run.run(settle=False)
    assert problems(directory) == []
    return load(directory)


@pytest.fixture(scope="module")
def places(good: Files) -> dict[str, list[tuple[Path, int]]]:
    """By kind of forgery: the lines that it can alter."""
    lines = [(path, at) for path, lines in good.items() for at in indices(lines)]
    return {
        kind: [(path, at) for path, at in lines if forge(deepcopy(good[path][at : at + 2]), 0)]
        for kind, forge in FORGERIES.items()
    }


@pytest.mark.parametrize("kind", FORGERIES)
@settings(max_examples=6, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(number=st.integers(0, 10**6))
def test_a_forgery_is_caught(
    kind: str, number: int, good: Files, places: dict[str, list[tuple[Path, int]]], tmp_path: Path
) -> None:
    """Whichever line of whichever daemon it is, if that daemon took another step afterwards; by that daemon's file
    alone, but for revisions, which are told by what others saw."""
    path, at = places[kind][number % len(places[kind])]
    lines = deepcopy(good[path])
    FORGERIES[kind](lines, at)
    forged = tmp_path / lines[0]["node"] / path.name
    forged.parent.mkdir(exist_ok=True)
    write(forged, lines)
    others = [it for it in good if it != path] if kind == "another_revision" else []
    found = check([forged, *others]).problems
    assert found, (path.name, at, good[path][at])
    assert any(line.startswith(str(forged)) for problem in found for line in problem.lines)


# ------------------------------------------------------------------------------------------- what breaks a promise

BROKEN = [
    (VARIANTS[0], 8, "SingleOwner"),
    (VARIANTS[1], 1, "Guarded"),
    (VARIANTS[2], 0, "SafeDisarm"),
    (VARIANTS[4], 1, "WatchdogFires"),
    (VARIANTS[5], 0, "Guarded"),
    (VARIANTS[6], 3, "SingleOwner"),
    (
        Variant("write without token", frozenset(), 1, lambda: {"crm": TokenlessCrm}, ("pause_writer", "relocate")),
        0,
        "OneMaster",
    ),
    (
        Variant("fence blindly", frozenset(), 1, lambda: {"crm": BlindFencingCrm}, ("pause_writer", "cut")),
        0,
        "FenceBeforeRecover",
    ),
]


@pytest.mark.parametrize(
    ("variant", "seed", "promise"),
    [pytest.param(*it, marks=pytest.mark.slow) if number % 2 else it for number, it in enumerate(BROKEN)],
    ids=lambda it: getattr(it, "name", ""),
)
def test_a_broken_protocol_breaks_its_promise(variant: Variant, seed: int, promise: str, tmp_path: Path) -> None:
    """By the trace alone, and by the promises alone: the tables would tell anyway."""
    with variant.installed() as kinds:
        run = Seed(seed, only=variant.only, **kinds)
        run.world.promises.off = frozenset(PROMISES.split())
        with traced(run.world, tmp_path):
            run.run(settle=False)
    traces = read([tmp_path])
    assert promise in {problem.name for problem in Promises(traces, merged(traces)).broken()}
    assert check([tmp_path]).problems


def first(lines: list[Said], **wanted: Any) -> int:
    return next(n for n, line in enumerate(lines) if all(line.get(key) == value for key, value in wanted.items()))


def touched(lines: list[Said], state: str) -> None:
    """What the LRM read last before it started a worker placed the service in another state."""
    at = first(lines, ask="Spawn")
    sid = lines[at]["job"]["sid"]
    read_at = max(n for n in range(at) if lines[n].get("ask") == "Read")
    lines[read_at]["answer"]["Snapshot"]["documents"]["manager/status"]["value"]["services"][sid]["state"] = state


def executed_again(lines: list[Said]) -> None:
    at = next(n for n, line in enumerate(lines) if line.get("ask") == "Reap" and line["answer"])
    spawn = lines[first(lines, ask="Spawn")]
    lines[at]["answer"][0].update(uid=spawn["job"]["uid"], sid=spawn["job"]["sid"])
    lines.insert(at + 1, spawn)


def written_twice(lines: list[Said]) -> None:
    """One revision of a document is shown with two values."""
    reads = [line for line in lines if line.get("ask") == "Read" and "Snapshot" in line["answer"]]
    reads[-1]["answer"]["Snapshot"]["documents"]["members"] = {"value": ["n9"], "revision": 1}
    reads[0]["answer"]["Snapshot"]["documents"]["members"] = {"value": ["n1"], "revision": 1}


@pytest.mark.parametrize(
    ("change", "promise"),
    [
        (lambda lines: touched(lines, "freeze"), "FrozenUntouched"),
        (lambda lines: touched(lines, "error"), "ErrorUntouched"),
        (executed_again, "AckOnce"),
        (written_twice, "Store"),
    ],
)
def test_a_promise_that_no_variant_breaks(
    change: Callable[[list[Said]], None], promise: str, good: Files, tmp_path: Path
) -> None:
    path = next(
        path for path in good if path.name == "lrm.jsonl" and any(it.get("ask") == "Spawn" for it in good[path])
    )
    lines = deepcopy(good[path])
    change(lines)
    write(tmp_path / path.name, lines)
    assert promise in {problem.name for problem in check([tmp_path / path.name]).problems}


# ------------------------------------------------------------------------------------------------ files and commands


def hacore(*words: object) -> Result:
    return CliRunner().invoke(main, ["trace", "check", *map(str, words)])


def save(good: Files, directory: Path) -> dict[str, Path]:
    """All files under a directory; by node/daemon."""
    saved = {}
    for path, lines in good.items():
        node = lines[0]["node"]
        saved[f"{node}/{path.stem}"] = directory / "nodes" / node / "trace" / path.name
        saved[f"{node}/{path.stem}"].parent.mkdir(parents=True, exist_ok=True)
        write(saved[f"{node}/{path.stem}"], lines)
    return saved


def test_what_was_torn_by_a_kill_is_no_problem(good: Files, tmp_path: Path) -> None:
    """The last line of a file, or the one before another process begins."""
    path = save(good, tmp_path)["n1/lrm"]
    text = path.read_text()
    path.write_text(text[:-40])
    assert hacore(tmp_path).exit_code == 0
    path.write_text(f"{text}{text[:40]}\n{text.splitlines()[0]}\n")
    answer = hacore(tmp_path)
    assert answer.exit_code == 0, answer.output


def test_what_was_torn_otherwise_is(good: Files, tmp_path: Path) -> None:
    path = save(good, tmp_path)["n1/crm"]
    lines = path.read_text().splitlines()
    lines[20] = lines[20][:30]
    path.write_text("\n".join(lines))
    answer = hacore(tmp_path)
    assert answer.exit_code == 12
    assert f"{path}:21" in answer.output


@pytest.mark.parametrize(("lacks", "words"), [("facts", "without facts"), ("node", "without node"), ("row", "one of")])
def test_a_line_that_lacks_something_is_told(lacks: str, words: str, good: Files, tmp_path: Path) -> None:
    path, lines = next((path, deepcopy(lines)) for path, lines in good.items())
    at = next(number for number in indices(lines) if "row" in lines[number])
    del lines[at][lacks]
    write(tmp_path / path.name, lines)
    assert any(words in problem.text for problem in check([tmp_path / path.name]).problems if problem.name == "Line")


def test_a_rotated_file_is_read_as_one(good: Files, tmp_path: Path) -> None:
    path = save(good, tmp_path)["n2/crm"]
    head, *lines = path.read_text().splitlines(keepends=True)
    again = json.dumps({**json.loads(head), "again": True}) + "\n"
    path.with_name("crm.jsonl.1").write_text("".join([head, *lines[:30]]))
    path.write_text("".join([again, *lines[30:]]))
    assert hacore(tmp_path).exit_code == 0
    path.with_name("crm.jsonl.1").unlink()
    answer = hacore(tmp_path)
    assert answer.exit_code == 0, answer.output
    assert "1 without their beginning" in answer.output


def test_it_answers_in_json(good: Files, tmp_path: Path) -> None:
    save(good, tmp_path)
    answer = json.loads(hacore("--json", tmp_path).stdout)
    assert (answer["ok"], answer["problems"], answer["nodes"]) == (True, [], 3)


def test_other_tables_are_refused(good: Files, tmp_path: Path) -> None:
    changed = deepcopy(good)
    for lines in changed.values():
        lines[0]["begin"]["tables"] = "0123456789abcdef"
    save(changed, tmp_path)
    answer = hacore(tmp_path)
    assert answer.exit_code == 2
    assert "was written with other tables (0123456789abcdef)" in answer.stderr


@pytest.mark.parametrize("text", ["", "no line\n"])
def test_no_trace(tmp_path: Path, text: str) -> None:
    (tmp_path / "trace").mkdir()
    (tmp_path / "trace" / "lrm.jsonl").write_text(text)
    assert hacore(tmp_path).exit_code == 2


def test_simulations_write_traces(tmp_path: Path) -> None:
    words = ["sim", "faults", "--seeds", "1", "--minutes", "0.05", "--trace", str(tmp_path)]
    assert CliRunner().invoke(main, words).exit_code == 0
    assert hacore(tmp_path / "seed-0").exit_code == 0
