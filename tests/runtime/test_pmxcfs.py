"""A cluster of real processes whose documents are in pmxcfs, or in what behaves like it."""

import subprocess
import time
from pathlib import Path

import pytest

from hacore.runtime.config import FILE
from tests.devices.pmxcfs_cluster import needs_fuse, pmxcfs_cluster
from tests.runtime.cluster import PATIENT_S, ROOT, command, hacore, processes, sweep


@pytest.mark.slow
@needs_fuse
def test_a_service_is_started_relocated_and_recovered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = tmp_path / "cluster"
    directory.mkdir()

    def until(words: str) -> None:
        until_s = time.monotonic() + 2 * PATIENT_S
        while words not in " ".join((said := hacore(directory, "status").stdout).split()):
            assert time.monotonic() < until_s, said
            time.sleep(0.5)

    with pmxcfs_cluster(tmp_path) as pmxcfs:
        monkeypatch.setenv("PATH", str(pmxcfs.programs), prepend=":")
        (directory / FILE).write_text(f'[store]\nengine = "pmxcfs"\npath = "{pmxcfs.path("pve1")}"\n')
        up = ("up", "--boot", "600", "--set", "round_s=2", "--set", "hardware_s=1", "--set", "offline_s=8")
        site = subprocess.Popen(command(directory, *up), cwd=ROOT)
        try:
            until("site runs")
            added = hacore(directory, "add", "proc:a", "--node", "node2", "--command", "exec sleep 1000")
            assert added.returncode == 0, added.stderr
            for node in ("node1", "node2", "node3"):
                until(f"node {node} online")
            until("service proc:a started, running node2")
            moved = hacore(directory, "relocate", "proc:a", "node3", "--wait", "60")
            assert moved.returncode == 0, moved.stderr
            hacore(directory, "power", "node3", "off")
            until("service proc:a started, running node1")
            site.terminate()
            assert site.wait(PATIENT_S) == 0
            assert processes(directory) == []
        finally:
            site.kill()
            site.wait()
            sweep(directory)
