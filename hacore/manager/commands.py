"""The queue of commands: how operators' words are checked, and what the master makes of them (PROTOCOL section 7)."""

from __future__ import annotations

from collections.abc import Callable

from hacore.manager.documents import Command, Commands
from hacore.manager.view import View
from hacore.protocol.names import check_node, check_sid

GRAMMAR = {
    "migrate": ("SID", "NODE"),
    "relocate": ("SID", "NODE"),
    "stop": ("SID", "SECONDS"),
    "enable-node-maintenance": ("NODE",),
    "disable-node-maintenance": ("NODE",),
    "disarm-ha": ("MODE",),
    "arm-ha": (),
}


class CommandError(ValueError):
    """A command that nobody can carry out; the message says why."""


def _check_seconds(word: str) -> None:
    if not word.isdecimal():
        raise CommandError(f"bad time-out '{word}': write whole seconds")


def _check_mode(word: str) -> None:
    if word not in {"freeze", "ignore"}:
        raise CommandError(f"bad mode '{word}': write freeze or ignore")


_CHECKS: dict[str, Callable[[str], object]] = {
    "SID": check_sid,
    "NODE": check_node,
    "SECONDS": _check_seconds,
    "MODE": _check_mode,
}


def check(text: str) -> list[str]:
    """The command's words, if they are well formed. Raises CommandError or NameProblem."""
    verb, *arguments = text.split() or [""]
    if verb not in GRAMMAR:
        raise CommandError(f"unknown command '{verb}': the commands are {', '.join(GRAMMAR)}")
    wanted = GRAMMAR[verb]
    if len(arguments) != len(wanted):
        raise CommandError(f"write: {' '.join((verb, *wanted))}")
    for kind, word in zip(wanted, arguments, strict=True):
        _CHECKS[kind](word)
    return [verb, *arguments]


def append(queue: Commands, text: str) -> Commands:
    """The queue with one more command. Raises as :func:`check` does."""
    words = check(text)
    last = queue.last_id + 1
    return Commands(last, [*queue.queue, Command(last, " ".join(words))])


def drain(view: View) -> None:
    """Take every command out of the queue: into this round's pending commands and requests, or refuse it."""
    for sid, record in view.status.services.items():
        if record.command:
            view.pending[sid] = Command(0, record.command)
    for command in view.commands.queue:
        try:
            _take(view, command)
        except ValueError as problem:
            view.refuse(command, str(problem))
    view.commands = Commands(view.commands.last_id, [])


def refuse_rest(view: View) -> None:
    """Refuse the commands that no row took: the service was in no state for it."""
    for sid, command in view.pending.items():
        record = view.status.services.get(sid)
        view.refuse(command, f"{sid} is in state {record.state}" if record else f"{sid} is not managed")
    view.pending.clear()
    if view.disarm_command:
        state = view.status.disarm.state if view.status.disarm else "armed"
        view.refuse(view.disarm_command, f"the cluster is {state}")


def _take(view: View, command: Command) -> None:
    verb, *arguments = check(command.text)
    if verb in {"migrate", "relocate", "stop"}:
        _take_for_service(view, command, verb, *arguments)
    elif verb == "enable-node-maintenance":
        _enable_maintenance(view, arguments[0])
    elif verb == "disable-node-maintenance":
        view.status.maintenance = [node for node in view.status.maintenance if node != arguments[0]]
    else:
        if view.disarm_command:
            view.refuse(view.disarm_command, "another command follows it")
        view.disarm_command = command


def _take_for_service(view: View, command: Command, verb: str, sid: str, argument: str) -> None:
    if sid not in view.status.services:
        raise CommandError(f"{sid} is not managed")
    if verb != "stop" and view.node_state(argument) != "online":
        raise CommandError(f"{argument} is not online")
    if verb != "stop" and view.status.services[sid].node == argument:
        raise CommandError(f"{sid} is on {argument} already")
    if verb == "stop":
        ask(view, sid, command)
    else:
        move(view, sid, command, argument)


def ask(view: View, sid: str, command: Command) -> None:
    """The command to the service is pending now, and no other."""
    if sid in view.pending:
        view.refuse(view.pending[sid], f"another command to {sid} follows it")
    view.pending[sid] = command


def move(view: View, sid: str, command: Command, node: str) -> None:
    """The service and its companions are commanded to a node. Raises CommandError if somebody is in the way there."""
    blockers = view.places.blockers(sid, node)
    if blockers:
        raise CommandError(f"{sid} is kept apart from {', '.join(blockers)} on {node}")
    for each in view.places.rules.companions(sid):
        record = view.status.services.get(each)
        if record and record.node != node:
            ask(view, each, command if each == sid else command.to(each))


def _enable_maintenance(view: View, node: str) -> None:
    if view.node_state(node) != "online":
        raise CommandError(f"{node} is not online")
    if view.status.disarm is not None:
        raise CommandError("the cluster is disarmed")
    if node not in view.status.maintenance:
        view.status.maintenance.append(node)
