"""Helper programs: what they say, how they end, and that they end."""

import os
import signal
import time
from pathlib import Path

import pytest

from hacore.devices.resources import ResourceError, run
from hacore.devices.resources.run import Answer
from tests.devices.zombies import zombie

SID = "ocf:it"


def sh(script: str, timeout_s: float = 20.0) -> Answer:
    return run.run(SID, ("sh", "-c", script), timeout_s)


def alive(pid: int) -> bool:
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_what_it_says_and_how_it_ends() -> None:
    assert sh("echo out; echo err >&2; exit 7") == Answer(7, "out\n", "err\n")
    assert sh("kill -9 $$").code == -9
    assert sh("cat; echo $LANG", 5).code == 0, "there is nothing to read"
    assert sh("ps -o sid= -p $$").output.strip() != str(os.getsid(0))


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("exit 3", "exit code 3"),
        ("echo one; exit 1", "one (exit code 1)"),
        ("echo x; printf 'one\\n two \\n\\n' >&2; exit 1", "two (exit code 1)"),
    ],
)
def test_why_in_one_line(script: str, why: str) -> None:
    assert sh(script).why == why


def test_of_much_the_end_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "OUTPUT_CAP_BYTES", 100_000)
    answer = sh("seq 1000000; seq 1000000 >&2")
    assert len(answer.output) == len(answer.errors) == 100_000
    assert answer.output[-8:] == answer.errors[-8:] == "1000000\n"


def test_a_daemon_that_is_left_behind_is_not_waited_for() -> None:
    began_s = time.monotonic()
    answer = sh("sleep 1000 & echo $!")
    pid = int(answer.output)
    try:
        assert time.monotonic() - began_s < 10
        assert alive(pid), "nor is it killed"
    finally:
        os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize(
    "script",
    [
        "echo $$ > pids; exec sleep 1000",
        "trap '' TERM; sleep 1000 & echo $$ $! > pids; wait; wait; sleep 1000",
        "echo $$ > pids; exec >&- 2>&-; exec sleep 1000",
        "echo $$ > pids; while :; do echo y; done",
        "echo $$ > pids; kill -STOP $$",
    ],
)
def test_at_the_deadline_its_whole_group_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run, "GRACE_S", 0.2)
    began_s = time.monotonic()
    with pytest.raises(ResourceError, match=r"^ocf:it: 'sh -c .*' has not ended within 0.5 s$"):
        sh(script, 0.5)
    assert 0.5 <= time.monotonic() - began_s < 0.5 + 0.2 + run.KILL_WAIT_S + 5
    pids = [int(word) for word in (tmp_path / "pids").read_text().split()]
    until_s = time.monotonic() + 5
    while any(alive(pid) for pid in pids):
        assert time.monotonic() < until_s
        time.sleep(0.01)


def test_it_may_put_things_in_order_at_the_deadline(tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match="has not ended"):
        sh(f"trap 'touch {tmp_path}/tidy; exit' TERM; sleep 1000 & wait", 0.3)
    assert (tmp_path / "tidy").exists()


def test_no_zombie_is_left() -> None:
    sh("true")
    with pytest.raises(ResourceError):
        sh("sleep 1000", 0.1)
    assert not zombie()


@pytest.mark.parametrize("program", ["/etc/passwd", "no-such-program", "/"])
def test_what_cannot_be_run_is_told(program: str) -> None:
    with pytest.raises(ResourceError, match=f"^ocf:it: cannot run {program}: [NP]"):
        run.run(SID, (program,), 5)


def test_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/notify")
    monkeypatch.setenv("KEPT", "1")
    said = run.run(SID, ("env",), 5, {"ADDED": "2"}).output.splitlines()
    assert {"KEPT=1", "ADDED=2"} <= set(said)
    assert not any(line.startswith("NOTIFY_SOCKET") for line in said)


def test_what_protects_the_daemon_does_not_protect_the_helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    score = tmp_path / "oom_score_adj"
    monkeypatch.setattr(run, "OOM_SCORE", score)
    score.write_text("-900\n")
    assert sh("cat /proc/self/oom_score_adj; tr '\\0' ' ' < /proc/$$/cmdline").output.startswith("0\nsh -c")
    score.write_text("300\n")
    monkeypatch.setattr(run, "_WRAP", ["no-such-program"])
    assert sh("true").code == 0
