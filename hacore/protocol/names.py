"""How services and nodes are called."""

from __future__ import annotations

import re

_SID = re.compile(r"[a-z][a-z0-9]*:[A-Za-z0-9][A-Za-z0-9_.@-]{0,62}\Z")
_NODE = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\Z")


class NameProblem(ValueError):  # noqa: N818 - it says what is the case
    """A name that nothing can have; the message says what it should look like."""


def check_sid(sid: str) -> str:
    """The service id itself, if it is well formed (``type:name``)."""
    if not _SID.match(sid):
        raise NameProblem(
            f"bad service id '{sid}': write type:name, such as proc:web "
            "(letters, digits, '_', '.', '@', '-', at most 63)"
        )
    return sid


def check_node(node: str) -> str:
    """The node's name itself, if it is well formed (a host name's label, RFC 1123)."""
    if not _NODE.match(node):
        raise NameProblem(f"bad node name '{node}': use lower-case letters, digits and inner '-', at most 63")
    return node
