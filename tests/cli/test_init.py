"""``hacore init``: a first hacore.toml, which the daemons understand, and which is never overwritten."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hacore.cli import main
from hacore.runtime.config import FILE, load
from hacore.runtime.engines import EtcdEngine, PmxcfsEngine, SqliteEngine


def hacore(directory: Path, *words: str) -> Result:
    return CliRunner().invoke(main, ["-C", str(directory), *words])


def test_what_it_writes_is_what_the_daemons_read(tmp_path: Path) -> None:
    members = [f"https://10.0.0.{number}:2379" for number in (1, 2, 3)]
    words = [word for url in members for word in ("--endpoint", url)]
    made = hacore(tmp_path / "etc", "init", "alpha", *words, "--watchdog", "/dev/watchdog0")
    assert made.exit_code == 0, made.output
    config = load(tmp_path / "etc")
    assert (config.node, config.state, config.watchdog.device) == ("alpha", "/var/lib/hacore", "/dev/watchdog0")
    assert isinstance(config.store, EtcdEngine)
    assert config.store.endpoints == tuple(members)
    assert config.store.ca


@pytest.mark.parametrize(("engine", "kind"), [("etcd", EtcdEngine), ("pmxcfs", PmxcfsEngine), ("sqlite", SqliteEngine)])
def test_every_engine_also_with_its_comments_taken_away(tmp_path: Path, engine: str, kind: type) -> None:
    printed = hacore(tmp_path, "init", "alpha", "--engine", engine, "--print").stdout
    assert not (tmp_path / FILE).exists()
    secret = [line for line in printed.splitlines() if not line.startswith(("# ca", "# cert", "# key"))]
    for text in (printed, "\n".join(secret).replace("\n# ", "\n").replace("What this machine", "# What")):
        (tmp_path / FILE).write_text(text)
        assert isinstance(load(tmp_path).store, kind)


def test_what_is_there_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text('node = "mine"\n')
    made = hacore(tmp_path, "init", "alpha")
    assert (made.exit_code, "is there already" in made.stderr) == (1, True)
    assert (tmp_path / FILE).read_text() == 'node = "mine"\n'


@pytest.mark.parametrize(
    "words",
    [("al pha",), ("alpha", "--watchdog", "watchdog0"), ("alpha", "--endpoint", "http://a", "--endpoint", "https://b")],
)
def test_what_the_daemons_would_refuse_is_not_written(tmp_path: Path, words: tuple[str, ...]) -> None:
    assert hacore(tmp_path, "init", *words).exit_code == 1
    assert not (tmp_path / FILE).exists()
