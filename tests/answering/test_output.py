"""What is printed, and where."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from ouroboros.answering.output import as_json, status, stdout_for_results, summary, table
from ouroboros.answering.ranking import rank
from ouroboros.answering.tasks import make_problem
from ouroboros.critic.scoring import Score
from ouroboros.records import Candidate, Verdict

TASK = "Write a function to return the square of a number."
CODES = ("def sq(n):\n    return n * n\n", "def sq(n):\n    return 2 * n\n")
CANDIDATES = [
    Candidate(problem_id="task/1", sample_index=index, code=CODES[index == 1], sum_logprob=-2.5)
    for index in (-1, 0, 1)
]
SCORES = [Score(reward=1.5, p_pass=0.8), Score(reward=1.5, p_pass=0.8), Score(reward=2, p_pass=0.9)]
VERDICTS = [
    Verdict(problem_id="task/1", sample_index=-1, verdict="pass", tests=("pass",)),
    Verdict(problem_id="task/1", sample_index=0, verdict="pass", tests=("pass",)),
    Verdict(
        problem_id="task/1", sample_index=1, verdict="wrong_answer", tests=("fail",),
        message="test 1:\nassert sq(3) == 9",
    ),
]  # fmt: skip
TESTED = rank(make_problem(TASK, ["assert sq(3) == 9"]), CANDIDATES, VERDICTS, SCORES)
UNTESTED = rank(make_problem(TASK), CANDIDATES, [None] * 3, SCORES)
DECLINED = rank(make_problem(TASK), CANDIDATES, [None] * 3, SCORES, min_p=0.95)


def test_one_line_says_p_pass_and_what_the_answer_was_chosen_from() -> None:
    assert summary(TESTED) == "p_pass 0.800; 3 programs, 2 distinct; 2 passed 1 test"
    assert summary(UNTESTED) == "p_pass 0.900; 3 programs, 2 distinct; none was run (no tests)"
    assert summary(DECLINED) == (
        "no answer: the best program's p_pass is 0.9000, less than 0.95; "
        "3 programs, 2 distinct; none was run (no tests)"
    )


def test_the_exit_status_tells_an_answer_from_none() -> None:
    assert [status(found) for found in (TESTED, UNTESTED, DECLINED)] == [0, 0, 3]


def test_the_table_has_a_line_for_each_distinct_program() -> None:
    names = ["a.py", "b.py", "copy_of_a.py"]
    candidates = [
        Candidate(problem_id="task/1", sample_index=index, code=CODES[index == 1])
        for index in range(3)
    ]
    found = rank(
        make_problem(TASK, ["assert sq(3) == 9"]),
        candidates,
        [VERDICTS[0], VERDICTS[2], VERDICTS[0]],
        [SCORES[0], SCORES[2], SCORES[0]],
    )
    assert table(found, names).splitlines() == [
        "rank  file                p_pass  reward  verdict",
        "   1  a.py, copy_of_a.py   0.800   1.500  pass",
        "   2  b.py                 0.900   2.000  wrong_answer (test 1: assert sq(3) == 9)",
    ]


def test_json_holds_the_answer_and_every_program() -> None:
    found = as_json(TESTED)
    assert (found["task"], found["entry_point"]) == (TASK, "sq")
    assert (found["answered"], found["reason"]) == (True, None)
    assert (found["program"], found["p_pass"]) == (CODES[0], 0.8)
    first, second = found["candidates"]
    assert (first["sample_index"], first["sample_indices"]) == (-1, [-1, 0])
    assert (first["sum_logprob"], first["verdict"], first["rank"]) == (-2.5, "pass", 1)
    assert (second["code"], second["reward"], second["p_pass"]) == (CODES[1], 2, 0.9)
    assert (second["verdict"], second["test_results"]) == ("wrong_answer", ["fail"])


def test_json_without_an_answer_says_why_and_shows_all_the_same() -> None:
    found = as_json(DECLINED, ["a.py", "b.py", "c.py"])
    assert (found["answered"], found["program"], found["p_pass"]) == (False, None, None)
    assert "less than 0.95" in found["reason"]
    assert (found["entry_point"], found["tests"], found["num_passed"]) == (None, [], None)
    assert [one["p_pass"] for one in found["candidates"]] == [0.9, 0.8]
    assert [one["verdict"] for one in found["candidates"]] == [None, None]
    assert found["candidates"][0]["files"] == ["b.py"]


def test_what_others_print_meanwhile_goes_to_standard_error(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with stdout_for_results():
        print("a library")
        os.write(1, b"native code\n")
    print("the result")
    out, err = capfd.readouterr()
    assert out == "the result\n"
    assert err == "a library\nnative code\n"


def test_a_result_is_utf8_ended_by_one_newline_in_any_locale() -> None:
    program = "from ouroboros.answering.output import write_stdout\n"
    program += "write_stdout('größer \\ud800')\nwrite_stdout('x\\n')"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        check=True,
    )
    assert done.stdout == "größer ?\nx\n".encode()
