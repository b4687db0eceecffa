"""Progress of long work: a bar on a terminal, plain lines in a log."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import IO

from tqdm import tqdm


class Progress:
    """Counts finished units and tells the user, on standard error.

    On a terminal a tqdm bar with rate and time left; elsewhere one line at the start, one at most
    every `every` seconds, and one at the end.

    Args:
        total: how many units there are.
        label: what is being done, e.g. "execute main".
        unit: the plural name of a unit, e.g. "candidates".
        done: units already finished by an earlier run; left out of the rate.
    """

    def __init__(
        self,
        total: int,
        label: str,
        unit: str,
        *,
        done: int = 0,
        every: float = 15.0,
        stream: IO[str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._total, self._label, self._unit = total, label, unit
        self._done, self._initial = done, done
        self._every, self._clock = every, clock
        self._stream = stream or sys.stderr
        self._start = self._last = clock()
        self._note = ""
        self._bar = None
        if self._stream.isatty():
            # Some terminals (containers, `script`) claim to be 0 columns wide: tqdm shows nothing.
            sized = os.get_terminal_size(self._stream.fileno()).columns > 0
            self._bar = tqdm(
                total=total, initial=done, desc=label, unit=f" {unit}", file=self._stream,
                dynamic_ncols=sized, ncols=None if sized else 80,
            )  # fmt: skip
        else:
            kept = f", {done} of them kept from an earlier run" if done else ""
            self._say(f"{label}: {total} {unit}{kept}")

    def advance(self, count: int = 1, note: str = "") -> None:
        """`count` more units are finished; `note` is shown behind the rate (e.g. tokens/s)."""
        self._done += count
        self._note = note
        if self._bar is not None:
            if note:
                self._bar.set_postfix_str(note, refresh=False)
            self._bar.update(count)
        elif self._clock() - self._last >= self._every:
            self._last = self._clock()
            self._say(self._line())

    def _line(self) -> str:
        seconds = max(self._clock() - self._start, 1e-9)
        rate = (self._done - self._initial) / seconds
        left = f", {(self._total - self._done) / rate:.0f} s left" if rate > 0 else ""
        note = f", {self._note}" if self._note else ""
        return f"{self._label}: {self._done}/{self._total} {self._unit}, {rate:.1f}/s{note}{left}"

    def _say(self, line: str) -> None:
        print(line, file=self._stream, flush=True)

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        seconds = self._clock() - self._start
        if self._bar is not None:
            self._bar.close()
        elif error is None and self._done > self._initial:
            new = self._done - self._initial
            self._say(f"{self._label}: {new} {self._unit} in {seconds:.1f} s")
