"""``hacore doctor`` on a machine that is fit, and on one that is broken on purpose, in one way at a time."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from hacore.cli import doctor, main, watchdog
from hacore.manager.documents import MEMBERS, RESOURCES, SETTINGS
from hacore.runtime.config import FILE
from tests.cli.clusters import Cluster

SYSTEMCTL = """#!/bin/sh
case "$1" in is-enabled) cat {state}/enabled; exit;; esac
printf 'Id=web.service\\nLoadState=loaded\\nActiveState=inactive\\nUnitFileState=%s\\n' "$(cat {state}/web)"
"""
AGENT = """#!/bin/sh
cat > /dev/null; echo "Status: $(cat {state}/power)"; test "$(cat {state}/power)" = ON
"""


class Patient:
    """A machine that is fit to be node1."""

    def __init__(self, cluster: Cluster, path: Path, patch: pytest.MonkeyPatch) -> None:
        self.cluster, self.path, self.patch = cluster, path, patch
        self.directory = cluster.directory
        self.says: dict[str, str] = {"enabled": "enabled", "web": "disabled", "power": "ON"}
        self.watchdog: dict[str, Any] = {"trouble": "", "uses": "/dev/watchdog0", "why": "the first", "warning": None}
        self.write(f'node = "node1"\nstate = "{path / "state"}"\n')
        (path / "state").mkdir(mode=0o700)
        (path / "clock").write_text("tsc\n")
        for name, script in {"systemctl": SYSTEMCTL, "fence_stand_in": AGENT}.items():
            (path / name).write_text(script.format(state=path))
            (path / name).chmod(0o755)
        patch.setenv("PATH", f"{path}:/usr/bin:/bin")
        patch.setattr(doctor, "CLOCK", path / "clock")
        patch.setattr(doctor, "SYSTEMD", path)
        patch.setattr(watchdog, "report", lambda _: self.watchdog)
        cluster.put(SETTINGS, {"fencing": {"node2": [[{"agent": "fence_stand_in", "parameters": {}}]]}})
        cluster.put(RESOURCES, {"unit:web": {"node": "node2"}})

    def write(self, config: str) -> None:
        (self.directory / FILE).write_text(config)

    def examined(self, *words: str) -> Result:
        for name, text in self.says.items():
            (self.path / name).write_text(text + "\n")
        return CliRunner().invoke(main, ["-C", str(self.directory), "doctor", *words])

    def slow(self, by_s: float) -> None:
        self.patch.setattr(doctor, "_write_s", lambda *_: by_s)


@pytest.fixture
def patient(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Patient:
    return Patient(cluster, tmp_path_factory.mktemp("machine"), monkeypatch)


def found(result: Result, level: str) -> set[str]:
    return {it["about"] for it in json.loads(result.stdout) if it["level"] == level}


def test_a_machine_that_is_fit(patient: Patient) -> None:
    result = patient.examined("--json")
    assert result.exit_code == 0, result.output
    assert found(result, "fail") == set()
    assert found(result, "warn") == {"node"}, "it does not run yet"
    whole = {"config", "state", "store", "timing", "latency", "service", "fencing", "watchdog", "clock", "unit"}
    assert found(result, "ok") == whole
    assert not patient.cluster.value("doctor/node1"), "what was written to measure is gone"
    assert patient.examined().stdout.count("->") == 1


def loosened(patient: Patient) -> None:
    (patient.path / "state").chmod(0o777)


def readable(patient: Patient) -> None:
    (patient.directory / "password").write_text("secret")
    (patient.directory / "password").chmod(0o644)
    patient.write(
        'node = "node1"\n[store]\nengine = "etcd"\nendpoints = ["http://127.0.0.1:9"]\n'
        'user = "hacore"\npassword_file = "password"\n'
    )


BROKEN: dict[str, tuple[str, Callable[[Patient], object]]] = {
    "not understood": ("config", lambda it: it.write("nod = 1\n")),
    "no node named": ("config", lambda it: it.write("")),
    "state for everybody": ("state", loosened),
    "no member": ("store", lambda it: it.cluster.put(MEMBERS, ["node2"])),
    "no cluster": ("store", lambda it: it.cluster.put(MEMBERS, None)),
    "unsafe": ("timing", lambda it: it.cluster.put(SETTINGS, {"timing": {"lock_ttl_s": 1}})),
    "slow": ("latency", lambda it: it.slow(0.31)),
    "no watchdog": ("watchdog", lambda it: it.watchdog.update(trouble="there is no watchdog")),
    "emulated": ("watchdog", lambda it: it.watchdog.update(uses=None)),
    "coarse clock": ("clock", lambda it: (it.path / "clock").write_text("jiffies\n")),
    "started by systemd": ("service", lambda it: it.says.update(web="enabled")),
    "mute device": ("fencing", lambda it: it.says.update(power="?")),
}


@pytest.mark.parametrize("how", BROKEN)
def test_what_is_broken_fails(patient: Patient, how: str) -> None:
    about, breaks = BROKEN[how]
    breaks(patient)
    result = patient.examined("--json")
    assert (result.exit_code, found(result, "fail")) == (1, {about})
    assert all(it["fix"] for it in json.loads(result.stdout) if it["level"] != "ok")


def test_a_secret_that_everybody_may_read_and_a_store_that_is_not_there(patient: Patient) -> None:
    readable(patient)
    assert found(patient.examined("--json"), "fail") == {"secret", "store"}


DOUBTFUL: dict[str, tuple[str, Callable[[Patient], object]]] = {
    "slowish": ("latency", lambda it: it.slow(0.15)),
    "softdog": ("watchdog", lambda it: it.watchdog.update(warning="softdog is no hardware")),
    "disabled": ("unit", lambda it: it.says.update(enabled="disabled")),
}


@pytest.mark.parametrize("how", DOUBTFUL)
def test_what_is_doubtful_is_a_warning(patient: Patient, how: str) -> None:
    about, breaks = DOUBTFUL[how]
    breaks(patient)
    result = patient.examined("--json")
    assert (result.exit_code, found(result, "warn")) == (0, {"node", about})
