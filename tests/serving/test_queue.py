"""The queue of jobs, without HTTP."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future

import pytest

from ouroboros.serving.queue import Closed, Full, JobQueue


class Gate:
    """A job that says when it has begun and ends when it may."""

    def __init__(self) -> None:
        self.begun, self.may_end = threading.Event(), threading.Event()

    def __call__(self) -> str:
        self.begun.set()
        assert self.may_end.wait(30)
        return "gate"


@pytest.fixture
def jobs() -> Iterator[JobQueue]:
    queue = JobQueue(2)
    yield queue
    queue.close()
    assert queue.join(30)


@pytest.fixture
def gate(jobs: JobQueue) -> Iterator[Gate]:
    """Keeps the queue's thread busy until it is opened."""
    gate = Gate()
    jobs.submit(gate)
    assert gate.begun.wait(30)
    yield gate
    gate.may_end.set()


def test_jobs_are_done_in_order_by_one_thread(jobs: JobQueue, gate: Gate) -> None:
    done: list[tuple[int, str]] = []

    def job(number: int) -> Callable[[], None]:
        return lambda: done.append((number, threading.current_thread().name))

    futures = [jobs.submit(job(1)), jobs.submit(job(2))]
    gate.may_end.set()
    for future in futures:
        future.result(30)
    assert done == [(1, "jobs"), (2, "jobs")]


def test_a_full_queue_refuses_and_has_room_again_later(jobs: JobQueue, gate: Gate) -> None:
    waiting = [jobs.submit(lambda: "a"), jobs.submit(lambda: "b")]
    assert jobs.waiting == 2
    with pytest.raises(Full):
        jobs.submit(lambda: "c")
    gate.may_end.set()
    assert [future.result(30) for future in waiting] == ["a", "b"]
    assert jobs.submit(lambda: "c").result(30) == "c"


def test_a_dropped_job_is_never_done_and_makes_room(jobs: JobQueue, gate: Gate) -> None:
    done: list[str] = []
    dropped = jobs.submit(lambda: done.append("dropped"))
    jobs.submit(lambda: done.append("kept"))
    assert jobs.drop(dropped)
    last = jobs.submit(lambda: done.append("last"))
    gate.may_end.set()
    last.result(30)
    assert done == ["kept", "last"]
    with pytest.raises(CancelledError):
        dropped.result(0)


def test_a_job_that_has_begun_or_is_done_is_not_dropped(jobs: JobQueue) -> None:
    gate = Gate()
    future = jobs.submit(gate)
    assert gate.begun.wait(30)
    assert not jobs.drop(future)
    gate.may_end.set()
    assert future.result(30) == "gate"
    assert not jobs.drop(future)


def test_a_job_cancelled_by_its_client_is_passed_over(jobs: JobQueue, gate: Gate) -> None:
    done: list[str] = []
    cancelled = jobs.submit(lambda: done.append("cancelled"))
    after = jobs.submit(lambda: done.append("after"))
    assert cancelled.cancel()
    gate.may_end.set()
    after.result(30)
    assert done == ["after"]


def test_what_a_job_raises_is_its_outcome_alone(jobs: JobQueue) -> None:
    def fail() -> None:
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        jobs.submit(fail).result(30)
    assert jobs.submit(lambda: "still here").result(30) == "still here"


def test_closing_finishes_the_job_at_work_and_ends_the_others(jobs: JobQueue) -> None:
    gate = Gate()
    at_work = jobs.submit(gate)
    assert gate.begun.wait(30)
    waiting: list[Future[str]] = [jobs.submit(lambda: "never"), jobs.submit(lambda: "never")]
    assert waiting[1].cancel()
    jobs.close()
    with pytest.raises(Closed):
        waiting[0].result(30)
    with pytest.raises(Closed):
        jobs.submit(lambda: "never")
    assert not jobs.join(0)
    gate.may_end.set()
    assert at_work.result(30) == "gate"
    assert jobs.join(30)
