"""The process every candidate is forked from, inside the candidates' jail.

It starts once, imports what programs commonly use, and then only forks, waits and kills. It never
reads a job: those pass between the judge and the candidate through a socket that the judge makes
for each candidate and hands over with the order to fork.

Orders come and reports go on the control socket, one datagram each:

    S + two descriptors   fork a candidate: its job socket, and the pipe that is its output
    K                     kill it
    report                wait status (int), CPU seconds (double), sent once it is dead and reaped

One report with a wait status comes for each candidate, whoever ended it; an order that crosses it
is dropped.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import os
import random
import resource
import select
import signal
import site
import socket
import struct
import sys
import warnings
from collections.abc import Callable
from typing import NoReturn

from .confine import Confinement
from .runner import JOB, Runner, warm_up

REPORT = struct.Struct("<id")
READY = b"R"
SPAWN, KILL = b"S", b"K"

PRE_IMPORTED = (
    "abc", "bisect", "collections", "collections.abc", "contextlib", "copy", "datetime", "enum",
    "functools", "heapq", "io", "itertools", "math", "numbers", "operator", "os", "random", "re",
    "string", "struct", "sys", "time", "types", "typing",
)  # fmt: skip
"""What programs often import. Each module makes every fork dearer: a rare one costs the few that
import it less than it would cost all."""


def fix_limits(memory_bytes: int, processes: int) -> None:
    """The limits that can be set before the fork, hard ones, and so inherited."""
    for kind, value in (
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_NPROC, processes),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 32),
        (resource.RLIMIT_MEMLOCK, 0),
        (resource.RLIMIT_MSGQUEUE, 0),
        (resource.RLIMIT_SIGPENDING, 64),
    ):
        _, hard = resource.getrlimit(kind)
        bound = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (bound, bound))


def c_fork() -> Callable[[], int]:
    """The C library's fork, as a function.

    os.fork also runs the hooks that modules registered (threading's alone costs as much as the
    fork), which put right what concerns other threads: a process that has none does not need them.
    """
    fork: Callable[[], int] = ctypes.PyDLL(None).fork  # PyDLL: it keeps the interpreter's lock
    return fork


def become_candidate(job: int, output: int, confinement: Confinement, cpu_seconds: int) -> NoReturn:
    """In the forked child: keep three descriptors, give up every right, run the job, die."""
    status = 70
    try:
        # In this order no copy lands on a descriptor that is still needed, whatever their numbers.
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.dup2(job, JOB)
        os.closerange(JOB + 1, 64)
        os.setsid()
        # Twice and more: the judge measures, this is for when it cannot (Session._at_deadline).
        bound = 2 * cpu_seconds + 1
        resource.setrlimit(resource.RLIMIT_CPU, (bound, bound))
        confinement.apply()
        gc.freeze()  # what was made since the zygote's own: counted, it would be walked at once
        gc.enable()
        Runner().run()
        status = 0
    finally:
        os._exit(status)


class Zygote:
    def __init__(self, control: socket.socket, confinement: Confinement, cpu_seconds: int) -> None:
        self._control = control
        self._confinement = confinement
        self._cpu_seconds = cpu_seconds
        self._self = os.pidfd_open(os.getpid())
        self._fork = c_fork()

    def serve(self) -> None:
        """Fork one candidate per order until the judge is gone."""
        while True:
            order, descriptors, _, _ = socket.recv_fds(self._control, 16, 2)
            if not order:
                return
            if order != SPAWN:
                continue  # it crossed the candidate's own end
            job, output = descriptors
            self._confinement.enter_new_pid_namespace()
            child = self._fork()
            if child == 0:
                become_candidate(job, output, self._confinement, self._cpu_seconds)
            self._confinement.return_to_pid_namespace(self._self)
            os.close(job)
            os.close(output)
            if not self._wait(child):
                return

    def _wait(self, child: int) -> bool:
        """Wait for the child's end, or kill it when told to; report. False: the judge is gone."""
        descriptor = os.pidfd_open(child)
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        poll.register(self._control, select.POLLIN)
        alive = True
        if all(number != descriptor for number, _ in poll.poll()):
            alive = self._control.recv(16) == KILL
            os.kill(child, signal.SIGKILL)
        os.close(descriptor)
        _, status, usage = os.wait4(child, 0)
        if alive:
            self._control.send(REPORT.pack(status, usage.ru_utime + usage.ru_stime))
        return alive


def main(
    control: int, cpu_seconds: int, memory_bytes: int, processes: int, user_id: int | None
) -> None:
    """Run the zygote on an inherited control socket (a descriptor) until the judge closes it."""
    for name in PRE_IMPORTED:
        importlib.import_module(name)
    site.setquit()  # exit() and quit(), as in an interpreter started the usual way
    warnings.simplefilter("ignore")
    os.environ.clear()
    sys.argv[:] = [""]
    fix_limits(memory_bytes, processes)
    confinement = Confinement(judge=False, user_id=user_id)
    confinement.prepare()
    zygote = Zygote(socket.socket(fileno=control), confinement, cpu_seconds)
    warm_up()
    random.seed(0)  # inherited: the zygote draws nothing
    # What exists now is shared by all candidates: frozen, no collection ever walks and copies it.
    gc.disable()
    gc.collect()
    gc.freeze()
    zygote._control.send(READY)
    zygote.serve()
