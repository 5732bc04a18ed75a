"""Services of type ``ocf``: agents of Debian's resource-agents, and agents that answer as they should not."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import which
from typing import Any

import pytest

from hacore.devices.resources import Config, ResourceError, ServiceBrokenError, ocf, run, validate
from hacore.devices.resources.ocf import OcfResource

AGENTS = Path(ocf.ROOT, "resource.d", "heartbeat")
real = pytest.mark.skipif(not (AGENTS / "Dummy").exists(), reason="needs Debian's resource-agents")
in_namespace = pytest.mark.skipif(os.geteuid() != 0 or not which("ip"), reason="needs root and iproute2")

SID = "ocf:it"


@pytest.fixture
def resource(tmp_path: Path) -> OcfResource:
    return OcfResource(tmp_path, "node1")


# -------------------------------------------------------------------------------------------------- with real agents


@real
def test_dummy(resource: OcfResource, tmp_path: Path) -> None:
    config = {"agent": "heartbeat:Dummy", "parameters": {"state": f"{tmp_path}/state"}}
    validate(SID, config)
    assert not resource.probe(SID, config)
    for _ in range(2):
        resource.start(SID, config)
        assert (tmp_path / "state").exists()
        assert resource.probe(SID, config)
    for _ in range(2):
        resource.stop(SID, config, None)
        assert not resource.probe(SID, config)
    assert not resource.migrate(SID, config, "node2")


def broken(resource: OcfResource, config: Config) -> str:
    try:
        resource.probe(SID, config)
    except ServiceBrokenError as problem:
        return str(problem)
    return ""


@real
def test_anything_that_dies(resource: OcfResource, tmp_path: Path) -> None:
    parameters = {"binfile": "/bin/sleep", "cmdline_options": 1000, "pidfile": f"{tmp_path}/pid"}
    config = {"agent": "ocf:heartbeat:anything", "parameters": parameters}
    validate(SID, config)
    resource.start(SID, config)
    try:
        assert resource.probe(SID, config)
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)
        while not (why := broken(resource, config)):  # a kill takes a moment; the test's timeout is the bound
            time.sleep(0.02)
        assert re.match(r"ocf:it: it has failed: .* No such process \(exit code 1\)", why)
        resource.stop(SID, config, None)
        assert not resource.probe(SID, config)
        resource.start(SID, config)
        assert resource.probe(SID, config)
    finally:
        resource.stop(SID, config, 0)
    assert not resource.probe(SID, config)


@pytest.fixture
def namespace() -> Iterator[str]:
    name = f"hacore-{os.getpid()}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        for words in (
            "link set lo up",
            "link add eth0 type veth peer eth1",
            "link set eth1 up",
            "address add 192.0.2.1/24 dev eth0",
            "link set eth0 up",
        ):
            subprocess.run(["ip", "-n", name, *words.split()], check=True)
        yield name
    finally:
        subprocess.run(["ip", "netns", "delete", name], check=True)


@real
@in_namespace
def test_an_address(resource: OcfResource, agent: "Agent", namespace: str) -> None:
    """In a network of its own: its agent is entered by one that does nothing else."""
    (agent.root / "lib").symlink_to(f"{ocf.ROOT}/lib")
    agent.write(f'exec ip netns exec {namespace} {AGENTS}/IPaddr2 "$@"')
    parameters = {"ip": "192.0.2.7", "cidr_netmask": 24}
    config = agent.config | {"parameters": parameters}

    def addresses() -> str:
        return subprocess.run(["ip", "-n", namespace, "address"], check=True, capture_output=True, text=True).stdout

    validate(SID, config)
    assert not resource.probe(SID, config)
    resource.start(SID, config)
    assert "192.0.2.7/24" in addresses()
    assert resource.probe(SID, config)
    subprocess.run(["ip", "-n", namespace, "address", "delete", "192.0.2.7/24", "dev", "eth0"], check=True)
    assert not resource.probe(SID, config)
    resource.start(SID, config)
    resource.stop(SID, config, None)
    assert "192.0.2.7" not in addresses()
    with pytest.raises(ResourceError, match=r"cannot start it: .*\(exit code \d\)"):
        resource.start(SID, agent.config | {"parameters": {"ip": "203.0.113.9"}})


# ------------------------------------------------------------------------------------------------- what is configured


@real
@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"agent": "heartbeat:IPaddr2"}, "heartbeat:IPaddr2 needs the parameter 'ip'"),
        (
            {"agent": "heartbeat:Dummy", "parameters": {"stat": "x"}},
            "heartbeat:Dummy has no parameter 'stat' (known: fake, state)",
        ),
    ],
)
def test_the_agent_says_what_it_takes(config: dict[str, Any], says: str) -> None:
    with pytest.raises(ResourceError) as told:
        validate(SID, config)
    assert str(told.value) == f"{SID}: {says}"


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({}, "'agent' must be PROVIDER:AGENT"),
        ({"agent": "Dummy"}, "'agent' must be PROVIDER:AGENT"),
        ({"agent": "..:Dummy"}, "'agent' must be PROVIDER:AGENT"),
        ({"agent": "a:b/c"}, "'agent' must be PROVIDER:AGENT"),
        ({"agent": "a:b", "parameter": {}}, "unknown key 'parameter' (known: agent, parameters, start_timeout_s"),
        ({"agent": "a:b", "parameters": ["x"]}, "'parameters' must map names to values"),
        ({"agent": "a:b", "parameters": {"x=": 1}}, "'parameters': bad name 'x='"),
        ({"agent": "a:b", "parameters": {"x": [1]}}, "'parameters': x must be a word or a number"),
        ({"agent": "a:b", "parameters": {"x": "a\0b"}}, "'parameters': x must be a word or a number"),
        ({"agent": "a:b", "monitor_timeout_s": "soon"}, "'monitor_timeout_s' must be a number of seconds"),
    ],
)
def test_a_bad_configuration_is_told_in_one_line(config: dict[str, Any], says: str) -> None:
    with pytest.raises(ResourceError) as told:
        validate(SID, config)
    assert says in str(told.value)
    assert "\n" not in str(told.value)


def test_an_agent_that_is_not_here_may_be_elsewhere(resource: OcfResource) -> None:
    config = {"agent": "nobody:NoSuch", "parameters": {"any": 1}}
    validate(SID, config)
    asked: tuple[Callable[[], object], ...] = (
        lambda: resource.probe(SID, config),
        lambda: resource.start(SID, config),
        lambda: resource.stop(SID, config, None),
    )
    for ask in asked:
        with pytest.raises(ResourceError, match=r"^ocf:it: cannot run /.*/nobody/NoSuch: No such file"):
            ask()


# ---------------------------------------------------------------------------------------------------- with stand-ins


class Agent:
    """An agent that does as a test likes: a shell script that is asked for ``$1``."""

    def __init__(self, root: Path) -> None:
        self.config: dict[str, Any] = {"agent": "test:it"}
        self.root = root
        self.path = root / "resource.d" / "test" / "it"
        self.path.parent.mkdir(parents=True)

    def write(self, script: str) -> None:
        self.path.write_text(f"#!/bin/sh\n{script}\n")
        self.path.chmod(0o755)


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Agent:
    monkeypatch.setenv("OCF_ROOT", str(tmp_path / "ocf"))
    return Agent(tmp_path / "ocf")


def test_of_all_exit_codes_one_means_that_it_does_not_run(resource: OcfResource, agent: Agent) -> None:
    agent.write("exit $OCF_RESKEY_code")
    said: dict[object, list[int]] = {}
    for code in (*range(12), 77, 126, 127, 137, *range(189, 193), 255):
        try:
            answer: object = resource.probe(SID, {**agent.config, "parameters": {"code": code}})
        except ServiceBrokenError:
            answer = "broken"
        except ResourceError:
            answer = "unclear"
        said.setdefault(answer, []).append(code)
    unclear = [2, 3, 4, 5, 6, 10, 11, 77, 126, 127, 137, 189, 192, 255]
    assert said == {False: [7], True: [0, 8, 190, 191], "broken": [1, 9], "unclear": unclear}


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("echo 'it is ill' >&2; exit 1", r"it has failed: it is ill \(exit code 1\)"),
        ("exit 5", "what it needs is not installed here: exit code 5"),
        ("kill -9 $$", "exit code -9"),
        ("exec sleep 1000", "it monitor' has not ended within 0.3 s"),
    ],
)
def test_what_is_unclear_is_no_answer(
    resource: OcfResource, agent: Agent, monkeypatch: pytest.MonkeyPatch, script: str, says: str
) -> None:
    monkeypatch.setattr(run, "GRACE_S", 0.1)
    agent.write(script)
    config = {**agent.config, "monitor_timeout_s": 0.3}
    with pytest.raises(ResourceError, match=f"^ocf:it: .*{says}"):
        resource.probe(SID, config)


@pytest.mark.parametrize(("script", "says"), [("echo no >&2; exit 1", r"no \(exit code 1\)"), ("sleep 1000", "0.3 s")])
def test_what_it_cannot_do_is_told(
    resource: OcfResource, agent: Agent, monkeypatch: pytest.MonkeyPatch, script: str, says: str
) -> None:
    monkeypatch.setattr(run, "GRACE_S", 0.1)
    agent.write(f"[ $1 = monitor ] && exit 7; {script}")
    config = {**agent.config, "start_timeout_s": 0.3, "stop_timeout_s": 0.3}
    with pytest.raises(ResourceError, match=f"^ocf:it: .*{says}"):
        resource.start(SID, config)
    with pytest.raises(ResourceError, match=f"^ocf:it: .*{says}"):
        resource.stop(SID, config, None)


def test_an_agent_is_not_killed_at_once_in_its_stop(resource: OcfResource, agent: Agent, tmp_path: Path) -> None:
    agent.write(f"sleep 0.3; echo $OCF_RESKEY_CRM_meta_timeout > {tmp_path}/stopped")
    resource.stop(SID, agent.config, 0)
    assert (tmp_path / "stopped").read_text() == "20000\n"


def test_what_the_agent_finds_in_its_environment(resource: OcfResource, agent: Agent, tmp_path: Path) -> None:
    agent.write(f"env > {tmp_path}/said; [ $1 = monitor ]; exit 0")
    config = {**agent.config, "parameters": {"a": "b c", "n": 3, "yes": True}, "monitor_timeout_s": 2}
    assert resource.probe(SID, config)
    said = dict(line.split("=", 1) for line in (tmp_path / "said").read_text().splitlines() if line.startswith("OCF_"))
    assert said == {
        "OCF_ROOT": str(agent.root),
        "OCF_RA_VERSION_MAJOR": "1",
        "OCF_RA_VERSION_MINOR": "1",
        "OCF_RESOURCE_INSTANCE": "it",
        "OCF_RESOURCE_TYPE": "it",
        "OCF_RESOURCE_PROVIDER": "test",
        "OCF_RESKEY_a": "b c",
        "OCF_RESKEY_n": "3",
        "OCF_RESKEY_yes": "true",
        "OCF_RESKEY_CRM_meta_on_node": "node1",
        "OCF_RESKEY_CRM_meta_timeout": "2000",
        "OCF_RESKEY_CRM_meta_interval": "10000",
    }


def test_what_is_being_started_by_a_process_before_us_runs(resource: OcfResource, agent: Agent, tmp_path: Path) -> None:
    agent.write(f"[ $1 = start ] && touch {tmp_path}/began && sleep 1000; exit 7")
    starter = f"""
from pathlib import Path
from hacore.devices.resources.ocf import OcfResource
OcfResource(Path("/"), "node1").start("{SID}", {dict(agent.config)!r})
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    child = subprocess.Popen([sys.executable, "-c", starter], env=environment)
    try:
        while not (tmp_path / "began").exists():  # the test's timeout is the bound
            time.sleep(0.02)
    finally:
        child.kill()
        child.wait()
    try:
        assert resource.probe(SID, agent.config)
        assert not resource.probe("ocf:another", agent.config)
    finally:
        found = subprocess.run(["pgrep", "-f", f"{agent.path} start"], check=True, capture_output=True, text=True)
        os.killpg(int(found.stdout), signal.SIGKILL)
    while resource.probe(SID, agent.config):
        time.sleep(0.02)


@pytest.mark.parametrize("meta_data", ["", "<resource-agent", "exit 1"])
def test_meta_data_that_cannot_be_read(agent: Agent, meta_data: str) -> None:
    agent.write(f"printf '{meta_data}'")
    with pytest.raises(ResourceError, match=r"^ocf:it: the meta-data of test:it cannot be read"):
        validate(SID, agent.config)
