"""What is shown of a ranking: a line, a table, a JSON object. And stdout for it alone."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from ouroboros.answering.ranking import RankedProgram, Ranking
from ouroboros.answering.tasks import is_tested

DECLINED = 3
"""Exit status where there is no answer. (2 is an error, as for every command.)"""


def status(ranking: Ranking) -> int:
    """The exit status: 0 with an answer, `DECLINED` without."""
    return DECLINED if ranking.answer is None else 0


def summary(ranking: Ranking) -> str:
    """One line: the answer's p_pass or why there is none, and what it was chosen from."""
    said = (
        f"no answer: {ranking.reason}"
        if ranking.answer is None
        else f"p_pass {ranking.answer.p_pass:.3f}"
    )
    chosen_from = f"{_counted(ranking.count, 'program')}, {len(ranking.programs)} distinct"
    if ranking.passed is None:
        return f"{said}; {chosen_from}; none was run (no tests)"
    tests = len(ranking.problem.tests)
    decided_by = _counted(tests, "test") if tests else "the check"
    return f"{said}; {chosen_from}; {ranking.passed} passed {decided_by}"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def table(ranking: Ranking, names: Sequence[str]) -> str:
    """One line a program: rank, file, p_pass, reward, verdict.

    Args:
        names: the file of each sample index.
    """
    rows = [("rank", "file", "p_pass", "reward", "verdict")]
    for number, program in enumerate(ranking.programs, 1):
        files = ", ".join(names[index] for index in program.sample_indices)
        verdict = _verdict_in_words(program)
        rows.append((str(number), files, f"{program.p_pass:.3f}", f"{program.reward:.3f}", verdict))
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    return "\n".join(
        f"{rank:>{widths[0]}}  {file:<{widths[1]}}  {p_pass:>{widths[2]}}  {reward:>{widths[3]}}  "
        f"{verdict}".rstrip()
        for rank, file, p_pass, reward, verdict in rows
    )


def _verdict_in_words(program: RankedProgram) -> str:
    if program.verdict is not None:
        message = program.verdict.message.replace("\n", " ")
        return f"{program.verdict.verdict} ({message})" if message else program.verdict.verdict
    return "not run" if program.acceptable else "not run (no valid definition)"


def as_json(ranking: Ranking, names: Sequence[str] | None = None) -> dict[str, Any]:
    """The ranking as plain values, all programs included.

    Args:
        names: the file of each sample index, where the programs came from files.
    """
    problem, answer = ranking.problem, ranking.answer
    return {
        "task": problem.prompt_text,
        "entry_point": problem.entry_point or None,
        "tests": list(problem.tests) if is_tested(problem) else [],
        "answered": answer is not None,
        "reason": ranking.reason or None,
        "program": answer.candidate.code if answer else None,
        "p_pass": answer.p_pass if answer else None,
        "min_p": ranking.min_p,
        "num_programs": ranking.count,
        "num_distinct": len(ranking.programs),
        "num_passed": ranking.passed,
        "candidates": [
            {"rank": number, **_candidate(program, names)}
            for number, program in enumerate(ranking.programs, 1)
        ],
    }


def _candidate(program: RankedProgram, names: Sequence[str] | None) -> dict[str, Any]:
    verdict = program.verdict
    found: dict[str, Any] = {
        "code": program.candidate.code,
        "p_pass": program.p_pass,
        "reward": program.reward,
        "acceptable": program.acceptable,
        "verdict": verdict.verdict if verdict else None,
        "message": verdict.message if verdict else None,
        "test_results": list(verdict.tests) if verdict else None,
    }
    if names is not None:
        return {**found, "files": [names[index] for index in program.sample_indices]}
    return {
        **found,
        "sample_index": program.candidate.sample_index,
        "sample_indices": list(program.sample_indices),
        "sum_logprob": program.candidate.sum_logprob,
    }


@contextlib.contextmanager
def stdout_for_results() -> Iterator[None]:
    """Send to standard error whatever is written to standard output meanwhile, by libraries (vLLM
    logs there) and by native code too."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def write_stdout(text: str) -> None:
    """Write a result to standard output, ended by one newline, as UTF-8 whatever the locale says
    (a half of a surrogate pair, which a model's text may hold, as a question mark)."""
    sys.stdout.flush()
    text = text if text.endswith("\n") else f"{text}\n"
    sys.stdout.buffer.write(text.encode("utf-8", "replace"))
    sys.stdout.flush()
