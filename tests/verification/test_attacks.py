"""The attack corpus: no attack passes, none disturbs the honest program after it."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from ouroboros.records import VERDICT_CLASSES, Candidate, Problem
from ouroboros.verification.params import ExecuteParams
from ouroboros.verification.run import verify

CORPUS = Path(__file__).parents[1] / "attacks"
FAMILIES = sorted(path.stem for path in CORPUS.glob("*.toml"))
HONEST = "def solve(n):\n    return [n * n, chr(96 + n)]\n"
# Short limits: an attack that runs into one costs that much, and there are many.
PARAMS = ExecuteParams(cpu_seconds=1, wall_seconds=3)

BATCHED = Problem(
    problem_id="attacked/1",
    prompt_text="",
    entry_point="solve",
    tests=(
        "assert solve(2) == [4, 'b']",
        "assert solve(5) == [25, 'e']",
        "assert solve(26) == [676, 'z']",
    ),
)
# A loop cannot be taken out beforehand: here the judge makes the calls one by one.
CALL_BY_CALL = Problem(
    problem_id="attacked/2",
    prompt_text="",
    entry_point="solve",
    check=(
        "def check(candidate):\n"
        "    for n in (2, 5, 26):\n"
        "        assert candidate(n) == [n * n, chr(96 + n)]\n"
    ),
)


def load(family: str) -> list[dict[str, Any]]:
    attacks = tomllib.loads((CORPUS / f"{family}.toml").read_text(encoding="utf-8"))["attack"]
    for attack in attacks:
        if "generate" in attack:
            attack["code"] = eval(attack["generate"])
        attack["expect"] = [*attack["expect"], *attack.get("also", [])]
    return attacks


@pytest.mark.parametrize("problem", [BATCHED, CALL_BY_CALL], ids=["batched", "call by call"])
@pytest.mark.parametrize("family", FAMILIES)
def test_no_attack_passes_and_honest_programs_pass_after_it(family: str, problem: Problem) -> None:
    attacks = load(family)
    programs = []
    for number, attack in enumerate(attacks):
        # Distinct text each time: identical programs would run only once.
        programs += [attack["code"], f"# after attack {number}\n{HONEST}"]
    candidates = [
        Candidate(problem_id=problem.problem_id, sample_index=index, code=code)
        for index, code in enumerate(programs)
    ]
    verdicts = verify([problem], candidates, PARAMS, label=family)
    unexpected = []
    for attack, verdict, after in zip(attacks, verdicts[::2], verdicts[1::2], strict=True):
        if verdict.verdict not in attack["expect"]:
            unexpected.append(f"{attack['name']}: {verdict.verdict} ({verdict.message})")
        if not after.passed:
            unexpected.append(f"honest program after {attack['name']}: {after}")
    assert not unexpected, "\n".join(unexpected)


def test_the_corpus_expects_known_verdicts_and_never_a_pass() -> None:
    attacks = [attack for family in FAMILIES for attack in load(family)]
    assert len({attack["code"] for attack in attacks}) >= 100
    for attack in attacks:
        assert set(attack["expect"]) <= set(VERDICT_CLASSES) - {"pass"}, attack["name"]
