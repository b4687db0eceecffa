"""Drawing, with an engine that answers at once: what is drawn, kept and drawn again."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from ouroboros.errors import UserError
from ouroboros.generation.params import GenerateParams
from ouroboros.generation.prompts import TEMPLATES, Prompt, build_prompt
from ouroboros.generation.requests import Completion, Request, sample_seed
from ouroboros.generation.run import candidate_of, draw, examples_of, requests_of
from ouroboros.records import GREEDY_INDEX, Problem
from ouroboros.store import ResultStore


class FakeEngine:
    """Answers from the request alone, last request first, and notes what it was asked."""

    identity = "fake 1"

    def __init__(self, dies_after: int | None = None) -> None:
        self.asked: list[Request] = []
        self._dies_after = dies_after

    def check(self, prompts: Iterable[Prompt], max_tokens: int) -> None:
        pass

    def complete(self, requests: Sequence[Request]) -> Iterator[list[tuple[Request, Completion]]]:
        for request in reversed(requests):
            if self._dies_after is not None and len(self.asked) >= self._dies_after:
                raise KeyboardInterrupt
            self.asked.append(request)
            text = f"{request.problem_id} {request.sample_index} {request.seed}"
            answer = Completion(text=text, finish_reason="stop", num_tokens=3, sum_logprob=-0.5)
            yield [(request, answer)]


PARAMS = GenerateParams(
    engine="vllm", model="packaged:smollm2-135m-instruct", prompt="smollm2-chat", n=4
)


def prompts(count: int) -> list[Prompt]:
    return [
        Prompt(problem_id=f"mbpp/{number}", text=f"prompt {number}", reply="", stop=("\n```",))
        for number in range(count)
    ]


def requests(count: int, **changes: Any) -> list[Request]:
    params = dataclasses.replace(PARAMS, **changes)
    return [request for prompt in prompts(count) for request in requests_of(prompt, params)]


def run(asked: list[Request], path: Path, model: str = "m", **engine: Any) -> tuple[Any, list]:
    fake = FakeEngine(**engine)
    with ResultStore(path / "samples.sqlite") as store:
        answers = draw(asked, fake, store, model, label="main")
    return answers, fake.asked


def test_a_problem_gets_one_greedy_and_n_sampled_requests() -> None:
    asked = requests(1)
    assert [request.sample_index for request in asked] == [GREEDY_INDEX, 0, 1, 2, 3]
    assert [request.temperature for request in asked] == [0.0, 0.8, 0.8, 0.8, 0.8]
    assert len({request.seed for request in asked}) == 5


def test_answers_come_in_the_order_of_the_requests(tmp_path: Path) -> None:
    asked = requests(3)
    answers, drawn = run(asked, tmp_path)
    assert [a.text.split()[:2] for a in answers] == [
        [r.problem_id, str(r.sample_index)] for r in asked
    ]
    assert len(drawn) == 15


def test_the_same_run_again_draws_nothing(tmp_path: Path) -> None:
    first, _ = run(requests(3), tmp_path)
    second, drawn = run(requests(3), tmp_path)
    assert (second, drawn) == (first, [])


def test_a_larger_n_or_more_problems_draw_only_what_is_new(tmp_path: Path) -> None:
    first, _ = run(requests(2), tmp_path)
    more, drawn = run(requests(2, n=6), tmp_path)
    assert sorted((r.problem_id, r.sample_index) for r in drawn) == [
        ("mbpp/0", 4), ("mbpp/0", 5), ("mbpp/1", 4), ("mbpp/1", 5),
    ]  # fmt: skip
    assert more[:5] == first[:5]
    wider, drawn = run(requests(3), tmp_path)
    assert {r.problem_id for r in drawn} == {"mbpp/2"}
    assert wider[:10] == first


def test_what_was_finished_before_a_kill_is_kept(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(requests(3), tmp_path, dies_after=7)
    answers, drawn = run(requests(3), tmp_path)
    assert len(drawn) == 8
    assert answers == run(requests(3), tmp_path / "fresh")[0]


@pytest.mark.parametrize(
    "changes",
    [{"seed": 1}, {"temperature": 0.9}, {"top_p": 0.9}, {"max_tokens": 100}],
    ids=str,
)
def test_another_setting_draws_anew(changes: dict[str, Any], tmp_path: Path) -> None:
    run(requests(1), tmp_path)
    _, drawn = run(requests(1, **changes), tmp_path)
    # Only the length limit touches the greedy candidate.
    greedy = GREEDY_INDEX in {request.sample_index for request in drawn}
    assert (len(drawn), greedy) == ((5, True) if "max_tokens" in changes else (4, False))


def test_another_model_or_prompt_draws_anew(tmp_path: Path) -> None:
    run(requests(1), tmp_path)
    assert len(run(requests(1), tmp_path, model="other")[1]) == 5
    other = [
        dataclasses.replace(request, prompt=dataclasses.replace(request.prompt, text="other"))
        for request in requests(1)
    ]
    assert len(run(other, tmp_path)[1]) == 5


def test_other_messages_draw_anew(tmp_path: Path) -> None:
    def asked(content: str) -> list[Request]:
        message = {"role": "user", "content": content}
        return [
            dataclasses.replace(
                request, prompt=dataclasses.replace(request.prompt, text="", messages=(message,))
            )
            for request in requests(1)
        ]

    run(asked("one"), tmp_path)
    assert run(asked("one"), tmp_path)[1] == []
    assert len(run(asked("two"), tmp_path)[1]) == 5


def test_the_key_of_a_sample_stays() -> None:
    """What stores hold from earlier versions is found again."""
    request = requests(1)[1]
    assert request.key(("m", "fake 1")) == (
        "1ef6973f12e1aeb5f49e885dc18e04093017c5d9631bc3c5b9cfb613052d510f"
    )


def test_sample_seeds_are_fixed_and_apart() -> None:
    assert sample_seed(0, "mbpp/11", 0) == 6530268174943354487
    seeds = {
        sample_seed(seed, f"mbpp/{problem}", index)
        for seed in range(3)
        for problem in range(1, 30)
        for index in range(-1, 50)
    }
    assert len(seeds) == 3 * 29 * 51
    assert all(0 <= seed < 2**63 for seed in seeds)


def problem(number: int, **changes: Any) -> Problem:
    fields = {
        "reference": f"def f():\n    return {number}\n",
        "tests": (f"assert f() == {number}",),
    }
    return Problem(
        problem_id=f"mbpp/{number}", prompt_text="Return it.", entry_point="f", **fields | changes
    )


def test_examples_are_the_named_problems_of_the_set_in_the_order_named() -> None:
    params = dataclasses.replace(PARAMS, prompt="mbpp-few-shot", few_shot=("mbpp/3", "mbpp/2"))
    found = examples_of([problem(n) for n in range(1, 5)], params)
    assert [example.problem_id for example in found] == ["mbpp/3", "mbpp/2"]
    for missing in ([problem(3)], [problem(3), problem(2, reference="")]):
        with pytest.raises(UserError, match=r"generate\.few_shot names 'mbpp/2'"):
            examples_of(missing, params)
    # A set of functions to complete has no use for them, whatever its ids are.
    functions = [problem(9, tests=(), check="def check(c): pass")]
    assert examples_of(functions, params) == []


def test_a_few_shot_reply_is_the_program_alone() -> None:
    template = TEMPLATES["mbpp-few-shot"]
    task = problem(1)
    prompt = build_prompt(task, template, None, [problem(2)])
    (request, *_) = requests_of(prompt, PARAMS)
    answer = Completion(
        text="def f():\n    return 1", finish_reason="stop", num_tokens=9, sum_logprob=-1.0
    )
    assert candidate_of(request, answer, task, template).code == answer.text
