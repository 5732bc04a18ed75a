"""A place for documents in each engine."""

import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from hacore.devices.store import Store
from hacore.devices.store.etcd import EtcdStore
from hacore.devices.store.sqlite import SqliteStore
from tests.devices.stores import PATIENT_S, EtcdPlace, Place, SqlitePlace
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


@pytest.fixture(params=["sqlite", pytest.param("etcd", marks=needs_etcd)])
def place(request: pytest.FixtureRequest) -> Place:
    """Where a test of every engine has its documents."""
    if request.param == "sqlite":
        return SqlitePlace(request.getfixturevalue("path"), request.getfixturevalue("template"))
    return EtcdPlace(request.getfixturevalue("etcd_url"), "").another()


@pytest.fixture
def store(place: Place) -> Iterator[Store]:
    with closing(place.open()) as opened:
        yield opened
