"""Progress: plain lines in a log, a bar on a terminal."""

import io
import os
import pty
import subprocess
import sys
import termios

import pytest

from ouroboros.progress import Progress

WORK = """
from ouroboros.progress import Progress
with Progress(3, "execute main", "candidates") as progress:
    for _ in range(3):
        progress.advance(note="12 tokens/s")
"""


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_log_gets_few_plain_lines(clock):
    stream = io.StringIO()
    with Progress(100, "execute main", "candidates", stream=stream, clock=clock) as progress:
        for _ in range(100):
            clock.now += 0.5
            progress.advance()
    assert stream.getvalue().splitlines() == [
        "execute main: 100 candidates",
        "execute main: 30/100 candidates, 2.0/s, 35 s left",
        "execute main: 60/100 candidates, 2.0/s, 20 s left",
        "execute main: 90/100 candidates, 2.0/s, 5 s left",
        "execute main: 100 candidates in 50.0 s",
    ]


def test_work_kept_from_an_earlier_run_is_said_and_left_out_of_the_rate(clock):
    stream = io.StringIO()
    with Progress(
        100, "execute main", "candidates", done=90, every=1.0, stream=stream, clock=clock
    ) as progress:
        clock.now += 2
        progress.advance(4, note="7 tokens/s")
        clock.now += 2
        progress.advance(6)
    assert stream.getvalue().splitlines() == [
        "execute main: 100 candidates, 90 of them kept from an earlier run",
        "execute main: 94/100 candidates, 2.0/s, 7 tokens/s, 3 s left",
        "execute main: 100/100 candidates, 2.5/s, 0 s left",
        "execute main: 10 candidates in 4.0 s",
    ]


def test_nothing_left_to_do_is_one_line(clock):
    stream = io.StringIO()
    with Progress(5, "execute main", "candidates", done=5, stream=stream, clock=clock):
        pass
    assert stream.getvalue() == ("execute main: 5 candidates, 5 of them kept from an earlier run\n")


def test_failed_work_does_not_claim_to_be_finished(clock):
    stream = io.StringIO()
    progress = Progress(5, "execute main", "candidates", stream=stream, clock=clock)
    progress.advance()
    progress.__exit__(RuntimeError, RuntimeError("stopped"), None)
    assert stream.getvalue() == "execute main: 5 candidates\n"


def test_a_log_has_no_control_characters():
    result = subprocess.run([sys.executable, "-c", WORK], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stdout == ""
    assert result.stderr.startswith("execute main: 3 candidates\n")
    assert "\r" not in result.stderr
    assert "\x1b" not in result.stderr


@pytest.mark.parametrize("columns", [0, 120])
def test_a_terminal_gets_a_bar(columns):
    """Also one that says it is 0 columns wide, as a container's may."""
    main, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, columns))
    process = subprocess.Popen([sys.executable, "-c", WORK], stderr=terminal)
    os.close(terminal)
    shown = b""
    try:
        while chunk := os.read(main, 4096):
            shown += chunk
    except OSError:
        pass  # how a terminal without a writer ends on Linux
    os.close(main)
    assert process.wait() == 0
    text = shown.decode()
    assert "execute main:" in text
    assert "3/3" in text
    assert "12 tokens/s" in text
    assert "\r" in text
