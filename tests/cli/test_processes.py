"""hacore as people and scripts run it: help, exit codes, many at once."""

import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from hacore.cli import COMMANDS, main
from tests.cli.clusters import RESOURCES, Cluster

ROOT = Path(__file__).parents[2]


def start(*words: str | bytes, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "hacore", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
    )


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def commands(group: click.Group, *above: str) -> list[tuple[str, ...]]:
    """Every command, and every command of a group."""
    context = click.Context(group)
    found: list[tuple[str, ...]] = []
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        found.append((*above, name))
        if isinstance(command, click.Group):
            found += commands(command, *above, name)
    return found


@pytest.mark.parametrize("words", commands(main), ids=" ".join)
def test_help(words: tuple[str, ...]) -> None:
    result = CliRunner().invoke(main, [*words, "--help"])
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("Usage: ")
    assert len(result.stdout.split("Options:")[0].splitlines()) > 3, "a help text that says something"


def test_the_list_of_commands() -> None:
    text = CliRunner().invoke(main, ["--help"]).stdout
    shown = {line.split()[0] for line in text.splitlines() if line.startswith("  ") and line.strip()}
    assert set(COMMANDS) - shown == {"daemon"}


def test_without_a_command_it_shows_help() -> None:
    code, out, err = ended(start())
    assert code == 2
    assert "Examples:" in out + err


def test_an_unknown_command_is_not_understood() -> None:
    code, _, err = ended(start("statsu"))
    assert code == 2
    assert "No such command 'statsu'" in err


def test_a_command_pays_only_for_what_it_needs() -> None:
    code = "import sys, hacore.cli; print(*(it for it in ('msgspec', 'sqlite3', 'transitions') if it in sys.modules))"
    listing = code.replace(
        "hacore.cli;",
        "hacore.cli; from click.testing import CliRunner; CliRunner().invoke(hacore.cli.main, ['--help']);",
    ).replace("'msgspec', ", "")
    for program in (code, listing):
        assert subprocess.check_output([sys.executable, "-c", program], cwd=ROOT, text=True).strip() == ""


def test_version() -> None:
    result = CliRunner().invoke(main, ["--version"])
    assert result.stdout.startswith("hacore ")
    assert result.exit_code == 0


def test_the_directory_comes_from_the_environment(cluster: Cluster) -> None:
    code, out, _ = ended(start("status", "--json", HACORE_DIR=str(cluster.directory)))
    assert code == 0
    assert json.loads(out)["directory"] == str(cluster.directory)


def test_errors_are_one_line(tmp_path: Path) -> None:
    code, out, err = ended(start("-C", str(tmp_path / "none"), "status"))
    assert (code, out) == (1, "")
    assert err.startswith(f"hacore: no cluster in {tmp_path}/none")
    assert err.count("\n") == 1


def test_bytes_that_are_no_text(cluster: Cluster) -> None:
    before = cluster.seen()
    where = ("-C", str(cluster.directory))
    code, _, err = ended(start(*where, "add", b"proc:\xff", "--node", "node1", "--command", "x"))
    assert code == 1
    assert "bad service id" in err
    code, _, err = ended(start(*where, "add", "proc:x", "--node", "node1", "--command", b"echo \xff"))
    assert code == 2
    assert "not UTF-8" in err
    assert cluster.seen() == before


def test_a_mistake_of_ours_is_shown_whole(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("hacore.cli.status.read", broken)
    assert isinstance(cluster.run("status").exception, ZeroDivisionError)


def test_what_the_system_says_of_a_file_is_one_line(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: object) -> None:
        raise PermissionError(13, "Permission denied", "/some/file")

    monkeypatch.setattr("hacore.cli.status.read", broken)
    assert cluster.refused("status") == "/some/file: Permission denied"


def test_many_at_once_lose_nothing(cluster: Cluster) -> None:
    where = ("-C", str(cluster.directory))
    adding = [start(*where, "add", f"proc:s{i}", "--node", "node1", "--command", "x") for i in range(8)]
    again = [start(*where, "add", "proc:one", "--node", f"node{i}", "--command", "x") for i in (1, 2)]
    stopping = [start(*where, "disarm"), start(*where, "node-maintenance", "enable", "node1")]
    results = [ended(process) for process in (*adding, *stopping)]
    assert [code for code, _, _ in results] == [0] * 10, results
    assert sorted(ended(process)[0] for process in again) == [0, 1]
    assert set(cluster.value(RESOURCES)) == {*(f"proc:s{i}" for i in range(8)), "proc:one"}
    assert sorted(cluster.queued()) == ["disarm-ha freeze", "enable-node-maintenance node1"]
    assert [command["id"] for command in cluster.value("commands")["queue"]] == [1, 2]
