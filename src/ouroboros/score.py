"""`ouroboros score`: the soft verifier on files."""

from __future__ import annotations

from pathlib import Path

from ouroboros.critic.scoring import load_critic
from ouroboros.errors import InputError
from ouroboros.jsonl import dumps, read_records_with_place, write_lines
from ouroboros.problems.formats import load_problems
from ouroboros.progress import Progress
from ouroboros.records import Candidate, require_known_problems, to_dict


def run(critic: Path, problems: Path, candidates: Path, out: Path) -> None:
    """Score a candidates file: each row again, in input order, with `reward` and `p_pass` added.

    Nothing is executed. `reward` ranks programs of one problem; `p_pass` is the calibrated
    probability that a program passes.

    Args:
        critic: a folder the train_critic stage wrote.
        problems: a problems file in the published MBPP or HumanEval form or in this project's.
        candidates: JSONL (.gz too) with at least `problem_id`, `sample_index` and `code`.
        out: where the rows go (JSONL); written whole or not at all.

    Raises:
        UserError: bad input, an unknown problem, a duplicate, or a folder that is no critic.
    """
    known = load_problems(problems)
    rows = read_records_with_place(candidates, Candidate)
    if not rows:
        raise InputError("no candidates to score", where=str(candidates))
    require_known_problems([(c.problem_id, where) for where, c in rows], known, str(problems))
    by_id = {problem.problem_id: problem for problem in known}
    loaded = load_critic(critic)
    with Progress(len(rows), "score", "programs") as progress:
        scores = loaded.score([(by_id[c.problem_id], c.code) for _, c in rows], progress.advance)
    write_lines(
        out,
        (
            dumps({**to_dict(candidate), "reward": score.reward, "p_pass": score.p_pass})
            for (_, candidate), score in zip(rows, scores, strict=True)
        ),
    )
