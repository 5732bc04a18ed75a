"""A place for documents in each engine."""

import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from hacore.devices.store import Store
from hacore.devices.store.etcd import EtcdStore
from hacore.devices.store.sqlite import SqliteStore
from tests.devices.pmxcfs_cluster import PmxcfsCluster, needs_fuse, pmxcfs_cluster
from tests.devices.stores import PATIENT_S, EtcdPlace, Place, PmxcfsPlace, SqlitePlace
from tests.etcd.member import answering, needs_etcd, one_member


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("store") / "template"
    SqliteStore.create(path)
    return path


@pytest.fixture
def path(template: Path, tmp_path: Path) -> Path:
    """An SQLite store of its own for each test."""
    return Path(shutil.copy(template, tmp_path / "store"))


@pytest.fixture(scope="session")
def etcd_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with one_member(tmp_path_factory.mktemp("etcd")) as member:
        with closing(EtcdStore((member.url,), PATIENT_S)) as store:
            answering(store)
        yield member.url


@pytest.fixture(scope="session")
def pmxcfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PmxcfsCluster]:
    with pmxcfs_cluster(tmp_path_factory.mktemp("pmxcfs")) as cluster:
        yield cluster


SLOW_PMXCFS = [needs_fuse, pytest.mark.slow]
ENGINES = ["sqlite", pytest.param("etcd", marks=needs_etcd), pytest.param("pmxcfs", marks=SLOW_PMXCFS)]


@pytest.fixture(params=ENGINES)
def place(request: pytest.FixtureRequest) -> Place:
    """Where a test of every engine has its documents."""
    if request.param == "sqlite":
        return SqlitePlace(request.getfixturevalue("path"), request.getfixturevalue("template"))
    if request.param == "pmxcfs":
        cluster = request.getfixturevalue("pmxcfs")
        request.getfixturevalue("monkeypatch").setenv("PATH", str(cluster.programs), prepend=":")
        return PmxcfsPlace(cluster.path("pve1")).another()
    return EtcdPlace(request.getfixturevalue("etcd_url"), "").another()


@pytest.fixture
def store(place: Place) -> Iterator[Store]:
    with closing(place.open()) as opened:
        yield opened
