"""Running one candidate, in its own process: nothing here is trusted by the judge.

The job comes in one frame, the answers go out one frame each. A frame's kind says what it is:

to the candidate       J  job: (code, setup, whether objects may be kept, value limits)
                       C  calls: (call, ...), each answered by one frame
from the candidate     L  the program has run to its end
                       V  a call's value
                       X  an exception: (stage, class name, message)
                       U  a value that cannot be sent: (why, type name)
                       H  an object kept here, where that was allowed: (number, type name)

A call is an encoded tuple: ("call", target, arguments, keywords) or ("attribute", target, name),
whose target and arguments may hold references.
"""

from __future__ import annotations

import builtins
import re
import sys
import types
from typing import Any

from . import values
from .channel import frame, read_frame, write_all

JOB = 3
"""The descriptor on which the job comes and the answers go."""

MAX_JOB_BYTES = 1 << 26
MAX_MESSAGE = 200
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{6,}")
SENDING_LIMITS = values.Limits(max_bytes=1 << 26, max_depth=200, max_items=1 << 24)
"""Bounds of what the judge sends: trusted, so only a guard against mistakes."""


def describe(error: BaseException) -> tuple[str, str]:
    """Class name and a short printable message without addresses."""
    try:
        text = str(error)
    except BaseException:
        text = ""
    return type(error).__name__, clean(text)


def clean(text: str) -> str:
    text = _ADDRESS.sub("0x...", text[: 4 * MAX_MESSAGE])
    text = "".join(c if c.isprintable() else " " for c in text)
    return text if len(text) <= MAX_MESSAGE else text[: MAX_MESSAGE - 3] + "..."


class Runner:
    def __init__(self) -> None:
        self.module = types.ModuleType("__main__")
        self.kept: list[Any] = []
        self.limits = SENDING_LIMITS
        self.keep_objects = False
        # Bound now: a candidate that replaces os.write or a codec function has only itself to hurt,
        # but an honest program that shadows a name by accident must still be heard.
        self.write = write_all
        self.encode = values.encode

    def send(self, kind: bytes, body: bytes) -> None:
        self.write(JOB, frame(kind, body))

    def send_exception(self, stage: str, error: BaseException) -> None:
        self.send(b"X", self.encode((stage, *describe(error)), SENDING_LIMITS))

    def run(self) -> None:
        _, body = read_frame(JOB, MAX_JOB_BYTES)
        if not self.take_job(body):
            return
        while True:  # until the judge has heard enough, and kills
            _, body = read_frame(JOB, MAX_JOB_BYTES)
            for call in values.decode(body, SENDING_LIMITS):
                self.answer(call)

    def take_job(self, body: bytes) -> bool:
        """Run the program of a job; whether it ran to its end."""
        code, setup, self.keep_objects, limits = values.decode(body, SENDING_LIMITS)
        self.limits = values.Limits(*limits)
        sys.modules["__main__"] = self.module
        return self.load(code, setup)

    def load(self, code: str, setup: str) -> bool:
        space = self.module.__dict__
        space["__builtins__"] = builtins
        try:
            program = compile(code, "<candidate>", "exec", dont_inherit=True)
        except BaseException as error:
            self.send_exception("compile", error)
            return False
        try:
            exec(program, space)
            if setup:
                exec(compile(setup, "<setup>", "exec", dont_inherit=True), space)
        except BaseException as error:
            self.flush()
            self.send_exception("load", error)
            return False
        self.flush()
        self.send(b"L", b"")
        return True

    def answer(self, call: bytes) -> None:
        try:
            value = self.perform(values.decode(call, SENDING_LIMITS, self.resolve))
            self.flush()
            try:
                body = self.encode(value, self.limits)
            except values.NotPlain as refused:
                if self.keep_objects:
                    self.kept.append(value)
                    reply = (len(self.kept) - 1, clean(type(value).__name__))
                    self.send(b"H", self.encode(reply, SENDING_LIMITS))
                else:
                    self.send(b"U", self.encode(("type", clean(str(refused))), SENDING_LIMITS))
                return
            except values.TooLarge as refused:
                self.send(b"U", self.encode((str(refused), type(value).__name__), SENDING_LIMITS))
                return
        except BaseException as error:
            self.flush()
            self.send_exception("call", error)
            return
        self.send(b"V", body)

    def perform(self, call: Any) -> Any:
        if call[0] == "attribute":
            return getattr(call[1], call[2])
        _, target, arguments, keywords = call
        return target(*arguments, **keywords)

    def resolve(self, name: str) -> Any:
        if name.startswith("#"):
            return self.kept[int(name[1:])]
        space = self.module.__dict__
        if name in space:
            return space[name]
        if hasattr(builtins, name):
            return getattr(builtins, name)
        raise NameError(f"name {name!r} is not defined")

    @staticmethod
    def flush() -> None:
        """What is printed counts when it is printed, not when the buffer happens to fill."""
        try:  # noqa: SIM105 - contextlib would cost more than the flush
            sys.stdout.flush()
        except BaseException:
            pass


WARM_PROGRAM = """
import collections
class A:
    def __init__(self, n): self.n = n
def f(a, *b, c=1.5, **d):
    try:
        while a:
            a -= 1
            if a in b and not d or a == 3: continue
    except (ValueError, IndexError) as error:
        raise error
    return [(e, str(e)) for e in sorted(b)], {"k": {1, 2}, "n": A(a).n}, c
"""


def warm_up(times: int = 40) -> None:
    """Run a small program as a candidate's would be run, in this process, so that forks need not.

    What the interpreter makes on first use (its compiler's tables, specialised byte code) is then
    there and shared, instead of being made, and its memory copied, in every child. The program is
    this project's own; nothing of it stays.
    """
    main, out = sys.modules["__main__"], sys.stdout
    job = (WARM_PROGRAM, "", False, (1 << 18, 32, 20000))
    arguments = (5, 1, -(2**70), "text", None, True, 1.5, [1], {"a": (1,)})
    call: Any = ("call", values.Reference("f"), arguments[:2], {})
    for _ in range(times):
        runner = Runner()
        runner.write = lambda descriptor, data: None
        body = values.encode((job, arguments), SENDING_LIMITS)
        values.decode(body, SENDING_LIMITS)
        assert runner.take_job(values.encode(job, SENDING_LIMITS))
        runner.answer(
            values.encode(
                call, SENDING_LIMITS, lambda v: v if type(v) is values.Reference else None
            )
        )
    sys.modules["__main__"], sys.stdout = main, out
