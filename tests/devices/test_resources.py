"""What all types of services share: ids, configuration, and the locks that tell whether they run."""

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from hacore.devices.resources import ResourceError, ofd, resource_for, validate
from hacore.devices.resources.process import DOOR, LIFE, ProcessResource

SID = "proc:web"


def test_a_node_is_found_by_its_name_and_type(tmp_path: Path) -> None:
    assert isinstance(resource_for(SID, tmp_path, "node1"), ProcessResource)
    with pytest.raises(ResourceError, match=r"db:1: unknown type 'db' \(known: ct, ocf, proc, unit, vm\)"):
        resource_for("db:1", tmp_path, "node1")


# ------------------------------------------------------------------------------------------------- the lock


def test_the_lock_is_held_by_whoever_inherited_it(tmp_path: Path) -> None:
    """What the design rests on: by description, over fork and exec, until the last copy is closed."""
    path = tmp_path / "lock"
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    other = os.open(path, os.O_RDWR)
    try:
        assert ofd.try_lock(fd, LIFE)
        assert ofd.try_lock(other, DOOR)
        assert not ofd.try_lock(other, LIFE)
        with subprocess.Popen(["sh", "-c", "sleep 300 & echo $!"], pass_fds=[fd], stdout=subprocess.PIPE) as child:
            assert child.stdout
            grandchild = int(child.stdout.readline())
            child.wait()
            os.close(fd)
            assert ofd.locked(path, LIFE)
            os.kill(grandchild, signal.SIGKILL)
            while ofd.locked(path, LIFE):  # a kill takes a moment; the test's timeout is the bound
                time.sleep(0.005)
        assert ofd.locked(path, DOOR)
    finally:
        os.close(other)
    assert not ofd.locked(path, DOOR)


# ------------------------------------------------------------------------------------------------- configuration


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({}, "proc:web: 'command' is missing"),
        ({"comand": "x"}, "unknown key 'comand' (known: command, stop_timeout_s, directory, environment)"),
        ({"command": " "}, "'command' is empty"),
        ({"command": []}, "'command' is empty"),
        ({"command": [""]}, "'command' is empty"),
        ({"command": 7}, "'command' must be a shell command line or a list of words"),
        ({"command": ["sleep", 7]}, "'command' must be a list of strings"),
        ({"command": "a\0b"}, "zero byte"),
        ({"command": "x", "stop_timeout_s": "10"}, "'stop_timeout_s' must be a number of seconds, 0 or more"),
        ({"command": "x", "stop_timeout_s": -1}, "'stop_timeout_s' must be"),
        ({"command": "x", "stop_timeout_s": True}, "'stop_timeout_s' must be"),
        ({"command": "x", "stop_timeout_s": float("nan")}, "'stop_timeout_s' must be"),
        ({"command": "x", "directory": "here"}, "'directory' must be an absolute path"),
        ({"command": "x", "environment": ["A=1"]}, "'environment' must map names to strings"),
        ({"command": "x", "environment": {"A": 1}}, "'environment': A must be a string"),
        ({"command": "x", "environment": {"A=": "1"}}, "'environment': bad name 'A='"),
        ({"command": "x", "environment": {"HACORE_NODE": "n"}}, "'environment' may not set HACORE_NODE"),
    ],
)
def test_a_bad_configuration_is_told_in_one_line(config: dict[str, Any], says: str) -> None:
    with pytest.raises(ResourceError) as told:
        validate(SID, config)
    assert says in str(told.value)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("sid", ["web", "proc:", "proc:a b", "proc:../x", ":web", "proc:" + "x" * 101])
def test_a_bad_id_is_told(sid: str) -> None:
    with pytest.raises(ResourceError, match="bad service id"):
        validate(sid, {"command": "x"})


def test_a_good_configuration_passes() -> None:
    validate(SID, {"command": "exec sleep 1 | cat", "stop_timeout_s": 0.5, "directory": "/", "environment": {"A": "1"}})
    validate(SID, {"command": ["sleep", "1"]})


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"command": ["no-such-program"]}, "cannot run 'no-such-program': No such file or directory"),
        ({"command": "no-such-program --now"}, "cannot run 'no-such-program': command not found"),
        ({"command": ["/etc/passwd"]}, "cannot run '/etc/passwd': Permission denied"),
        ({"command": "sleep 1", "directory": "/no/such"}, "cannot enter /no/such: No such file or directory"),
        ({"command": ["sleep", "x" * 1_000_000]}, "Argument list too long"),
    ],
)
def test_what_cannot_be_executed_is_told(tmp_path: Path, config: dict[str, Any], says: str) -> None:
    resource = resource_for(SID, tmp_path, "node1")
    with pytest.raises(ResourceError, match=r"^proc:web: ") as told:
        resource.start(SID, config)
    assert says in str(told.value)
    assert "\n" not in str(told.value)
    assert not resource.probe(SID, config)
