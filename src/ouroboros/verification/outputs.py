"""What programs return: calls made in the sandbox, their values brought out as plain Python values.

For expected values that come from a reference program. The program runs as a candidate does, in
the same jails under the same limits; its values pass the same strict decoder, in the judge and once
more here.
"""

from __future__ import annotations

import queue
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ouroboros.errors import InputError
from ouroboros.progress import Progress
from ouroboros.verification.inside import values
from ouroboros.verification.jail import JailSpec, make_spec
from ouroboros.verification.params import ExecuteParams
from ouroboros.verification.run import ATTEMPTS, InfrastructureError, default_workers
from ouroboros.verification.worker import Job, Worker, WorkerLost


@dataclass(frozen=True, kw_only=True, slots=True)
class Calls:
    """A program and calls of it.

    Attributes:
        label: what an error message calls it.
        code: the program.
        entry_point: the function that is called.
        arguments: per call, the source text of its arguments: "[1, 2], 3".
    """

    label: str
    code: str
    entry_point: str
    arguments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Returned:
    """A value that a call returned."""

    value: Any


@dataclass(frozen=True, slots=True)
class NotReturned:
    """Why a call gave no value.

    Attributes:
        verdict: the class, as in `records.Verdict`.
        message: what is known of it.
        ended: whether the process ended at this call (CPU time, a signal), so that this call may
            only have been the one at which a limit for all calls was reached.
        begun: whether the call was made at all; false for those after the one that ended.
    """

    verdict: str
    message: str
    ended: bool = False
    begun: bool = True


Outcome = Returned | NotReturned


def run_calls(
    programs: Sequence[Calls],
    params: ExecuteParams,
    *,
    workers: int | None = None,
    label: str = "calls",
    config: Path | None = None,
) -> list[list[Outcome]]:
    """Run each program once and make its calls one after another in that one process.

    Args:
        params: the limits; those of time and output hold for all calls of a program together.
        workers: how many programs run at once; `run.default_workers()` if None.
        label: what progress is shown as.
        config: the jail's configuration; `sandbox/nsjail.cfg` if None.

    Returns:
        Per program, per call, what came of it.

    Raises:
        InputError: arguments that are no Python expressions, or refer to the program.
        SandboxError: the sandbox cannot be started here.
        InfrastructureError: the sandbox kept failing on one program.
    """
    spec = make_spec(config, (2 * params.memory_mb + 256) << 20, params.max_processes + 8)
    count = max(1, min(workers or default_workers(), len(programs)))
    # Workers by slot, started when first needed and kept from program to program.
    free: queue.SimpleQueue[_Slot] = queue.SimpleQueue()
    slots = [_Slot(spec, params, number) for number in range(count)]
    for slot in slots:
        free.put(slot)

    def run(program: Calls) -> list[Outcome]:
        slot = free.get()
        try:
            return slot.run(program)
        finally:
            free.put(slot)

    found = []
    try:
        with (
            Progress(len(programs), label, "programs") as progress,
            ThreadPoolExecutor(count) as pool,
        ):
            for outcomes in pool.map(run, programs):
                found.append(outcomes)
                progress.advance()
    finally:
        for slot in slots:
            slot.close()
    return found


class _Slot:
    """A place for one worker."""

    def __init__(self, spec: JailSpec, params: ExecuteParams, number: int) -> None:
        self._spec, self._params, self._number = spec, params, number
        self._worker: Worker | None = None

    def run(self, program: Calls) -> list[Outcome]:
        if not program.arguments:
            return []
        calls = [f"{program.entry_point}({arguments})" for arguments in program.arguments]
        # One that stands twice would be one test.
        tests = list(dict.fromkeys(f"assert {call}" for call in calls))
        problem: dict[str, Any] = {
            "entry_point": program.entry_point,
            "setup_code": "",
            "tests": tests,
            "check": None,
            "visible_tests": [],
            "extra_tests": [],
        }
        job = Job(program.label, program.label, problem, program.code)
        answer = self._answer(job)
        if len(answer["calls"]) != len(tests):
            raise InputError("its arguments call the program", where=f"problem {job.label}")
        limits = self._params.max_value_bytes, self._params.max_value_depth
        bounds = values.Limits(*limits, self._params.max_value_items)
        by_test = {
            test: _outcome(number, entry, answer["ended"], bounds)
            for number, (test, entry) in enumerate(zip(tests, answer["calls"], strict=True))
        }
        return [by_test[f"assert {call}"] for call in calls]

    def _answer(self, job: Job) -> dict[str, Any]:
        reasons = []
        for _ in range(ATTEMPTS):
            if self._worker is None:
                self._worker = Worker(self._spec, self._params, self._number)
            try:
                self._worker.send(job, outputs=True)
                return self._worker.receive(job)
            except WorkerLost as lost:
                reasons.append(lost)
                self.close()
            except BaseException:
                self.close()
                raise
        raise InfrastructureError(
            f"the sandbox failed {ATTEMPTS} times on the program {job.label}\n  {reasons[-1]}"
        )

    def close(self) -> None:
        if self._worker is not None:
            self._worker.close()
            self._worker = None


def _outcome(number: int, entry: Any, ended: int | None, bounds: values.Limits) -> Outcome:
    if isinstance(entry, str):
        return Returned(values.decode(bytes.fromhex(entry), bounds))
    verdict, message = entry
    return NotReturned(
        verdict, message, ended=number == ended, begun=ended is None or number <= ended
    )
