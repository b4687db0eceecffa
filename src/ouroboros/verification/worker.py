"""One worker: a judge and a zygote, each in its own jail, joined by a socket."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ouroboros.errors import InputError
from ouroboros.verification.inside.channel import HEADER, frame
from ouroboros.verification.jail import INSIDE, JUDGE, Jail, JailSpec, SandboxError
from ouroboros.verification.judge.judge import MAX_FRAME_BYTES, OVER_BUDGET_STATUS
from ouroboros.verification.params import ExecuteParams

START_SECONDS = 60.0
_PROGRAM = (
    "import sys; sys.path.insert(0, '/jail'); "
    "from verification.{module} import main; sys.path.pop(0); main{arguments!r}"
)


class WorkerLost(Exception):
    """A worker stopped working while a job was with it: an infrastructure error."""


class OverBudget(WorkerLost):
    """The judge ended itself inside one comparison that would not stop: the candidate's doing."""


def children(pid: int) -> list[int]:
    """The process ids whose parent is `pid`."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                # The name, in parentheses, may hold anything; what follows it does not.
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == pid:
                found.append(int(entry.name))
    return found


@dataclass(frozen=True, slots=True)
class Job:
    """One distinct program of one problem. `problem` is the part of the record the judge needs."""

    key: str
    label: str
    problem: dict[str, Any]
    code: str


class Worker:
    """Runs jobs one after another; several may be sent ahead.

    Args:
        slot: the worker's number, for its outside user id.
        processor: the processor to keep to, or None. The three processes take strict turns, so
            they lose nothing by sharing one and save waking another each time.

    Raises:
        SandboxError: a jail does not start; the message holds nsjail's own words.
    """

    def __init__(
        self, spec: JailSpec, params: ExecuteParams, slot: int, processor: int | None = None
    ) -> None:
        self._params = params
        self._problem: dict[str, Any] | None = None
        self._jails: dict[str, Jail] = {}
        control, control_zygote = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket, parent_end = socket.socketpair()
        try:
            if processor is not None:
                os.sched_setaffinity(0, {processor})
            self._start("zygote", spec, slot, control_zygote)
            self._start("judge", spec, slot, parent_end, control)
        except BaseException:
            self._socket.close()
            raise
        finally:
            for end in (control, control_zygote, parent_end):
                end.close()
        try:
            self._socket.settimeout(START_SECONDS)
            kind, _ = self._read()
            if kind != b"R":
                raise WorkerLost("it answered before it was ready")
        except WorkerLost as error:
            self.close()
            raise SandboxError(
                f"the sandbox does not start: {error}\n"
                "  `ouroboros doctor` says what is missing and how to get it"
            ) from None
        self._socket.settimeout(None)

    def _start(self, name: str, spec: JailSpec, slot: int, *ends: socket.socket) -> None:
        params = self._params
        descriptors = [end.fileno() for end in ends]
        memory_bytes = params.memory_mb << 20
        if name == "zygote":
            code = {INSIDE: "inside"}
            arguments: tuple[Any, ...] = (
                *descriptors, params.cpu_seconds, memory_bytes, params.max_processes + 1,
                spec.inside_user,
            )  # fmt: skip
        else:
            code = {INSIDE: "inside", JUDGE: "judge"}
            value_limits = (params.max_value_bytes, params.max_value_depth, params.max_value_items)
            arguments = (
                *descriptors, spec.inside_user, 2 * memory_bytes, params.cpu_seconds,
                params.wall_seconds, params.max_output_bytes, value_limits,
            )  # fmt: skip
        module = "inside.zygote" if name == "zygote" else "judge.judge"
        program = _PROGRAM.format(module=module, arguments=arguments)
        self._jails[name] = Jail(spec.command(slot, code, program, descriptors), descriptors)

    def send(self, job: Job, *, outputs: bool = False) -> None:
        """Hand over a job; its verdict comes in order, or what its calls returned (`outputs`).

        Raises:
            WorkerLost: the judge is gone.
        """
        if job.problem is not self._problem:
            self._write(b"P", job.problem)
            self._problem = job.problem
        self._write(b"O" if outputs else b"J", {"code": job.code})

    def receive(self, job: Job) -> dict[str, Any]:
        """The answer to the oldest job sent: a verdict record's fields but for the keys, or what
        `judge.Judge.outputs` says.

        Raises:
            WorkerLost: the judge or the zygote died or does not answer.
            OverBudget: see there.
            InputError: the job's problem cannot be judged.
        """
        params = self._params
        comparisons = sum(len(job.problem[k]) for k in ("tests", "visible_tests", "extra_tests"))
        comparisons = comparisons or 100
        # Longer than everything the judge allows a candidate and itself: it answers or is stuck.
        # The factor is for a busy machine, where CPU time is a part of the time that passes.
        busy = 20
        self._socket.settimeout(
            60 + params.wall_seconds + busy * comparisons * (2 * params.cpu_seconds + 1)
        )
        kind, message = self._read()
        while kind == b"W":
            self._write(b"W", self._clock())
            kind, message = self._read()
        if kind in (b"V", b"O"):
            answer: dict[str, Any] = message
            return answer
        if kind == b"E":
            raise InputError(f"cannot be judged: {message}", where=f"problem {job.label}")
        raise WorkerLost(str(message))

    def _clock(self) -> tuple[float, float]:
        """How long the current candidate has been ready to run without a processor, and how much
        CPU time it has used, in seconds.

        Seen from out here, since inside there is no /proc. 0 where the kernel does not say.
        """
        (zygote,) = children(self._jails["zygote"].process.pid)[:1] or (0,)
        delays, used = [0.0], 0.0
        for candidate in children(zygote):
            for task in Path(f"/proc/{candidate}/task").glob("*/schedstat"):
                try:
                    delays.append(int(task.read_text().split()[1]) / 1e9)
                except (OSError, ValueError, IndexError):
                    continue
            try:  # user and system time of all its threads, scaled to what the scheduler measured
                fields = Path(f"/proc/{candidate}/stat").read_text().rpartition(")")[2].split()
                used = sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")
            except (OSError, ValueError, IndexError):
                continue
        return max(delays), used

    def _write(self, kind: bytes, message: object) -> None:
        try:
            self._socket.sendall(frame(kind, json.dumps(message).encode()))
        except OSError as error:
            self._lost(str(error))

    def _read(self) -> tuple[bytes, Any]:
        length, kind = HEADER.unpack(self._read_exactly(HEADER.size))
        if length > MAX_FRAME_BYTES:
            raise WorkerLost("a frame beyond all limits")
        return bytes((kind,)), json.loads(self._read_exactly(length))

    def _read_exactly(self, count: int) -> bytes:
        chunks = []
        while count:
            try:
                chunk = self._socket.recv(count)
            except OSError as error:  # a timeout is one
                self._lost(str(error) or "no answer")
            if not chunk:
                self._lost("the judge is gone")
            chunks.append(chunk)
            count -= len(chunk)
        return b"".join(chunks)

    def _lost(self, why: str) -> None:
        try:
            status = self._jails["judge"].process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            raise WorkerLost(why) from None
        if status == OVER_BUDGET_STATUS:
            raise OverBudget("a comparison would not stop") from None
        raise WorkerLost(f"{why} (nsjail's exit status {status}){self._logs()}") from None

    def _logs(self) -> str:
        """What the jails said on standard error, indented, for an error message."""
        lines = []
        for name, jail in self._jails.items():
            log = jail.log()
            if log:
                lines += [f"  the jail of the {name} said:", log]
        return "".join(f"\n{line}" for line in lines)

    def close(self) -> None:
        self._socket.close()
        for jail in self._jails.values():
            jail.stop()
