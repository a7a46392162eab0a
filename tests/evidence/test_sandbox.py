from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hikeshi.errors import ChildError, ChildKilled, ChildTimeout, DamagedInput, Location
from hikeshi.evidence import sandbox
from hikeshi.evidence.sandbox import Limits, Outcome, Protection, Task, locks, nursery, protection
from hikeshi.model.evidence import RecordRef

HERE = Path(__file__).parent
SOURCE = HERE.parents[1] / "src"
MIB = 2**20
needs_seccomp = pytest.mark.skipif(not protection().seccomp, reason="no seccomp on this machine")
needs_landlock = pytest.mark.skipif(not protection().landlock, reason="no Landlock on this machine")
needs_rlimits = pytest.mark.skipif(not protection().rlimits, reason="no resource limits on this machine")


@pytest.fixture(autouse=True)
def children_find_the_victims(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(HERE))


FORKED = [False]


@pytest.fixture(autouse=True, params=[False, True], ids=["started", "forked"])
def children_are_started_or_forked(request: pytest.FixtureRequest) -> Iterator[None]:
    """What holds for children that are started holds for those that are forked."""
    FORKED[0] = request.param
    yield
    FORKED[0] = False


def run(function: str, tasks: Any, **options: Any) -> Iterator[Outcome]:
    return sandbox.run(function, tasks, **{"forked": FORKED[0], **options})


def act(*actions: tuple[str, Any], **options: Any) -> dict[str, Outcome]:
    """Run actions from sandbox_victims; outcomes by "number:action"."""
    tasks = [Task(f"{i}:{name}", (name, argument)) for i, (name, argument) in enumerate(actions)]
    options.setdefault("workers", 2)
    outcomes = list(run("sandbox_victims:act", tasks, **options))
    assert sorted(o.key for o in outcomes) == sorted(t.key for t in tasks)
    return {o.key: o for o in outcomes}


def only(outcomes: dict[str, Outcome]) -> Outcome:
    (outcome,) = outcomes.values()
    return outcome


# ------------------------------------------------------------------------------ work


def test_every_task_has_its_outcome_and_setup_runs_once_a_child() -> None:
    tasks = [Task(str(n), n) for n in range(200)]
    outcomes = list(run("sandbox_victims:echo", iter(tasks), setup="sandbox_victims:load", setup_argument="rules", workers=2))
    assert sorted(int(o.key) for o in outcomes) == list(range(200))
    assert all(o.error is None and o.value[1] == int(o.key) and o.value[0]["loaded"] == "rules" for o in outcomes)
    assert len({o.value[0]["pid"] for o in outcomes}) <= 2
    assert os.getpid() not in {o.value[0]["pid"] for o in outcomes}


def test_no_tasks_no_outcomes_and_no_children() -> None:
    assert list(run("no.such.module:function", [])) == []


def test_on_done_sees_each_outcome() -> None:
    seen: list[str] = []
    list(run("sandbox_victims:pid", [Task("a", 0), Task("b", 0)], on_done=lambda o: seen.append(o.key), workers=1))
    assert seen == ["a", "b"]


def test_what_a_function_prints_does_not_disturb_the_answers() -> None:
    outcomes = act(("print", "noise\n" * 50_000), ("echo", "signal"))
    assert outcomes["1:echo"].value == "signal" and outcomes["0:print"].error is None


def test_answers_may_be_large() -> None:
    assert only(act(("echo", b"x" * 20_000_000))).value == b"x" * 20_000_000


def test_our_own_errors_come_back_as_they_were() -> None:
    error = only(act(("damaged", None))).error
    assert type(error) is DamagedInput
    assert (error.what, error.source, error.hint) == ("chunk is broken", Location("a.evtx", record=7), "try another copy")


def test_a_bug_comes_back_with_its_name_and_its_traceback() -> None:
    error = only(act(("raise", None))).error
    assert type(error) is ChildError
    assert "KeyError: 'our own bug'" in error.what
    assert "sandbox_victims.py" in (error.hint or "") and "_raise" in (error.hint or "")


def test_a_value_that_is_not_data_is_named_as_our_bug() -> None:
    error = only(act(("lambda", None))).error
    assert type(error) is ChildError and "function" in error.what


def test_records_keep_their_type() -> None:
    assert only(act(("record", None))).value == RecordRef("a.evtx", "0" * 64, record_id=1)


def test_a_failing_setup_is_raised() -> None:
    with pytest.raises(DamagedInput, match="rules are broken"):
        list(run("sandbox_victims:pid", [Task("a", 0)], setup="sandbox_victims:load_badly", workers=2))


def test_a_wrong_function_name_is_raised_as_our_bug() -> None:
    with pytest.raises(ChildError, match="no_such"):
        list(run("sandbox_victims:no_such", [Task("a", 0)], workers=2))


def test_an_error_in_the_tasks_is_raised() -> None:
    def tasks() -> Iterator[Task]:
        yield Task("a", 0)
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        list(run("sandbox_victims:pid", tasks(), workers=2))


def test_children_get_no_secrets_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary")
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    outcomes = act(("environment", "AWS_SECRET_ACCESS_KEY"), ("environment", "LC_ALL"))
    assert [o.value for o in sorted(outcomes.values(), key=lambda o: o.key)] == [None, "C.UTF-8"]


def test_code_lying_among_the_evidence_is_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("hikeshi", "struct", "numpy", "sitecustomize", "usercustomize"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    monkeypatch.chdir(tmp_path)
    assert only(act(("echo", 1))).value == 1
    assert not (tmp_path / "ran").exists()


# ------------------------------------------------------------------------------ dying


@needs_rlimits
@pytest.mark.parametrize(("action", "argument", "kind", "says"), [
    ("segfault", None, ChildKilled, "SIGSEGV"),
    ("exit", 3, ChildKilled, "exit code 3"),
    ("exit", 0, ChildKilled, "exit code 0"),
    ("kill_self", None, ChildKilled, "killed from outside"),
    ("spin", None, ChildKilled, "more than 1 seconds of CPU time"),
    ("sleep", 60, ChildTimeout, "longer than 3 seconds"),
    ("allocate", 10 * 2**30, ChildKilled, "more memory than the 512 MiB"),
    ("deep", None, ChildError, "RecursionError"),
])
def test_a_task_that_kills_its_child_costs_only_itself(action: str, argument: Any, kind: type, says: str) -> None:
    good = [("echo", n) for n in range(6)]
    outcomes = act(*good[:3], (action, argument), *good[3:], workers=1,
                   limits=Limits(cpu_s=1, wall_s=3 if action == "sleep" else 120, memory_bytes=512 * MIB))
    bad = outcomes.pop(f"3:{action}")
    assert type(bad.error) is kind and says in bad.error.what and bad.error.hint and bad.value is None
    assert sorted(o.value for o in outcomes.values()) == list(range(6))
    assert all(o.error is None for o in outcomes.values())


def test_many_killers_and_many_good_tasks_all_end() -> None:
    actions: list[tuple[str, Any]] = []
    for n in range(12):
        actions += [("segfault", None) if n % 2 else ("exit", 1), ("echo", n)]
    outcomes = act(*actions, workers=3)
    assert sorted(o.value for o in outcomes.values() if o.error is None) == list(range(12))
    assert sum(o.error is not None for o in outcomes.values()) == 12


def test_what_a_dying_child_shouts_is_shown_in_plain_characters() -> None:
    error = only(act(("shout", "\x1b[31mpanicked at 'chunk'\x07\n"))).error
    assert error is not None and "panicked at 'chunk'" in error.what
    assert "\x1b" not in error.what and "\x07" not in error.what


@needs_rlimits
def test_a_file_larger_than_the_limit_is_stopped(tmp_path: Path) -> None:
    outcome = only(act(("fill", str(tmp_path / "big")), writable=[tmp_path], limits=Limits(file_bytes=MIB)))
    assert type(outcome.error) is ChildKilled and "larger than 1 MiB" in outcome.error.what
    assert (tmp_path / "big").stat().st_size <= MIB


@pytest.mark.skipif(sys.platform != "linux", reason="reads the memory in use from /proc")
def test_a_child_that_has_grown_is_replaced() -> None:
    tasks = [Task(str(n), 100 * MIB) for n in range(6)]
    outcomes = list(run("sandbox_victims:hoard", tasks, workers=1, limits=Limits(memory_bytes=500 * MIB)))
    assert all(o.error is None for o in outcomes)
    assert len({o.value for o in outcomes}) >= 2


def test_the_figures_are_those_of_the_task() -> None:
    ballast = b"x" * (300 * MIB)  # of the parent: it must not be counted as the child's
    outcome = only(act(("echo", b"x" * (60 * MIB))))
    assert outcome.cpu_s >= 0 and len(ballast)
    if Path("/proc/self/status").exists():
        assert 60 * MIB < outcome.peak_bytes < 290 * MIB


# ------------------------------------------------------------------------------ locks


@needs_seccomp
@pytest.mark.parametrize(("action", "argument"), [
    ("socket", None), ("unix_socket", None), ("connect", 80), ("fork", None), ("exec", None), ("run", None),
    ("kill_parent", None), ("signal_parent_0", None), ("allocate_shared", 10 * 2**30)])
def test_a_child_cannot(action: str, argument: Any) -> None:
    outcomes = act((action, argument), ("echo", "alive"), workers=1)
    error = outcomes[f"0:{action}"].error
    assert type(error) is ChildError and "PermissionError" in error.what
    assert outcomes["1:echo"].value == "alive"


@needs_seccomp
def test_threads_are_allowed() -> None:
    assert only(act(("thread", None))).value == 1


@needs_landlock
def test_a_child_writes_only_where_it_may(tmp_path: Path) -> None:
    inside, outside = tmp_path / "in", tmp_path / "out"
    inside.mkdir()
    outside.mkdir()
    outcomes = act(("write", str(inside / "a")), ("write", str(outside / "a")), ("write", str(inside / "../out/b")),
                   ("symlink", (str(outside), str(inside / "link"))), ("chmod", str(outside)), writable=[inside])
    assert outcomes.pop("0:write").error is None and (inside / "a").read_text() == "was here"
    for outcome in outcomes.values():
        assert outcome.error is not None and "PermissionError" in outcome.error.what
    assert list(outside.iterdir()) == [] and [p.name for p in inside.iterdir()] == ["a"]


@needs_landlock
def test_a_child_reads_only_what_it_may(tmp_path: Path) -> None:
    (tmp_path / "evidence").mkdir()
    (tmp_path / "evidence" / "a.log").write_bytes(b"line")
    (tmp_path / "secret").write_bytes(b"key")
    (tmp_path / "evidence" / "link").symlink_to(tmp_path / "secret")
    outcomes = act(("read", str(tmp_path / "evidence" / "a.log")), ("read", str(tmp_path / "secret")),
                   ("read", str(tmp_path / "evidence" / "link")), ("read", "/etc/passwd"), ("list", str(Path.home())),
                   ("write", str(tmp_path / "evidence" / "new")), readable=[tmp_path / "evidence"])
    assert outcomes.pop("0:read").value == b"line"
    for outcome in outcomes.values():
        assert outcome.error is not None and "PermissionError" in outcome.error.what, outcome


@needs_landlock
def test_setup_still_reads_what_the_tasks_cannot(tmp_path: Path) -> None:
    (tmp_path / "rules").write_bytes(b"rules")
    (outcome,) = run("sandbox_victims:echo", [Task("a", 1)], setup="sandbox_victims:read_before_lock",
                     setup_argument=str(tmp_path / "rules"))
    assert outcome.value == (b"rules", 1)


def test_an_outcome_says_which_locks_held() -> None:
    assert only(act(("echo", 1))).protection == str(protection())


@needs_landlock
def test_the_libraries_start_no_threads_that_escape_the_lock() -> None:
    (outcome,) = run("sandbox_victims:pid", [Task("a", 0)], setup="sandbox_victims:import_libraries",
                     setup_argument=["numpy", "pyarrow", "pyarrow.compute", "evtx", "ahocorasick", "re2", "orjson"])
    assert outcome.error is None and outcome.protection == str(protection())


@needs_landlock
def test_threads_that_setup_starts_are_owned_up_to() -> None:
    (outcome,) = run("sandbox_victims:act", [Task("a", ("read", "/etc/passwd"))], setup="sandbox_victims:start_thread")
    assert "1 threads without" in outcome.protection
    assert outcome.error is not None and "PermissionError" in outcome.error.what


def test_protection_is_described_in_both_languages() -> None:
    for given in (protection(), Protection(), Protection(rlimits=True, seccomp=True, landlock=4)):
        text = given.describe()
        assert text.ja.endswith("。") and text.en.endswith(".")
    assert "network" in Protection().describe().en.split("not offer")[1]
    assert "not offer" not in Protection(rlimits=True, seccomp=True, landlock=1).describe().en


def test_the_filters_for_both_processors_are_sound() -> None:
    """Jumps stay inside the program, and it ends in a return."""
    for machine in locks._MACHINES.values():
        steps = locks._program(machine, 1234)
        for place, (code, yes, no, _) in enumerate(steps):
            if code & 7 == 5:
                assert place + 1 + max(yes, no) < len(steps)
        assert steps[-1][0] == 6
        assert len(machine.denied) == len(set(machine.denied))


# ------------------------------------------------------------------------------ orphans


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with contextlib.suppress(OSError):
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    return True


def gone(pids: list[int], within_s: float = 10) -> bool:
    end = time.monotonic() + within_s
    while any(alive(p) for p in pids) and time.monotonic() < end:
        time.sleep(0.05)
    return not any(alive(p) for p in pids)


def test_closing_the_run_early_ends_all_children() -> None:
    tasks = [Task("a", ("pid", None)), *(Task(str(n), ("sleep", 100)) for n in range(10))]
    outcomes = run("sandbox_victims:act", tasks, workers=2)
    first = next(outcomes)
    began = time.monotonic()
    outcomes.close()  # type: ignore[attr-defined]
    assert time.monotonic() - began < 20
    assert gone([first.value])


SCRIPT = textwrap.dedent("""
    import sys
    from hikeshi.evidence.sandbox import Task, run
    tasks = [Task("a", ("pid", None)), Task("b", ("pid", None))] + [Task(str(n), ("sleep", 100)) for n in range(9)]
    try:
        for outcome in run("sandbox_victims:act", tasks, workers=2, forked=sys.argv[1] == "True"):
            print(outcome.value, flush=True)
    except KeyboardInterrupt:
        print("interrupted", flush=True)
""")


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_no_child_outlives_its_parent(how: int) -> None:
    parent = subprocess.Popen([sys.executable, "-c", SCRIPT, str(FORKED[0])], stdout=subprocess.PIPE, text=True,
                              env=os.environ | {"PYTHONPATH": f"{SOURCE}{os.pathsep}{HERE}"})
    assert parent.stdout is not None
    pids = [int(parent.stdout.readline()), int(parent.stdout.readline())]
    time.sleep(0.3)  # both children sleep now
    parent.send_signal(how)
    rest = parent.communicate(timeout=20)[0]
    assert gone(pids)
    assert ("interrupted" in rest) == (how == signal.SIGINT)


def test_it_works_with_less_on_a_machine_without_limits() -> None:
    code = ("import sys; sys.modules['resource'] = None\n"
            "from hikeshi.evidence.sandbox import Task, protection, run\n"
            "from hikeshi.evidence.sandbox.child import peak_bytes\n"
            "assert not protection().rlimits and peak_bytes() >= 0\n"
            "print([o.value for o in run('sandbox_victims:act', [Task('a', ('echo', 5))])])")
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60,
                         env=os.environ | {"PYTHONPATH": f"{SOURCE}{os.pathsep}{HERE}"})
    assert out.stdout.strip() == "[5]"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_fault_of_the_pool_itself_is_raised_and_does_not_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: object) -> None:
        raise RuntimeError("our own fault")

    monkeypatch.setattr("hikeshi.evidence.sandbox.pool._Child.end", broken)
    with pytest.raises((RuntimeError, ChildError)):
        list(run("sandbox_victims:pid", [Task("a", 0)], workers=1))


# ------------------------------------------------------------------------------ children that are forked

needs_nursery = pytest.mark.skipif(not nursery.OFFERED, reason="children are forked on Linux only")


def forked(function: str, tasks: list[Task], **options: Any) -> list[Outcome]:
    return list(sandbox.run(f"sandbox_victims:{function}", tasks, workers=2, forked=True, **options))


@needs_nursery
def test_setup_runs_once_for_all_forked_children() -> None:
    tasks = [Task("a", ("die_first", None)), *(Task(str(n), ("pid", None)) for n in range(40))]
    outcomes = forked("with_setup", tasks, setup="sandbox_victims:load", setup_argument=1)
    told = [o.value for o in outcomes if o.error is None]
    assert len(told) == 40
    assert len({born for born, _ in told}) == 1, "set up in one process"
    assert len({born for born, _ in told} & {own for _, own in told}) == 0, "which serves no task itself"
    # Near miss: started one by one, each sets itself up.
    outcomes = list(sandbox.run("sandbox_victims:with_setup", tasks, setup="sandbox_victims:load", setup_argument=1,
                                workers=2))
    assert all(born == own for born, own in (o.value for o in outcomes if o.error is None))


@needs_nursery
def test_a_forked_child_holds_nothing_that_leads_to_the_nursery() -> None:
    (outcome,) = forked("act", [Task("a", ("open_files", None))])
    kinds = outcome.value
    assert not [k for k in kinds if k.startswith("socket")]
    # Its tasks, its answers, its standard error; twice where Python holds the same end by two numbers.
    assert len({k for k in kinds if k.startswith("pipe")}) == 3, kinds


@needs_nursery
def test_setup_that_leaves_threads_is_not_forked() -> None:
    tasks = [Task(str(n), ("pid", None)) for n in range(4)]
    outcomes = forked("with_setup", tasks, setup="sandbox_victims:load_with_thread")
    assert [o.error for o in outcomes] == [None] * 4
    assert all(born == own for born, own in (o.value for o in outcomes))


@needs_nursery
def test_a_nursery_that_dies_costs_time_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its children end with it; the tasks go on in children that are started."""
    made: list[Any] = []
    real = nursery.Nursery.fork

    def fork(self: Any) -> Any:
        made.append(self)
        return real(self)

    monkeypatch.setattr(nursery.Nursery, "fork", fork)
    outcomes = sandbox.run("sandbox_victims:act", [Task(str(n), ("pid", None)) for n in range(30)], workers=2,
                           forked=True)
    first = next(outcomes)
    made[0]._process.kill()
    rest = list(outcomes)
    assert first.error is None
    assert len(rest) == 29
    assert sum(o.error is not None for o in rest) <= 2      # those that were being done
    assert all(isinstance(o.error, ChildKilled) for o in rest if o.error is not None)


@needs_nursery
def test_one_worker_needs_no_nursery(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nursery, "Nursery", None)
    outcomes = list(sandbox.run("sandbox_victims:pid", [Task("a", 0)], workers=1, forked=True))
    assert outcomes[0].error is None
