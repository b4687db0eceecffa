"""Making negatives for a split, with a verifier that is told what to say."""

from __future__ import annotations

import ast
from collections.abc import Sequence

import pytest

from ouroboros.critic.normalise import identity
from ouroboros.errors import InputError
from ouroboros.made.make import Made, make_negatives
from ouroboros.made.params import MadeNegativesParams
from ouroboros.records import Attempt, Candidate, LabelledProblem, Problem, Verdict

CODE = "def {0}(a, b):\n    if a < b:\n        return a + {1}\n    return b\n"


def labelled(number: int, *, passes: bool = True, reference: str = "") -> LabelledProblem:
    problem_id, name = f"p/{number}", f"f{number}"
    attempts = []
    for index in (-1, 0, 1):
        candidate = Candidate(
            problem_id=problem_id,
            sample_index=index,
            code=CODE.format(name, number + 10 * index),
            sampling="greedy" if index < 0 else "sample",
        )
        verdict = "pass" if passes and index == 0 else "wrong_answer"
        attempts.append(
            Attempt(
                candidate=candidate,
                verdict=Verdict(problem_id=problem_id, sample_index=index, verdict=verdict),
            )
        )
    problem = Problem(
        problem_id=problem_id,
        prompt_text="x",
        entry_point=name,
        tests=(f"assert {name}(1, 2) == 0",),
        visible_tests=(f"assert {name}(1, 2) == 0",),
        reference=reference,
    )
    return LabelledProblem(problem=problem, attempts=tuple(attempts))


class Verifier:
    """Passes what holds `sum(`, fails the rest, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, list[Candidate]]] = []

    def __call__(self, candidates: Sequence[Candidate], what: str) -> list[Verdict]:
        self.asked.append((what, list(candidates)))
        return [
            Verdict(
                problem_id=c.problem_id,
                sample_index=c.sample_index,
                verdict="pass" if "sum(" in c.code else "wrong_answer",
            )
            for c in candidates
        ]


def make(rows: Sequence[LabelledProblem], mutants: int = 6, wrong: int = 2, seed: int = 0) -> Made:
    params = MadeNegativesParams(
        seed=seed, mutants_per_problem=mutants, wrong_prompts_per_problem=wrong
    )
    return make_negatives(rows, params, Verifier())


ROWS = [labelled(number) for number in range(1, 5)]


def test_nothing_is_run_where_nothing_is_asked_for() -> None:
    verifier = Verifier()
    made = make_negatives(
        [labelled(1, reference="def f1(): pass")], MadeNegativesParams(), verifier
    )
    assert (made.rows, verifier.asked) == ((), [])
    assert made.report["mutant"] == {"made": 0, "passed": 0, "verdicts": {}, "kinds": {}}


def test_made_programs_stand_behind_the_real_ones_and_are_no_samples() -> None:
    made = make(ROWS)
    assert [row.problem for row in made.rows] == [row.problem for row in ROWS]
    for row in made.rows:
        assert [a.candidate.sample_index for a in row.attempts] == list(range(2, 10))
        assert [a.candidate.sampling for a in row.attempts] == ["mutant"] * 6 + ["wrong_prompt"] * 2
        assert all(a.candidate.key == a.verdict.key for a in row.attempts)
        assert row.samples == ()
        assert row.greedy is None


def test_no_made_program_repeats_another_or_a_real_one() -> None:
    made = make(ROWS, mutants=999)
    for row, real in zip(made.rows, ROWS, strict=True):
        keys = [identity(attempt.candidate.code) for attempt in row.attempts]
        assert len(set(keys)) == len(keys)
        assert not {identity(attempt.candidate.code) for attempt in real.attempts} & set(keys)
        assert all(real.problem.entry_point in ast.unparse(ast.parse(key)) for key in keys)


def test_mutants_of_a_problem_do_not_depend_on_the_other_problems() -> None:
    whole = {row.problem_id: row for row in make(ROWS, wrong=0).rows}
    alone = make(ROWS[2:3], wrong=0).rows
    assert alone == (whole["p/3"],)
    assert make(ROWS[::-1]).rows[::-1] == make(ROWS).rows
    assert make(ROWS, seed=1).rows != make(ROWS).rows


def test_a_reference_is_used_only_once_it_has_passed() -> None:
    good = labelled(1, passes=False, reference="def f1(a, b):\n    return sum([a, b])\n")
    bad = labelled(2, passes=False, reference="def f2(a, b):\n    return max(a, b)\n")
    verifier = Verifier()
    params = MadeNegativesParams(mutants_per_problem=5, wrong_prompts_per_problem=3)
    made = make_negatives([good, bad, labelled(3, passes=False)], params, verifier)
    assert [what for what, _ in verifier.asked] == ["references", "made programs"]
    assert len(verifier.asked[0][1]) == 2
    sampling = {row.problem_id: {a.candidate.sampling for a in row.attempts} for row in made.rows}
    # Only the good reference can be mutated, and only it can be put under another prompt.
    assert sampling == {"p/1": {"mutant"}, "p/2": {"wrong_prompt"}, "p/3": {"wrong_prompt"}}


def test_the_label_is_the_verdict_and_is_counted() -> None:
    row = labelled(1, reference="def f1(a, b):\n    return sum([a, b])\n", passes=False)
    made = make([row], mutants=99, wrong=0)
    passed = [a for a in made.rows[0].attempts if a.verdict.passed]
    assert passed, "a mutant that passes is a pass"
    assert all("sum(" in attempt.candidate.code for attempt in passed)
    counts = made.report["mutant"]
    assert counts["passed"] == len(passed) == counts["verdicts"]["pass"]
    assert sum(kind["made"] for kind in counts["kinds"].values()) == counts["made"]
    assert sum(kind["passed"] for kind in counts["kinds"].values()) == len(passed)


def test_negative_numbers_are_refused() -> None:
    with pytest.raises(InputError, match="mutants_per_problem must not be negative: -1"):
        MadeNegativesParams(mutants_per_problem=-1)
