"""A bounded queue of jobs and the one thread that does them.

The critic and its torch settings belong to that thread alone: whoever wants a score hands over a
job and waits for its outcome.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

Result = TypeVar("Result")


class Full(Exception):
    """As many jobs wait as may wait; try again later."""


class Closed(Exception):
    """No job is taken or started any more."""


class JobQueue:
    """Jobs done one after another, in the order in which they came, by one thread.

    Args:
        size: how many jobs may wait, the one at work left out.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._waiting: deque[tuple[Callable[[], Any], Future[Any]]] = deque()
        self._changed = threading.Condition()
        self._closed = self._busy = False
        # A daemon: a second Ctrl-C must not wait for the job at work.
        self._thread = threading.Thread(target=self._work, name="jobs", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """How many jobs wait, the one at work left out."""
        with self._changed:
            return len(self._waiting)

    @property
    def busy(self) -> bool:
        """Whether a job is at work."""
        return self._busy

    def submit(self, job: Callable[[], Result]) -> Future[Result]:
        """Put a job at the end of the queue.

        Returns:
            Its outcome, once there is one: what the job returns or raises, or `Closed` where the
            queue was closed before the job began.

        Raises:
            Full: no room.
            Closed: the queue takes nothing any more.
        """
        future: Future[Result] = Future()
        with self._changed:
            if self._closed:
                raise Closed
            if len(self._waiting) >= self._size:
                raise Full
            self._waiting.append((job, future))
            self._changed.notify()
        return future

    def drop(self, future: Future[Any]) -> bool:
        """Take a job out again, which makes room for another one.

        Returns:
            Whether it will never be done; false where it has begun or is done already.
        """
        with self._changed:
            for place, (_, other) in enumerate(self._waiting):
                if other is future:
                    del self._waiting[place]
                    break
            else:
                return False
        future.cancel()
        return True

    def close(self) -> None:
        """Start no further job: those that wait end with `Closed`, the one at work is finished."""
        with self._changed:
            self._closed = True
            dropped = list(self._waiting)
            self._waiting.clear()
            self._changed.notify()
        for _, future in dropped:
            if future.set_running_or_notify_cancel():
                future.set_exception(Closed())

    def join(self, seconds: float | None = None) -> bool:
        """Wait, once closed, for the job at work; whether it is finished."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._busy = False
                while not self._waiting and not self._closed:
                    self._changed.wait()
                if not self._waiting:
                    return
                job, future = self._waiting.popleft()
                self._busy = True
            if not future.set_running_or_notify_cancel():
                continue  # whoever waited for it has gone
            try:
                result = job()
            except BaseException as error:  # whatever a job raises is its outcome, not our end
                future.set_exception(error)
            else:
                future.set_result(result)
