"""The demonstration itself: what it promises, that it can fail, and that it leaves nothing behind."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from hacore import witness
from hacore.cli import main
from hacore.runtime import demo
from hacore.runtime.demo import NODES, SERVICES, Demo, Fault
from hacore.trace.history import History
from hacore.trace.merging import merged
from hacore.trace.reading import read
from hacore.trace.why import fenced, moved
from tests.runtime.cluster import PATIENT_S, ROOT, Event, sweep

ACTORS = {"hardware", "witness", *(f"{node}/{daemon}" for node in NODES for daemon in ("watchdog", "crm", "lrm"))}


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    """Where a demonstration may run; nothing of it runs afterwards."""
    directory = tmp_path / "demo"
    yield directory
    assert sweep(directory) == []


def start(directory: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "hacore", "demo", "--json", "--keep", str(directory)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)


def ended(run: subprocess.Popen[str]) -> tuple[list[Event], str]:
    """What it has told, line by line, and its complaints."""
    told, complaints = run.communicate(timeout=3 * PATIENT_S)
    return [json.loads(line) for line in told.splitlines()], complaints


def is_well_told(moment: Event) -> bool:
    if moment.keys() == {"title"}:
        return isinstance(moment["title"], str)
    fields = moment.keys() == {"t", "actor", "event", "about"}
    return fields and moment["t"] >= 0 and moment["actor"] in ACTORS and isinstance(moment["about"], dict)


def keeps_its_promises(directory: Path) -> list[Event]:
    run = start(directory)
    (*moments, verdict), complaints = ended(run)
    assert (run.returncode, complaints) == (0, ""), verdict
    assert [moment for moment in moments if not is_well_told(moment)] == []
    assert len([moment for moment in moments if "title" in moment]) == 4
    assert verdict.keys() == {"ok", "faults", "overlaps", "trace", "bound_s", "bound_with_master_s"}
    assert verdict["ok"] is True
    assert verdict["overlaps"] == []
    assert verdict["trace"]["problems"] == []
    assert verdict["trace"]["rows"] > 500
    assert [fault["name"] for fault in verdict["faults"]] == ["kill", "freeze", "update"]
    for fault in verdict["faults"]:
        assert fault.keys() == {"name", "promise", "ok", "seconds"}
        assert fault["ok"] is True
        assert fault["seconds"] > 0
    assert verdict["bound_with_master_s"] > verdict["bound_s"] > 0
    events = {moment["event"] for moment in moments if "event" in moment}
    assert {"lock_acquired", "fence_started", "fence_done", "service_recovered", "watchdog_reset", "up"} <= events
    return moments


def node_of(moments: list[Event], number: int) -> str:
    """The node that a fault was about, by its title."""
    title: str = next(moment["title"] for moment in moments if moment.get("title", "").startswith(f"{number}. "))
    return title.partition(" of ")[2].partition(",")[0]


def is_explained(directory: Path, moments: list[Event]) -> None:
    """Why its nodes were fenced, by the traces."""
    traces = read([directory])
    history = History.of(traces, merged(traces))
    killed, frozen = fenced(history, node_of(moments, 1)), fenced(history, node_of(moments, 2))
    assert killed.first is not None
    assert killed.first.kind in {"multiplexer", "killed"}, killed  # the watchdog fires before init has started others
    assert frozen.first is not None
    assert (frozen.first.kind, frozen.first.text.startswith("the LRM of")) == ("silent", True), frozen
    services = [sid for sid in SERVICES if any(step.after.get("state") == "fence" for step in history.of_service(sid))]
    assert "was fenced, because" in moved(history, services[0]).short


def test_the_demonstration_keeps_its_promises(directory: Path) -> None:
    is_explained(directory, keeps_its_promises(directory))


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_it_keeps_them_every_time(tmp_path: Path) -> None:
    for number in range(20):
        keeps_its_promises(tmp_path / str(number))
        assert sweep(tmp_path / str(number)) == []


class Intruded(Demo):
    """Instead of the first two faults, somebody starts a service by hand that the cluster runs already."""

    def _kill(self) -> Fault:
        sid = next(iter(SERVICES))
        command = [sys.executable, "-I", "-S", witness.__file__, "serve", str(self.witness), sid, "elsewhere"]
        intruder = subprocess.Popen(command)
        self._wait("the witness to see it", lambda: witness.overlaps(witness.read(self.witness)) != [])
        intruder.terminate()
        assert intruder.wait(PATIENT_S) == 0
        return Fault("kill", "nobody is killed", ok=True, seconds=0.0)

    def _freeze(self) -> Fault:
        return Fault("freeze", "nobody is stopped", ok=True, seconds=0.0)


def test_a_service_that_runs_twice_is_seen(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "Demo", Intruded)
    answer = CliRunner().invoke(main, ["demo", "--json", "--keep", str(directory)])
    assert answer.exit_code == 1, answer.output
    *moments, verdict = (json.loads(line) for line in answer.stdout.splitlines())
    assert verdict["ok"] is False
    (overlap,) = verdict["overlaps"]
    assert (overlap["sid"], overlap["node"]) == ("proc:web", "elsewhere")
    assert overlap["holder"]["node"] == SERVICES["proc:web"]
    assert [fault["ok"] for fault in verdict["faults"]] == [True, True, True], "the faults were mastered all the same"
    assert "overlap" in {moment.get("event") for moment in moments}


def until_services_run(run: subprocess.Popen[str]) -> None:
    assert run.stdout is not None
    while json.loads(run.stdout.readline()).get("event") != "up":
        pass


def test_a_demonstration_that_is_ended_leaves_nothing_behind(directory: Path) -> None:
    run = start(directory)
    until_services_run(run)
    run.send_signal(signal.SIGTERM)
    ended(run)
    assert run.returncode != 0
    assert witness.running(directory / "witness") == {}


def test_a_demonstration_that_nobody_hears_leaves_nothing_behind(directory: Path) -> None:
    """As in ``hacore demo | head``."""
    run = start(directory)
    until_services_run(run)
    assert run.stdout is not None
    run.stdout.close()
    assert run.wait(PATIENT_S) != 0
    assert witness.running(directory / "witness") == {}
