"""Verifying candidates: many programs, several workers, finished work kept."""

from __future__ import annotations

import contextlib
import os
import queue
import threading
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ouroboros.errors import InputError, UserError
from ouroboros.progress import Progress
from ouroboros.records import (
    Candidate,
    Problem,
    Verdict,
    from_dict,
    require_known_problems,
    require_unique,
)
from ouroboros.store import ResultStore, digest
from ouroboros.verification.identity import sandbox_identity
from ouroboros.verification.jail import JailSpec, SandboxError, make_spec
from ouroboros.verification.params import ExecuteParams
from ouroboros.verification.worker import Job, OverBudget, Worker, WorkerLost

WORKERS_VARIABLE = "OUROBOROS_WORKERS"
ATTEMPTS = 3
"""How often a job is tried when its worker is lost; after the first time alone, in fresh jails."""

_AHEAD = 4
_CHUNK = 16
_STORE_EVERY = 64
_PROBLEM_FIELDS = ("entry_point", "setup_code", "tests", "check", "visible_tests", "extra_tests")


class InfrastructureError(SandboxError):
    """The sandbox itself failed on the same candidates again and again. Never a verdict."""


def default_workers() -> int:
    """`$OUROBOROS_WORKERS`, or as many as there are processors to use.

    Raises:
        UserError: the variable is not a positive number.
    """
    text = os.environ.get(WORKERS_VARIABLE)
    if text is None:
        return len(os.sched_getaffinity(0))
    if not text.isdecimal() or int(text) < 1:
        raise UserError(f"{WORKERS_VARIABLE} must be a positive number, not {text!r}")
    return int(text)


def verify(
    problems: Sequence[Problem],
    candidates: Sequence[Candidate],
    params: ExecuteParams,
    *,
    workers: int | None = None,
    store: ResultStore | None = None,
    label: str = "verify",
    config: Path | None = None,
) -> list[Verdict]:
    """Run every candidate against its problem's tests in the sandbox.

    Identical programs of a problem run once. With a store, each result is kept as it comes, and a
    rerun does only what is missing.

    Args:
        workers: how many run at once; `default_workers()` if None. Does not change any verdict.
        label: what progress is shown as.
        config: the jail's configuration; `sandbox/nsjail.cfg` if None.

    Returns:
        One verdict per candidate, in their order.

    Raises:
        InputError: a candidate of an unknown problem, a duplicate, a problem that cannot be judged.
        SandboxError: the sandbox cannot be started here.
        InfrastructureError: the sandbox kept failing on some candidates.
    """
    _check_keys(problems, candidates)
    if workers is not None and workers < 1:
        raise UserError(f"workers must be at least 1, not {workers}")
    # The cgroup holds the worker's own processes besides one candidate at its limit.
    spec = make_spec(config, (2 * params.memory_mb + 256) << 20, params.max_processes + 8)
    if spec.interpreter.minor != params.python:
        raise UserError(
            f"execute.python is {params.python}, but this environment's interpreter is "
            f"{spec.interpreter.minor} ({spec.interpreter.executable})\n"
            "  labels depend on it: build the environment on the right one, or change the param"
        )
    jobs, keys = _make_jobs(problems, candidates, sandbox_identity(spec, params))
    results = store.get(jobs) if store is not None else {}
    missing = [job for key, job in jobs.items() if key not in results]
    with Progress(len(jobs), label, "programs", done=len(jobs) - len(missing)) as progress:
        if missing:
            count = min(workers or default_workers(), -(-len(missing) // 4))
            pool = _Pool(spec, params, missing, count)
            results.update(pool.run(store, progress))
    return [
        from_dict(
            Verdict,
            {"problem_id": c.problem_id, "sample_index": c.sample_index, **results[key]},
            f"verdict of {c.key}",
        )
        for c, key in zip(candidates, keys, strict=True)
    ]


def _check_keys(problems: Sequence[Problem], candidates: Sequence[Candidate]) -> None:
    require_unique(
        ((p.problem_id, f"problem number {n}") for n, p in enumerate(problems, 1)), "problem"
    )
    places = [f"candidate number {n}" for n in range(1, len(candidates) + 1)]
    require_unique(zip((c.key for c in candidates), places, strict=True), "candidate")
    ids = [(c.problem_id, place) for c, place in zip(candidates, places, strict=True)]
    require_known_problems(ids, problems, "the problems given")


def _make_jobs(
    problems: Sequence[Problem], candidates: Sequence[Candidate], identity: dict[str, Any]
) -> tuple[dict[str, Job], list[str]]:
    """The distinct programs by key, problem by problem, and the key of each candidate."""
    parts = {
        problem.problem_id: {
            name: list(value) if isinstance(value, tuple) else value
            for name in _PROBLEM_FIELDS
            for value in (getattr(problem, name),)
        }
        for problem in problems
    }
    prefixes = {problem_id: digest([identity, part]) for problem_id, part in parts.items()}
    by_problem: dict[str, dict[str, Job]] = {}
    keys = []
    for candidate in candidates:
        key = digest([prefixes[candidate.problem_id], candidate.code])
        keys.append(key)
        jobs = by_problem.setdefault(candidate.problem_id, {})
        if key not in jobs:
            label = f"{candidate.problem_id} sample {candidate.sample_index}"
            jobs[key] = Job(key, label, parts[candidate.problem_id], candidate.code)
    return {key: job for jobs in by_problem.values() for key, job in jobs.items()}, keys


class _Pool:
    """Threads, each with a worker of its own, that take jobs from one list."""

    def __init__(
        self, spec: JailSpec, params: ExecuteParams, jobs: list[Job], workers: int
    ) -> None:
        self._spec, self._params, self._workers = spec, params, workers
        self._jobs = deque(jobs)
        self._lock = threading.Lock()
        self._stop = threading.Event()
        # (key, verdict), or an exception that ends the run, or None from a thread that is done.
        self._results: queue.Queue[tuple[str, dict[str, Any]] | BaseException | None] = (
            queue.Queue()
        )

    def run(self, store: ResultStore | None, progress: Progress) -> dict[str, dict[str, Any]]:
        threads = [
            threading.Thread(target=self._thread, args=(slot,), name=f"verifier-{slot}")
            for slot in range(self._workers)
        ]
        for thread in threads:
            thread.start()
        found: dict[str, dict[str, Any]] = {}
        unsaved: dict[str, dict[str, Any]] = {}
        error: BaseException | None = None
        running = len(threads)
        try:
            while running:
                item = self._results.get()
                if item is None:
                    running -= 1
                elif isinstance(item, BaseException):
                    error = error or item
                    self._stop.set()
                else:
                    found[item[0]] = unsaved[item[0]] = item[1]
                    progress.advance()
                    if store is not None and (
                        len(unsaved) >= _STORE_EVERY or self._results.empty()
                    ):
                        store.put(unsaved)
                        unsaved = {}
        finally:
            # Also on Ctrl-C: the threads see it after the job they are at.
            self._stop.set()
            for thread in threads:
                thread.join()
            if store is not None and unsaved:
                store.put(unsaved)
        if error is not None:
            raise error
        return found

    def _thread(self, slot: int) -> None:
        processors = sorted(os.sched_getaffinity(0))
        processor = processors[slot % len(processors)]
        try:
            self._work(slot, processor)
        except BaseException as error:
            self._results.put(error)
        finally:
            self._results.put(None)

    def _take(self, count: int) -> list[Job]:
        with self._lock:
            return [self._jobs.popleft() for _ in range(min(count, len(self._jobs)))]

    def _work(self, slot: int, processor: int | None) -> None:
        worker: Worker | None = None
        pending: deque[Job] = deque()
        sent: deque[Job] = deque()
        try:
            while not self._stop.is_set():
                if not pending and not sent:
                    pending.extend(self._take(_CHUNK))
                    if not pending:
                        return
                if worker is None:
                    worker = self._start(slot, processor)
                try:
                    while pending and len(sent) < _AHEAD:
                        sent.append(pending.popleft())
                        worker.send(sent[-1])
                    verdict = worker.receive(sent[0])
                    job = sent.popleft()
                except WorkerLost as lost:
                    worker.close()
                    worker = None
                    # It works in order, so it was at the oldest; the others were never begun.
                    job = sent.popleft()
                    pending.extendleft(reversed(sent))
                    sent.clear()
                    verdict = self._again(job, slot, processor, lost)
                self._results.put((job.key, verdict))
        finally:
            if worker is not None:
                worker.close()

    def _start(self, slot: int, processor: int | None) -> Worker:
        """Start a worker; one that was killed on the way up is started again."""
        for _ in range(ATTEMPTS - 1):
            with contextlib.suppress(SandboxError):
                return Worker(self._spec, self._params, slot, processor)
        return Worker(self._spec, self._params, slot, processor)

    def _again(
        self, job: Job, slot: int, processor: int | None, lost: WorkerLost
    ) -> dict[str, Any]:
        """Try a job alone in fresh jails after its worker was lost."""
        reasons = [lost]
        while len(reasons) < ATTEMPTS and not isinstance(reasons[-1], OverBudget):
            worker = self._start(slot, processor)
            try:
                worker.send(job)
                return worker.receive(job)
            except WorkerLost as error:
                reasons.append(error)
            finally:
                worker.close()
        if isinstance(reasons[-1], OverBudget):
            return _over_budget(job)
        raise InfrastructureError(
            f"the sandbox failed {ATTEMPTS} times on the candidate {job.label}, which therefore "
            f"has no verdict\n  {reasons[-1]}\n"
            "  what was finished is kept: run the same command again; if it stays, report the "
            "candidate as a bug"
        )


def _over_budget(job: Job) -> dict[str, Any]:
    """The verdict where comparing a returned value would not stop: no test can be told."""
    count = {name: len(job.problem[name]) for name in ("tests", "visible_tests", "extra_tests")}
    count["tests"] = count["tests"] or 1
    return {
        "verdict": "timeout",
        **{name: ["error"] * number for name, number in count.items()},
        "error_type": None,
        "message": "comparing its result took too long",
        "outputs": [None] * count["tests"],
        "visible_outputs": [None] * count["visible_tests"],
    }


def check_candidates(
    problems: Sequence[Problem], rows: Sequence[tuple[str, Candidate]], source: str
) -> list[Candidate]:
    """The candidates of a file read with their places, once each names a known problem.

    Raises:
        InputError: an unknown problem; the message starts with file and line.
    """
    require_known_problems([(c.problem_id, where) for where, c in rows], problems, source)
    if not rows:
        raise InputError("no candidates to verify")
    return [candidate for _, candidate in rows]
