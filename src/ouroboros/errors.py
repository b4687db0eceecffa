"""The errors a user is meant to read."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import NoReturn


class UserError(Exception):
    """Something the user can mend: bad input, a missing part, an unreachable service.

    The message says what happened, where (file, line, field) and what to do. Entry points print it
    alone, without a traceback, and exit with status 2 (see `run_main`).
    """


class InputError(UserError):
    """A record or a params file does not have the form it must have."""

    def __init__(self, problem: str, *, where: str = "", hint: str = "") -> None:
        message = f"{where}: {problem}" if where else problem
        if hint:
            message = f"{message}\n  {hint}"
        super().__init__(message)


def run_main(main: Callable[[], int | None]) -> NoReturn:
    """Run an entry point and exit: 0, or 2 with one message on standard error for a `UserError`."""
    try:
        status = main() or 0
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        status = 2
    sys.exit(status)
