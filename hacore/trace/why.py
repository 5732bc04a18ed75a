"""Why a node was fenced, why a service moved, and what is waited for: answers from traces, each with its lines.

What a row means is said by the table: by its ``why``, by the sentences of the facts in its guard, and by those of its
states. Nothing of it is said here a second time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from hacore.protocol.locks import MANAGER_LOCK, agent_lock, heartbeat
from hacore.protocol.table import And, Fact, Guard, Not, Or, Row
from hacore.protocol.tables import TABLES
from hacore.trace.history import RESOURCES, STATUS, History, Step
from hacore.trace.merging import Moment
from hacore.trace.problem import Problem
from hacore.trace.troubles import Trouble, troubles

LONG_S = 60.0
"""What lies further back has nothing to do with it."""
JUST_BEFORE_S = 0.05


class NotTold(LookupError):  # noqa: N818 - it says what is the case
    """The trace does not tell of that; the message says so."""


@dataclass(frozen=True, slots=True)
class Told:
    """One sentence of an answer, when that was, and the lines that show it."""

    at: float
    text: str
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer: in short, what failed first if something did, and how it went on."""

    short: str
    at: float
    """The event itself: other times are told in relation to it."""
    first: Trouble | None
    then: tuple[Told, ...]


def _told(moment: Moment, text: str) -> Told:
    return Told(moment.at, text, (moment.line.place,))


# --------------------------------------------------------------------------------------------------------- fenced


@dataclass(frozen=True, slots=True)
class Fence:
    """One fencing of a node, as far as it is told."""

    renewed: Moment | None
    """The last renewal of its lock before."""
    ended: Moment | None
    """When everything on it ended, by the machine room."""
    mark: Step | None
    taken: Moment | None
    """Its lock, for fencing."""

    @property
    def at(self) -> float:
        moments = (self.ended, self.mark.moment if self.mark else None, self.taken)
        return min(moment.at for moment in moments if moment)


def fences(history: History, node: str) -> list[Fence]:
    """Each time that the node was marked, or that its watchdog reset it, in order."""
    marks = [step for step in history.of_node(node) if step.after["state"] == "fence" != step.before["state"]]
    resets = [it for it in history.ends(node) if it.line.said["event"] == "watchdog_reset"]
    found = [_fence(history, node, mark.moment.at, mark) for mark in marks]
    known = {fence.ended.line.place for fence in found if fence.ended}
    found += [_fence(history, node, reset.at, None) for reset in resets if reset.line.place not in known]
    return sorted(found, key=lambda fence: fence.at)


def _fence(history: History, node: str, at: float, mark: Step | None) -> Fence:
    taken = (
        min((it for it in history.fenced(node) if it.at >= at), key=lambda it: it.at, default=None) if mark else None
    )
    ends = [it for it in history.ends(node) if it.at > at - LONG_S]
    ended = history.last(ends, taken.at if taken else at)
    kept = [it for it in history.commits(agent_lock(node), node) if it.line.daemon == "lrm"]
    first = min([at, *(it.at for it in [ended] if it)])
    return Fence(history.last(kept, first), ended, mark, taken)


def needless(history: History) -> Iterator[Problem]:
    """NoNeedlessReset, as far as a trace shows it: resets of nodes on which nothing had failed, and that no master
    had given up."""
    for node in history.nodes:
        for fence in fences(history, node):
            reset = fence.ended if fence.ended and fence.ended.line.said["event"] == "watchdog_reset" else None
            marked = fence.mark is not None and reset is not None and fence.mark.moment.at < reset.at
            if reset and not marked and cause(history, node, fence) is None:
                yield Problem.at("NoNeedlessReset", f"{node} is reset, and nothing there had failed", reset.line)


def fenced(history: History, node: str) -> Answer:
    """Why a node was fenced last. Raises NotTold."""
    if node not in history.nodes and not history.of_node(node):
        raise NotTold(f"the trace knows no node {node}, only {', '.join(history.nodes)}")
    found = fences(history, node)
    if not found:
        raise NotTold(f"{node} was not fenced, as far as the trace tells")
    fence = found[-1]
    first = cause(history, node, fence)
    how = (
        "its watchdog reset it" if fence.ended and fence.ended.line.said["event"] == "watchdog_reset" else "it was lost"
    )
    often = f" (the last of {len(found)} times)" if len(found) > 1 else ""
    because = f", because {first.text}" if first else ", and nothing in the trace says why"
    short = f"{node} was fenced{often}: {how}{because}."
    return Answer(short, fence.at, first, tuple(sorted(_course(history, node, fence), key=lambda told: told.at)))


def cause(history: History, node: str, fence: Fence) -> Trouble | None:
    """What failed first on the node."""
    found = _troubles(history, node, fence)
    return next(iter([trouble for trouble in found if trouble.kind != "latency"] or found), None)


def _troubles(history: History, node: str, fence: Fence) -> list[Trouble]:
    """What failed on the node since all was well last: since its lock was renewed, or its heart beat."""
    beat = history.last(history.commits(heartbeat(node), node), fence.at)
    well = [it.at for it in (fence.renewed, beat, _fed(history, node, fence)) if it]
    begin = max(min(well, default=fence.at), fence.at - LONG_S)
    found = troubles(history, node, begin - JUST_BEFORE_S, fence.at)
    starved = _starved(history, node, fence)
    if starved or any(trouble.kind == "power" for trouble in found):  # then silence is no cause, but follows
        found = [trouble for trouble in found if trouble.kind != "silent"] + ([starved] if starved else [])
    return sorted(found, key=lambda trouble: trouble.at)


def _starved(history: History, node: str, fence: Fence) -> Trouble | None:
    """A watchdog that fires before the LRM's deadline: the multiplexer has not fed it."""
    until, life = deadline(history, node, fence), history.by_daemon.get((node, "watchdog"), [])
    if not (until and fence.ended and fence.ended.at < until.at and fence.ended.line.said["event"] == "watchdog_reset"):
        return None
    last = history.last(life, fence.ended.at)
    early_s = until.at - fence.ended.at
    text = f"the multiplexer of {node} stopped feeding the watchdog: killed, crashed or paused"
    lines = tuple(it.line.place for it in (last, fence.ended, until) if it)
    return Trouble("multiplexer", last.at if last else fence.at, f"{text} ({early_s:.2f} s were left)", lines)


def _course(history: History, node: str, fence: Fence) -> Iterator[Told]:
    if fence.renewed:
        yield _told(fence.renewed, f"the LRM of {node} had its lock confirmed for the last time")
    until = deadline(history, node, fence)
    if until and until.at <= fence.at:
        yield _told(
            until, f"the deadline passed that the LRM of {node} had given its watchdog: nobody feeds it any more"
        )
    for trouble in _troubles(history, node, fence):
        yield Told(trouble.at, trouble.text, trouble.lines)
    yield from _lrm_rows(history, node, fence)
    beat = history.last(history.commits(heartbeat(node), node), fence.mark.moment.at if fence.mark else fence.at)
    if beat:
        yield _told(beat, f"{node} wrote its heartbeat for the last time")
    if fence.ended:
        words = {"watchdog_reset": f"the watchdog reset {node}: everything on it ended"}
        event = fence.ended.line.said["event"]
        yield _told(fence.ended, words.get(event, f"everything on {node} ended ({event})"))
    if fence.mark:
        yield from _steps([fence.mark])
        near = [step for sid in history.document(STATUS).get("services", {}) for step in history.of_service(sid)]
        yield from _steps(step for step in near if step.before.get("node") == node and _about(step, fence))
    if fence.taken:
        yield _told(fence.taken, f"the master on {fence.taken.line.node} took the lock of {node} for fencing")


def _about(step: Step, fence: Fence) -> bool:
    end = fence.taken.at + 5.0 if fence.taken else fence.at + LONG_S
    begin = fence.mark.moment.at if fence.mark else fence.at
    return begin <= step.moment.at <= end and step.before.get("state") != step.after.get("state")


def _fed(history: History, node: str, fence: Fence) -> Moment | None:
    """When its LRM had handed the last deadline to the multiplexer."""
    kept = (
        it
        for it in history.by_daemon.get((node, "lrm"), [])
        if it.line.ask in {"KeepAlive", "OpenWatchdog"} and it.line.answer("Accepted") is not None
    )
    return history.last(kept, fence.ended.at if fence.ended else fence.at)


def deadline(history: History, node: str, fence: Fence) -> Moment | None:
    """That deadline."""
    fed = _fed(history, node, fence)
    return Moment(fed.at + fed.line.said["deadline_s"] - fed.line.t, fed.line) if fed else None


def _lrm_rows(history: History, node: str, fence: Fence) -> Iterator[Told]:
    """The rows by which its LRM lost its lock."""
    begin = fence.renewed.at if fence.renewed else fence.at - LONG_S
    for moment in history.by_daemon.get((node, "lrm"), []):
        row = TABLES["lrm"].by_id.get(moment.line.row)
        if row and begin <= moment.at <= fence.at and _shown(row.target) == "lost_agent_lock" != _shown(row.state):
            yield _told(
                moment, f"the LRM of {node} gave its lock up for lost: {_meaning(row, moment.line.said['facts'])}"
            )


def _shown(state: str) -> str:
    return TABLES["lrm"].state_named[state].shown


# ------------------------------------------------------------------------------------------------ the words of rows


def _meaning(row: Row, facts: Iterable[str]) -> str:
    """Why a row fired: what of its guard held, in the table's words, its own why, and its id."""
    held = set(facts)
    said = [_sentence(fact, holds) for fact, holds in _literals(row.guard) if (fact.name in held) is holds]
    return f"{'; '.join([*dict.fromkeys(said), *([row.why] if row.why else [])]) or 'nothing else was due'} [{row.id}]"


def _literals(guard: Guard, holds: bool = True) -> Iterator[tuple[Fact, bool]]:
    """The facts of a guard, and whether it asks that they hold."""
    match guard:
        case Fact():
            yield guard, holds
        case Not():
            yield from _literals(guard.inner, not holds)
        case And() | Or():
            yield from _literals(guard.left, holds)
            yield from _literals(guard.right, holds)


def _sentence(fact: Fact, holds: bool) -> str:
    text = fact.sentence.rstrip(".")
    begin = text[0] if text[:2].isupper() else text[0].lower()
    return f"{begin}{text[1:]}" if holds else f"it is not so that {begin}{text[1:]}"


def _steps(steps: Iterable[Step]) -> Iterator[Told]:
    """What a master made of services or a node, and why. What it wrote at once for the same reason is one sentence."""
    together: dict[tuple[str, str], list[Step]] = {}
    for step in steps:
        together.setdefault((step.moment.line.place, _what(step)), []).append(step)
    for (_, what), same in together.items():
        step, names = same[0], ", ".join(step.of for step in same)
        text = f"the master on {step.moment.line.node} took {names} {what}"
        yield Told(step.moment.at, text, (step.decided.place, step.moment.line.place))


def _what(step: Step) -> str:
    rows = [(row, facts) for row, facts in step.rows if row.state != row.target] or list(step.rows)
    way = " to ".join([rows[0][0].state, *(row.target for row, _ in rows)])
    home = step.after.get("node", "")
    where = f" on {home}" if home and home != step.before.get("node") else ""
    return f"from {way}{where}: {'; then: '.join(_meaning(row, facts) for row, facts in rows)}"


# ----------------------------------------------------------------------------------------------------------- moved


def moved(history: History, sid: str) -> Answer:
    """Why a service changed its node last. Raises NotTold."""
    steps = history.of_service(sid)
    moves = [n for n, step in enumerate(steps) if step.before.get("node") not in {None, step.after.get("node")}]
    if not moves:
        known = "" if steps or sid in history.document(STATUS).get("services", {}) else f"; it knows no service {sid}"
        raise NotTold(f"{sid} did not move, as far as the trace tells{known}")
    last = moves[-1]
    begun = max((n for n in range(last) if n in moves or steps[n].after.get("state") == "started"), default=-1) + 1
    chain = steps[begun : last + 1]
    source, target, begin = chain[-1].before["node"], chain[-1].after["node"], chain[0]
    often = f" (the last of {len(moves)} times)" if len(moves) > 1 else ""
    row, facts = begin.rows[0]
    fence = next((it for it in reversed(fences(history, source)) if it.at <= chain[-1].moment.at), None)
    first = None
    because = _meaning(row, facts)
    if any(step.after.get("state") == "recovery" or step.before.get("state") == "fence" for step in chain) and fence:
        first = cause(history, source, fence)
        because = f"{source} was fenced" + (f", because {first.text}" if first else "")
    told = list(_steps(chain))
    if fence and first and fence.ended:
        told.append(_told(fence.ended, f"everything on {source} ended ({fence.ended.line.said['event']})"))
    told += _starts(history, sid, target, chain[-1].moment.at)
    short = f"{sid} moved from {source} to {target}{often}: {because}."
    return Answer(short, chain[-1].moment.at, first, tuple(sorted(told, key=lambda it: it.at)))


def _starts(history: History, sid: str, node: str, after: float) -> Iterator[Told]:
    """When the service was first found running on its new node."""
    for moment in history.by_daemon.get((node, "lrm"), []):
        line = moment.line
        if moment.at >= after and line.worker and line.worker[0] == sid and line.ask == "Probe" and line.said["answer"]:
            yield _told(moment, f"{sid} runs on {node}")
            return


# --------------------------------------------------------------------------------------------------------- waiting


def waiting(history: History, sid: str = "") -> Answer:
    """What a service waits for at the end of the trace; or, of none in particular, the cluster. Raises NotTold."""
    services = history.document(STATUS).get("services", {})
    wanted = history.document(RESOURCES)
    if sid and sid not in {*services, *wanted}:
        raise NotTold(f"the trace knows no service {sid}, only {', '.join(sorted({*services, *wanted})) or 'none'}")
    told = [*_mastery(history), *(it for node in history.nodes for it in _silent(history, node))]
    late = [it.text for it in told]
    for name in [sid] if sid else sorted({*services, *wanted}):
        text = _unsettled(history, name)
        if text:
            late.append(text.text)
            told.append(text)
            told += list(_steps(history.of_service(name)[-1:])) + list(_at_home(history, services.get(name, {})))
    whose = sid or "the cluster"
    short = f"{whose} waits: {'; '.join(late)}." if late else f"{whose} waits for nothing: all is as requested."
    return Answer(short, history.end, None, tuple(sorted(dict.fromkeys(told), key=lambda it: it.at)))


def _mastery(history: History) -> Iterator[Told]:
    lock, moment = history.documents.get(MANAGER_LOCK, (None, None))
    owner = (lock or {}).get("owner", "")
    written = max(history.commits(MANAGER_LOCK), key=lambda it: it.at, default=moment)
    if not owner or written is None:
        yield Told(history.end, "there is no master: nobody decides anything", ())
    elif history.end - written.at > LONG_S / 10:
        yield _told(written, f"{owner} is master, but has not renewed its lock for {history.end - written.at:.1f} s")


def _silent(history: History, node: str) -> Iterator[Told]:
    """An LRM that has not ended, and says nothing."""
    moments = history.by_daemon.get((node, "lrm"), [])
    if moments and history.end - moments[-1].at > LONG_S / 10 and moments[-1].line.said.get("to") != "exited":
        yield _told(moments[-1], f"the LRM of {node} has said nothing for {history.end - moments[-1].at:.1f} s")


def _unsettled(history: History, sid: str) -> Told | None:
    """What is not yet as requested, in the words of the table's states."""
    record = history.document(STATUS).get("services", {}).get(sid)
    resource = history.document(RESOURCES).get(sid, {})
    wish = resource.get("state", "started")
    if record is None:
        return (
            Told(history.end, f"{sid} is configured, and no master has taken note of it") if wish != "ignored" else None
        )
    state, node = TABLES["service"].state_named[record["state"]], record["node"]
    results = history.document(f"lrm/{node}").get("results", {})
    answer = results.get(record["uid"], "")
    if state.name == "started" and wish == "started" and answer == "success":
        return None
    if state.name == "stopped" and wish in {"stopped", "disabled"}:
        return None
    said = f"; its LRM has answered: {answer}" if answer else ""
    step = history.of_service(sid)[-1:]
    at, lines = (step[0].moment.at, (step[0].moment.line.place,)) if step else (history.end, ())
    return Told(at, f"{sid} shall be {wish}, and is {state.name} on {node} ({state.sentence.rstrip('.')}){said}", lines)


def _at_home(history: History, record: dict[str, str]) -> Iterator[Told]:
    """What the LRM of the service's node does, and what has failed there."""
    node = record.get("node", "")
    moments = [it for it in history.by_daemon.get((node, "lrm"), []) if it.line.row.startswith("lrm.")]
    if not moments:
        yield Told(history.end, f"the LRM of {node} has left no trace", ())
        return
    telling = next(
        (
            it
            for it in reversed(moments)
            if (row := TABLES["lrm"].by_id.get(it.line.row)) and (row.why or it.line.said["facts"])
        ),
        moments[-1],
    )
    row = TABLES["lrm"].by_id[telling.line.row]
    shown = TABLES["lrm"].state_named[_shown(row.target)]
    meaning = _meaning(row, telling.line.said["facts"])
    yield _told(telling, f"the LRM of {node} is in {shown.name} ({shown.sentence.rstrip('.')}): {meaning}")
    for moment in reversed(history.by_daemon[node, "lrm"]):
        if moment.line.said.get("say") in {"service_trouble", "start_failed", "stop_failed"}:
            yield _told(moment, f"on {node}: {moment.line.said['say']} {moment.line.said['about']}")
            break
    for trouble in troubles(history, node, history.end - LONG_S / 4, history.end):
        yield Told(trouble.at, trouble.text, trouble.lines)
