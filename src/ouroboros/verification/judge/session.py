"""One candidate's life, seen from the judge: fork, job, answers, end."""

from __future__ import annotations

import os
import select
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..inside import values
from ..inside.channel import HEADER, frame
from ..inside.runner import SENDING_LIMITS, clean
from ..inside.zygote import KILL, REPORT, SPAWN

REPORT_SECONDS = 30.0
"""How long the zygote may take to report a candidate it was told to kill."""


class ZygoteLost(Exception):
    """The zygote is gone or does not answer: an infrastructure error, never a verdict."""


class Failure(Exception):
    """Why a candidate gave no value: a verdict class, an error's class name, a message."""

    def __init__(self, verdict: str, error_type: str | None = None, message: str = "") -> None:
        super().__init__(verdict, error_type, message)
        self.verdict = verdict
        self.error_type = error_type
        self.message = message


class Ended(BaseException):
    """The candidate's process is over, or was ended; no further answer will come.

    A BaseException, so that a problem's own `except Exception` cannot take it for an answer.
    """

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure)
        self.failure = failure


@dataclass(frozen=True)
class Bounds:
    """Limits as the judge applies them."""

    cpu_seconds: int
    wall_seconds: float
    max_output_bytes: int
    value: values.Limits

    @property
    def max_frame_bytes(self) -> int:
        # A frame of another kind holds a few short strings; a value's frame holds a value.
        return max(self.value.max_bytes, 8192)


class Session:
    """A candidate process with its job socket and its output pipe.

    Args:
        clock: says how many seconds the candidate has so far been ready to run without running,
            and how many of CPU time it has used; 0 where that is not known.

    Raises:
        ZygoteLost: from any method.
    """

    def __init__(
        self, control: socket.socket, bounds: Bounds, clock: Callable[[], tuple[float, float]]
    ) -> None:
        self._control = control
        self._bounds = bounds
        self._job, job_end = socket.socketpair()
        self._output, output_end = os.pipe()
        try:
            socket.send_fds(control, [SPAWN], [job_end.fileno(), output_end])
        except OSError as error:
            raise ZygoteLost(str(error)) from None
        finally:
            job_end.close()
            os.close(output_end)
        self.loaded = False
        """Whether the answer to the job itself has been asked for."""
        self._start = time.monotonic()
        # No program uses its CPU time up sooner, so none is looked at before.
        self._deadline = self._start + min(bounds.cpu_seconds, bounds.wall_seconds)
        self._buffer = bytearray()
        self._written = 0
        self._clock = clock
        self._report: tuple[int, float] | None = None
        self._failure: Failure | None = None
        self._poll = select.poll()
        for descriptor in (self._job.fileno(), self._output, control.fileno()):
            self._poll.register(descriptor, select.POLLIN)

    def send(self, kind: bytes, body: bytes) -> None:
        """Send one frame.

        A candidate that is gone is no error here: what it answered before still counts, and
        `receive` says so when it comes to the end.

        Raises:
            Ended: it took no more bytes until its wall time was over, or broke a limit meanwhile.
        """
        view = memoryview(frame(kind, body))
        while view and self._report is None:
            try:
                view = view[self._job.send(view, socket.MSG_DONTWAIT) :]
            except BlockingIOError:
                # It may be busy with something else than reading: printing, for one.
                self._poll.register(self._job.fileno(), select.POLLIN | select.POLLOUT)
                self._step()
                self._poll.register(self._job.fileno(), select.POLLIN)
                if len(self._buffer) > 2 * self._bounds.max_frame_bytes:
                    self._end(Failure("protocol_violation", None, "answers nobody asked for"))
            except OSError:
                return

    def _at_deadline(self) -> None:
        """End a candidate that used up its CPU time or slept too long; else look again later.

        On a busy machine a program that computes may get little of the processor: what it waited
        for its turn does not count. CPU time is what the scheduler measured; the kernel's own limit
        counts clock ticks, which under load charged a program up to a third more than it used, so
        it stands further out, for a judge that does not get its turn.
        """
        waited, used = self._clock()
        now = time.monotonic()
        cpu_left = self._bounds.cpu_seconds - used
        wall_left = self._bounds.wall_seconds - (now - self._start - waited)
        if cpu_left <= 0:
            self._end(Failure("timeout", None, "CPU time"))
        if wall_left <= 0:
            self._end(Failure("timeout", None, "wall time"))
        self._deadline = now + max(0.02, min(cpu_left, wall_left))

    def _order(self, order: bytes) -> None:
        """Send an order about this candidate and wait for the zygote's report to be there."""
        try:
            self._control.send(order)
        except OSError as error:
            raise ZygoteLost(str(error)) from None
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        if not poll.poll(REPORT_SECONDS * 1000):
            raise ZygoteLost("the zygote does not answer")

    def receive(self) -> tuple[bytes, bytes]:
        """The next frame.

        Raises:
            Ended: the candidate died, ran out of a limit, or sent something else than a frame.
        """
        while True:
            found = self._take_frame()
            if found is not None:
                # What was printed before this answer is in the pipe by now.
                self._read_output()
                return found
            if self._report is None:
                self._step()
                continue
            before = len(self._buffer)
            self._read_job()  # one reading may have left some in the socket
            if len(self._buffer) == before:
                self._raise_end()

    def _take_frame(self) -> tuple[bytes, bytes] | None:
        if len(self._buffer) < HEADER.size:
            return None
        length, kind = HEADER.unpack_from(self._buffer)
        if length > self._bounds.max_frame_bytes:
            self._end(Failure("protocol_violation", None, "a frame beyond the limits"))
        end = HEADER.size + length
        if len(self._buffer) < end:
            return None
        body = bytes(self._buffer[HEADER.size : end])
        del self._buffer[:end]
        return bytes((kind,)), body

    def _step(self) -> None:
        """Wait for something and take it in."""
        left = self._deadline - time.monotonic()
        ready = self._poll.poll(max(0.0, left) * 1000)
        if not ready:
            self._at_deadline()
        for descriptor, _ in ready:
            if descriptor == self._output:
                self._read_output()
            elif descriptor == self._control.fileno():
                self._read_report()
            else:
                self._read_job()
        if self._report is not None:
            # Dead and reaped: what it wrote before is all there and nothing more can come.
            self._read_job()
            self._read_output()

    def _read_job(self) -> None:
        while True:
            try:
                data = self._job.recv(1 << 18, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self._forget(self._job.fileno())
                return
            self._buffer += data
            if len(self._buffer) > 2 * self._bounds.max_frame_bytes:
                return  # enough for the next frame; the rest waits in the socket

    def _read_output(self) -> None:
        while select.select([self._output], [], [], 0)[0]:
            data = os.read(self._output, 1 << 16)
            if not data:
                self._forget(self._output)
                return
            self._written += len(data)
            if self._written > self._bounds.max_output_bytes:
                self._end(Failure("output_limit", None, "printed too much"))

    def _forget(self, descriptor: int) -> None:
        try:
            self._poll.unregister(descriptor)
        except KeyError:
            return

    def _read_report(self) -> None:
        try:
            data = self._control.recv(64)
        except OSError as error:
            raise ZygoteLost(str(error)) from None
        if len(data) != REPORT.size:
            raise ZygoteLost("the zygote is gone")
        status, cpu = REPORT.unpack(data)
        self._report = (status, cpu)

    def _end(self, failure: Failure) -> None:
        """Kill the candidate for a reason that counts before any sign of its death."""
        if self._failure is None:
            self._failure = failure
        self.close()
        raise Ended(self._failure)

    def _raise_end(self) -> None:
        assert self._report is not None
        if self._failure is None:
            self._failure = self._classify(*self._report)
        raise Ended(self._failure)

    def _classify(self, status: int, cpu: float) -> Failure:
        """What a death nobody ordered means. Nothing the candidate says enters here."""
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
            # The kernel's limit, or somebody outside. As the first process of its namespace a
            # candidate cannot send itself this signal: short of its CPU time it came from outside,
            # say for want of memory.
            if cpu >= self._bounds.cpu_seconds:
                return Failure("timeout", None, "CPU time")
            raise ZygoteLost(
                f"a candidate was killed from outside the sandbox, after {cpu:.2f} s of CPU time"
            )
        if os.WIFSIGNALED(status):
            return Failure("crashed", None, f"killed by signal {os.WTERMSIG(status)}")
        return Failure("crashed", None, f"exited with status {os.waitstatus_to_exitcode(status)}")

    def close(self) -> None:
        """End the candidate, if it has not ended, and wait until it is reaped."""
        if self._report is None:
            self._order(KILL)
            self._read_report()

    def release(self) -> None:
        """Close the candidate's descriptors; after `close`."""
        self._job.close()
        os.close(self._output)


def answer_of(kind: bytes, body: bytes, limits: values.Limits) -> tuple[Any, bytes]:
    """The value in a candidate's answer, and its bytes.

    Raises:
        Failure: it is no value, but an exception, something unsupported, or not well-formed.
    """
    if kind == b"V":
        try:
            return values.decode(body, limits), body
        except values.Malformed as error:
            raise Failure("protocol_violation", None, f"a malformed value: {error}") from None
    if kind == b"X":
        stage, name, message = _strings(body, 3)
        raise _exception_failure(stage, name, message)
    if kind == b"U":
        why, name = _strings(body, 2)
        if why == "type":
            raise Failure("unsupported_value", None, f"a value of type {name}")
        raise Failure("output_limit", None, f"a value beyond the limits ({why})")
    raise Failure("protocol_violation", None, "an unexpected answer")


def _exception_failure(stage: str, name: str, message: str) -> Failure:
    if name == "MemoryError":
        return Failure("memory_limit", name, message)
    if stage == "compile":
        return Failure("syntax_error", name, message)
    return Failure("runtime_error", name, message)


def _strings(body: bytes, count: int) -> tuple[str, ...]:
    try:
        found = values.decode(body, SENDING_LIMITS)
    except values.Malformed:
        found = None
    if not (
        type(found) is tuple and len(found) == count and all(type(entry) is str for entry in found)
    ):
        raise Failure("protocol_violation", None, "a malformed answer")
    return tuple(clean(entry) for entry in found)
