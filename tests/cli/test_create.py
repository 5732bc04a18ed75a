"""``hacore create``: a cluster in the store that DIR/hacore.toml names."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hacore.cli import main
from hacore.runtime.cluster import read_members, read_settings


def hacore(directory: Path, *words: str) -> Result:
    return CliRunner().invoke(main, ["-C", str(directory), *words])


def test_a_cluster_is_made_once(tmp_path: Path) -> None:
    made = hacore(tmp_path / "c", "create", "--node", "alpha", "--node", "beta", "--set", "round_s=0.5")
    assert (made.exit_code, made.stdout) == (0, "a cluster of alpha, beta\n")
    again = hacore(tmp_path / "c", "create", "--node", "gamma")
    assert again.exit_code == 1
    assert again.stderr == "hacore: there is a cluster already, of alpha, beta: use that\n"
    assert read_members(tmp_path / "c") == ["alpha", "beta"]
    assert read_settings(tmp_path / "c").timing == {"round_s": 0.5}


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        ([], 2, "--node"),
        (["--node", "alpha", "--node", "alpha"], 1, "twice: alpha"),
        (["--node", "al pha"], 1, "al pha"),
        (["--node", "alpha", "--set", "lock_ttl_s=1"], 1, "unsafe"),
        (["--node", "alpha", "--set", "lock_ttl=1"], 1, "no timing setting"),
    ],
)
def test_what_is_no_cluster_is_refused_and_nothing_is_made(
    tmp_path: Path, words: list[str], code: int, says: str
) -> None:
    answer = hacore(tmp_path / "c", "create", *words)
    assert answer.exit_code == code
    assert says in answer.stderr
    assert not (tmp_path / "c").exists()
