"""The judge: trusted, in a jail of its own, apart from every candidate.

It reads problems and jobs from the parent and answers each job with a verdict. Frames hold JSON.

to the judge    P  a problem
                J  a job ("code"), answered by V
                O  the same, but asking what the tests' calls return, answered by O
                W  the answer to its own W: seconds waited, seconds used
from the judge  R  ready
                V  a verdict
                O  what the calls returned
                W  how long has this candidate waited for the processor, and used it?
                E  the problem cannot be judged: why
                I  infrastructure failed: why
"""

from __future__ import annotations

import faulthandler
import gc
import hashlib
import importlib
import json
import os
import resource
import signal
import socket
import sys
from collections import deque
from typing import Any

from ..inside import values
from ..inside.channel import frame, read_frame, write_all
from ..inside.confine import Confinement
from ..inside.runner import SENDING_LIMITS, clean, describe
from ..inside.zygote import READY
from .plan import TAKE, Plan, ProblemError, make_plan
from .session import Bounds, Ended, Failure, Session, ZygoteLost, answer_of
from .standins import Caller

MAX_FRAME_BYTES = 1 << 28
OVER_BUDGET_STATUS = 77
"""The judge's exit status when one comparison would not stop even when told to."""


class TooSlow(BaseException):
    """The judge's own work on one unit took more CPU time than a candidate may take."""


class Outcome:
    """What became of one unit."""

    __slots__ = ("failure", "output", "result")

    def __init__(
        self, result: str = "error", failure: Failure | None = None, output: str | None = None
    ) -> None:
        self.result = result
        self.failure = failure
        self.output = output


class Parent:
    """The socket to the parent process."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._early: deque[tuple[bytes, Any]] = deque()

    def send(self, kind: bytes, message: object) -> None:
        write_all(self._descriptor, frame(kind, json.dumps(message).encode()))

    def receive(self) -> tuple[bytes, Any]:
        """The next frame.

        Raises:
            EOFError: the parent closed its end.
        """
        return self._early.popleft() if self._early else self._read()

    def clock(self) -> tuple[float, float]:
        """Ask how long the current candidate has been ready to run without running, and how much
        CPU time it has used, in seconds."""
        self.send(b"W", None)
        while True:
            kind, message = self._read()
            if kind == b"W":
                waited, used = message
                return float(waited), float(used)
            self._early.append((kind, message))  # a job sent ahead

    def _read(self) -> tuple[bytes, Any]:
        kind, body = read_frame(self._descriptor, MAX_FRAME_BYTES)
        return kind, json.loads(body)


class Judge:
    def __init__(self, parent: Parent, control: socket.socket, bounds: Bounds) -> None:
        self._parent = parent
        self._control = control
        self._bounds = bounds
        self._plan: Plan | None = None

    def take_problem(self, problem: dict[str, Any]) -> None:
        self._plan = None
        self._plan = make_plan(problem)

    def judge(self, code: str) -> dict[str, Any]:
        """Run one candidate against the current problem and say what came of it."""
        plan = self._plan
        assert plan is not None
        outcomes: list[Outcome | None] = [None] * len(plan.units)
        session = self._spawn()
        try:
            try:
                self._load(session, plan, code)
                first = sorted({*plan.tests, *plan.visible_tests})
                rest = sorted({*plan.extra_tests} - {*first})
                for phase in filter(None, (first, rest)):
                    if plan.calls is None:
                        self._run_with_standins(session, plan, phase, outcomes)
                    else:
                        self._run_taken_out(session, plan, phase, outcomes)
            except Ended as ended:
                _fill(outcomes, ended.failure)
            except Failure as failure:
                _fill(outcomes, failure)
            session.close()
        finally:
            session.release()
        return _verdict(plan, [outcome or Outcome() for outcome in outcomes])

    def _spawn(self) -> Session:
        return Session(self._control, self._bounds, self._parent.clock)

    def outputs(self, code: str) -> dict[str, Any]:
        """Run one candidate and say what each call in the problem's tests returned.

        Per call, in the tests' order: the value's encoding in hexadecimal, decoded once here and so
        well-formed and within the limits; or (class, message) of why there is none. `ended` is the
        number of the call at which the candidate's process was over, or null.

        Raises:
            ProblemError: the tests' calls cannot be taken out of them.
        """
        plan = self._plan
        assert plan is not None
        if plan.calls is None:
            raise ProblemError("the calls in its tests depend on one another or on its objects")
        calls: list[str | tuple[str, str]] = []
        ended: int | None = None
        session = self._spawn()
        try:
            try:
                self._load(session, plan, code)
                session.send(b"C", values.encode(plan.calls, SENDING_LIMITS))
                self._expect_loaded(session)
                for _ in plan.calls:
                    kind, body = session.receive()
                    try:
                        calls.append(answer_of(kind, body, self._bounds.value)[1].hex())
                    except Failure as failure:
                        calls.append((failure.verdict, failure.message))
            except (Ended, Failure) as error:
                why = error.failure if isinstance(error, Ended) else error
                ended = len(calls)
                calls += [(why.verdict, why.message)] * (len(plan.calls) - len(calls))
            session.close()
        finally:
            session.release()
        return {"calls": calls, "ended": ended}

    def _load(self, session: Session, plan: Plan, code: str) -> None:
        job = (code, plan.candidate_setup, plan.calls is None, tuple(self._bounds.value))
        session.send(b"J", values.encode(job, SENDING_LIMITS))
        if plan.calls is None:
            self._expect_loaded(session)

    def _expect_loaded(self, session: Session) -> None:
        session.loaded = True
        kind, body = session.receive()
        if kind != b"L":
            answer_of(kind, body, self._bounds.value)
            raise Failure("protocol_violation", None, "an answer before the program was loaded")

    def _run_taken_out(
        self, session: Session, plan: Plan, phase: list[int], outcomes: list[Outcome | None]
    ) -> None:
        """Send all calls of a phase at once, collect the answers, then evaluate the asserts."""
        assert plan.calls is not None
        numbers = [n for index in phase for n in plan.units[index].calls]
        session.send(b"C", values.encode(tuple(plan.calls[n] for n in numbers), SENDING_LIMITS))
        if not session.loaded:
            self._expect_loaded(session)
        answers: dict[int, tuple[bytes, bytes]] = {}
        ended: Ended | None = None
        try:
            for number in numbers:
                answers[number] = session.receive()
        except Ended as error:
            if error.failure.verdict in ("output_limit", "protocol_violation"):
                # Output is counted over the whole phase, since the calls do not wait for the judge.
                raise
            ended = error
        space = plan.namespace()
        for index in phase:
            outcomes[index] = self._evaluate(plan, index, answers, ended, space)
        if ended is not None:
            raise ended

    def _evaluate(
        self,
        plan: Plan,
        index: int,
        answers: dict[int, tuple[bytes, bytes]],
        ended: Ended | None,
        space: dict[str, Any],
    ) -> Outcome:
        digests = _Digests()

        def take(number: int) -> Any:
            answer = answers.get(number)
            if answer is None:
                assert ended is not None
                raise ended.failure
            value, data = answer_of(*answer, self._bounds.value)
            digests.add(value, data)
            return value

        space[TAKE] = take
        return self._run_unit(plan, index, space, digests)

    def _run_with_standins(
        self, session: Session, plan: Plan, phase: list[int], outcomes: list[Outcome | None]
    ) -> None:
        """Run the units here; stand-ins for the candidate's names make its calls one by one."""
        caller = Caller(session, self._bounds.value)
        space = plan.namespace()
        for name, remote_name in plan.candidate_names.items():
            space[name] = caller.name(remote_name)
        for index in phase:
            digests = caller.digests = _Digests()
            caller.refused = None
            outcomes[index] = self._run_unit(plan, index, space, digests)
            if caller.refused is not None:
                outcomes[index] = Outcome("error", caller.refused)
            if caller.ended is not None:
                # Its own unit was the one running; whatever the test made of it, it did not pass.
                outcomes[index] = Outcome("error", caller.ended.failure)
                raise caller.ended

    def _run_unit(
        self, plan: Plan, index: int, space: dict[str, Any], digests: _Digests
    ) -> Outcome:
        budget = float(self._bounds.cpu_seconds)
        # The first timer interrupts Python code; the second kills, for work inside one C call.
        signal.setitimer(signal.ITIMER_VIRTUAL, budget)
        signal.setitimer(signal.ITIMER_PROF, 2 * budget + 1)
        try:
            exec(plan.units[index].code, space)
            outcome = Outcome("pass")
        except Failure as failure:
            outcome = Outcome("error", failure)
        except AssertionError:
            outcome = Outcome("fail", Failure("wrong_answer", None, plan.units[index].text))
        except TooSlow:
            outcome = Outcome("error", Failure("timeout", None, "comparing its result"))
        except Ended as ended:
            outcome = Outcome("error", ended.failure)
        except MemoryError:
            outcome = Outcome("error", Failure("memory_limit", None, "comparing its result"))
        except BaseException as error:
            outcome = Outcome("error", Failure("runtime_error", *describe(error)))
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
            signal.setitimer(signal.ITIMER_PROF, 0)
        outcome.output = digests.result()
        return outcome


class _Digests:
    """A digest of the values that a unit's calls returned."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def add(self, value: Any, data: bytes) -> None:
        self._parts.append(values.canonical(value, data))

    def result(self) -> str | None:
        if not self._parts:
            return None
        return hashlib.sha256(b"\0".join(self._parts)).hexdigest()[:16]


def _fill(outcomes: list[Outcome | None], failure: Failure) -> None:
    for index, outcome in enumerate(outcomes):
        if outcome is None:
            outcomes[index] = Outcome("error", failure)


def _verdict(plan: Plan, outcomes: list[Outcome]) -> dict[str, Any]:
    """The record's fields. The first test that did not pass decides the class."""
    verdict, error_type, message = "pass", None, ""
    for position, index in enumerate(plan.tests):
        failure = outcomes[index].failure
        if outcomes[index].result != "pass":
            assert failure is not None
            verdict, error_type = failure.verdict, failure.error_type
            message = clean(f"test {position + 1}: {failure.message}")
            break
    return {
        "verdict": verdict,
        "tests": [outcomes[index].result for index in plan.tests],
        "visible_tests": [outcomes[index].result for index in plan.visible_tests],
        "extra_tests": [outcomes[index].result for index in plan.extra_tests],
        "error_type": error_type,
        "message": message,
        "outputs": [outcomes[index].output for index in plan.tests],
        "visible_outputs": [outcomes[index].output for index in plan.visible_tests],
    }


def _interrupt(number: int, stack: object) -> None:
    raise TooSlow


def serve(parent: Parent, judge: Judge) -> None:
    """Answer frames until the parent closes its end."""
    while True:
        try:
            kind, message = parent.receive()
        except EOFError:
            return
        if kind == b"P":
            try:
                judge.take_problem(message)
            except ProblemError as error:
                parent.send(b"E", str(error))
                return
            continue
        try:
            if kind == b"O":
                parent.send(b"O", judge.outputs(message["code"]))
            else:
                parent.send(b"V", judge.judge(message["code"]))
        except ZygoteLost as error:
            parent.send(b"I", str(error))
            return
        except ProblemError as error:
            parent.send(b"E", str(error))
            return


def main(
    parent: int,
    control: int,
    user_id: int | None,
    memory_bytes: int,
    cpu_seconds: int,
    wall_seconds: float,
    max_output_bytes: int,
    value_limits: tuple[int, int, int],
) -> None:
    """Run the judge on inherited sockets, in a child: the first process of a PID namespace is
    immune to the signals that must be able to end it."""
    child = os.fork()
    if child:
        os.close(parent)
        os.close(control)
        _, status = os.waitpid(child, 0)
        over = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGPROF
        os._exit(OVER_BUDGET_STATUS if over else os.WEXITSTATUS(status) or 1 if status else 0)
    faulthandler.enable()
    bounds = Bounds(cpu_seconds, wall_seconds, max_output_bytes, values.Limits(*value_limits))
    signal.signal(signal.SIGVTALRM, _interrupt)
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    os.environ.clear()
    sys.argv[:] = [""]
    channel = socket.socket(fileno=control)
    confinement = Confinement(judge=True, user_id=user_id)
    confinement.prepare()
    confinement.apply()
    if channel.recv(16) != READY:
        raise ZygoteLost("the zygote did not start")
    for name in ("datetime", "decimal", "fractions"):  # what a candidate may return
        importlib.import_module(name)
    gc.freeze()
    # Plans are syntax trees without cycles: collecting as often as by default only walks them.
    gc.set_threshold(50_000, 20, 20)
    upwards = Parent(parent)
    upwards.send(b"R", None)
    serve(upwards, Judge(upwards, channel, bounds))
