"""A real member with TLS and users, reached as ``hacore.toml`` says; and what it has forgotten."""

import shutil
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hacore.cli import main
from hacore.devices.store import Store, StoreError
from hacore.devices.store.etcd import EtcdStore
from hacore.manager.documents import MEMBERS
from hacore.protocol.requests import Committed, Snapshot, Unavailable
from hacore.runtime.cluster import read_settings, timing_of
from hacore.runtime.config import FILE, load, open_store
from hacore.runtime.engines import EtcdEngine
from tests.etcd.certificates import make_authority, make_certificate
from tests.etcd.member import Member, answering, needs_etcd, one_member
from tests.etcd.three import ask, snapshot, wait_for

pytestmark = [
    needs_etcd,
    pytest.mark.skipif(not (shutil.which("openssl") and shutil.which("etcdctl")), reason="tools/test-packages.sh"),
]

TIMEOUT_S = 5.0


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificates for a member and a node, and an authority that nobody trusts."""
    directory = tmp_path_factory.mktemp("guarded")
    make_authority(directory)
    for name in ("member", "node"):
        make_certificate(directory, name, "127.0.0.1")
    (directory / "other").mkdir()
    make_authority(directory / "other")
    (directory / "password").write_text("secret\n")
    return directory


@pytest.fixture(scope="module")
def member(directory: Path) -> Iterator[Member]:
    """A member that answers only who has a certificate and is a user with the right to."""
    options = ["--client-cert-auth", "--trusted-ca-file", str(directory / "ca.pem")]
    options += ["--cert-file", str(directory / "member.pem"), "--key-file", str(directory / "member.key")]
    with one_member(directory, options=options, scheme="https") as member:
        tls = ssl.create_default_context(cafile=directory / "ca.pem")
        tls.load_cert_chain(directory / "node.pem", directory / "node.key")
        with closing(EtcdStore((member.url,), TIMEOUT_S, tls=tls)) as store:
            answering(store)
        for words in (
            "user add root:topsecret",
            "user add hacore:secret",
            "role add hacore",
            "role grant-permission hacore --prefix=true readwrite /hacore/",
            "user grant-role root root",
            "user grant-role hacore hacore",
            "auth enable",
        ):
            etcdctl(directory, member, words)
        yield member


def etcdctl(directory: Path, member: Member, words: str) -> None:
    command = ["etcdctl", "--endpoints", member.url, "--cacert", "ca.pem", "--cert", "node.pem", "--key", "node.key"]
    subprocess.run([*command, *words.split()], cwd=directory, check=True, capture_output=True, env={"ETCDCTL_API": "3"})


def engine(member: Member, **other: str) -> EtcdEngine:
    """The engine as it should be, but for something."""
    right = {"ca": "ca.pem", "cert": "node.pem", "key": "node.key", "user": "hacore", "password_file": "password"}
    return EtcdEngine(endpoints=(member.url,), **{**right, **other})


@pytest.fixture
def store(directory: Path, member: Member) -> Iterator[Store]:
    with closing(engine(member).open(directory, TIMEOUT_S)) as store:
        yield store


def test_who_may_reads_and_writes(store: Store) -> None:
    answer = store.transact({}, {"a": 1})
    assert isinstance(answer, Committed)
    seen = store.read(("",))
    assert isinstance(seen, Snapshot)
    assert seen["a"].value == 1
    assert not store.changed(seen.revision, ("",))
    store.transact({}, {"a": 2})
    wait_for("word of it", lambda: store.changed(seen.revision, ("a",)))


def test_a_token_that_is_forgotten_is_replaced(store: Store, member: Member) -> None:
    assert isinstance(store.transact({}, {"a": 1}), Committed)
    since = store.read(("",))
    assert isinstance(since, Snapshot)
    assert not store.changed(since.revision, ("",))
    member.kill()  # its tokens are in its memory
    member.start()
    wait_for("the member to be back", lambda: isinstance(store.transact({}, {"a": 2}), Committed))
    wait_for("word of it", lambda: store.changed(since.revision, ("a",)))


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({"user": "", "password_file": ""}, "permission denied.*set user and password_file"),
        ({"user": "nobody"}, "check user and password_file"),
        ({"password_file": "ca.pem"}, "check user and password_file"),
        ({"prefix": "/elsewhere/"}, "permission denied.*role grant-permission"),
        ({"ca": "none.pem"}, "none.pem.*No such file"),
        ({"key": "member.key"}, "that belong together"),
        ({"ca": "password"}, "no certificates"),
        ({"password_file": "none"}, "none cannot be read"),
    ],
)
def test_what_is_wrong_is_said(directory: Path, member: Member, other: dict[str, str], reason: str) -> None:
    with pytest.raises(StoreError, match=reason) as caught:
        engine(member, **other).open(directory, TIMEOUT_S).read(("",))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("other", "reason"), [({"ca": "other/ca.pem"}, "certificate verify failed"), ({"cert": "", "key": ""}, "")]
)
def test_without_trust_there_is_no_answer(directory: Path, member: Member, other: dict[str, str], reason: str) -> None:
    with closing(engine(member, **other).open(directory, TIMEOUT_S)) as store:
        answer = store.read(("",))
        assert isinstance(answer, Unavailable)
        assert reason in answer.reason


# ------------------------------------------------------------------------------------------------- a cluster in it


def configure(directory: Path, member: Member) -> None:
    files = [f'{name} = "{directory / name}.pem"' for name in ("ca",)]
    files += [f'cert = "{directory / "node.pem"}"', f'key = "{directory / "node.key"}"']
    lines = [f'endpoints = ["{member.url}"]', *files, 'user = "hacore"', f'password_file = "{directory / "password"}"']
    place = directory / "etc"
    place.mkdir(exist_ok=True)
    (place / FILE).write_text('node = "alpha"\n[store]\nengine = "etcd"\n' + "\n".join(lines) + "\n")


def hacore(directory: Path, *words: str) -> Result:
    return CliRunner().invoke(main, ["-C", str(directory / "etc"), *words])


def test_a_cluster_is_created_once(directory: Path, member: Member) -> None:
    configure(directory, member)
    place = directory / "etc"
    nodes = ["--node", "alpha", "--node", "beta", "--node", "gamma"]
    assert "unsafe" in hacore(directory, "create", *nodes, "--set", "lock_ttl_s=1").stderr
    assert "twice: beta" in hacore(directory, "create", *nodes, "--node", "beta").stderr
    assert "name" in hacore(directory, "create", "--node", "al pha").stderr
    with closing(open_store(place, TIMEOUT_S)) as store:
        assert isinstance(store, EtcdStore)
        assert snapshot(store)[MEMBERS].revision == 0
    made = hacore(directory, "create", *nodes, "--set", "missed_rounds=1")
    assert (made.exit_code, made.stdout) == (0, "a cluster of alpha, beta, gamma\n")
    again = hacore(directory, "create", "--node", "delta")
    assert again.exit_code == 1
    assert "a cluster already, of alpha, beta, gamma" in again.stderr
    settings = read_settings(place)
    assert settings.timing == {**load(place).store.timing, "missed_rounds": 1}
    assert timing_of(settings).failover_with_master_s <= 20
    assert "At most" in hacore(directory, "timing").stdout
    status = hacore(directory, "status").stdout
    assert "alpha" in status
    assert "no site runs" not in status
    assert "no node of this cluster" in hacore(directory, "node", "delta").stderr


# --------------------------------------------------------------------------------------------- what it has forgotten


def test_what_was_compacted_away_counts_as_changed(tmp_path: Path) -> None:
    with one_member(tmp_path) as member, closing(EtcdStore((member.url,), 1.0)) as store:
        first = answering(store).revision
        for number in range(5):
            assert isinstance(store.transact({}, {"a": number}), Committed)
        now = snapshot(store).revision
        ask(member.url, "kv/compaction", {"revision": str(now)})
        wait_for("word of it", lambda: store.changed(first, ("b",)))
        assert not store.changed(now, ("",))
        store.transact({}, {"b": 1})
        wait_for("word of it", lambda: store.changed(now, ("b",)))
        assert not store.changed(now, ("a",))


def test_what_others_put_below_the_prefix_is_named(tmp_path: Path) -> None:
    with one_member(tmp_path) as member, closing(EtcdStore((member.url,), TIMEOUT_S)) as store:
        answering(store)
        ask(member.url, "kv/put", {"key": "L2hhY29yZS94", "value": "eA=="})
        with pytest.raises(StoreError, match="what etcd has at /hacore/x is no document"):
            store.read(("",))
