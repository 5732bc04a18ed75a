"""The cluster's documents, as operators' commands read and change them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from hacore.devices.store import Store, StoreError
from hacore.manager.documents import dump
from hacore.protocol.requests import Committed, Snapshot, Unavailable

ATTEMPTS = 100
"""How often a change is tried anew. Each conflict means that somebody else got through, so few are ever needed."""

A = TypeVar("A")


@contextmanager
def opened(directory: Path) -> Iterator[Store]:
    """The store of the cluster in ``directory``. Raises StoreError with what to do about it."""
    from hacore.runtime.cluster import OPERATOR_TIMEOUT_S
    from hacore.runtime.config import open_store

    if not exists(directory):
        raise StoreError(
            f"no cluster in {directory}: name its directory (hacore -C DIR ..., or HACORE_DIR), "
            f"or make one: hacore -C {directory} up"
        )
    store = open_store(directory, OPERATOR_TIMEOUT_S)
    try:
        yield store
    finally:
        store.close()


def exists(directory: Path) -> bool:
    """Whether there is a cluster in ``directory``, or something that prevents us from telling."""
    from hacore.runtime.config import load

    return load(directory).store.exists(directory)


def read(store: Store) -> Snapshot:
    """All documents. Raises StoreError if the store does not answer."""
    answer = store.read(("",))
    if isinstance(answer, Unavailable):
        raise StoreError(f"the store did not answer: {answer.reason}; nothing was changed, try again")
    return answer


def update(store: Store, key: str, change: Callable[[Snapshot], A], rests_on: tuple[str, ...] = ()) -> A:
    """Change one document to what ``change`` makes of all of them, and return that.

    What was read must still be so when it is written: the document itself, and those of ``rests_on``, by which the
    change was judged. Otherwise it is read and judged anew. What ``change`` raises is raised, and nothing is written.

    Raises StoreError, which says whether anything may have been changed.
    """
    for _ in range(ATTEMPTS):
        seen = read(store)
        new = change(seen)
        value = dump(new)
        if value == seen[key].value:
            return new
        answer = store.transact({each: seen[each].revision for each in (key, *rests_on)}, {key: value})
        if isinstance(answer, Committed):
            return new
        if isinstance(answer, Unavailable):
            raise StoreError(
                f"the store did not answer: {answer.reason}; '{key}' may have been changed or not: look, then repeat"
            )
    raise StoreError(f"'{key}' was changed by others {ATTEMPTS} times in a row: nothing was changed, try again")
