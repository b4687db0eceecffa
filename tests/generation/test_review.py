"""What the generator is asked about a program, and that it answers as transformers does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from ouroboros.generation.prompts import TEMPLATES
from ouroboros.generation.review import Review, build_review, review_candidates
from ouroboros.jsonl import read_records
from ouroboros.records import Candidate, Problem
from ouroboros.store import ResultStore
from tests.generation.test_engine import Stage, problems
from tests.support.tiny_models import make_tiny_qwen2

TASK = Problem(
    problem_id="mbpp/1", prompt_text=" Add one. ", entry_point="f", tests=("assert f(1) == 2",)
)
FUNCTION = Problem(
    problem_id="humaneval/1", entry_point="f", check="def check(c):\n    assert c(1) == 2",
    prompt_text='def g():\n    """Help."""\n\n'
    'def f(n):\n    """ Add one.\n    >>> f(1)\n    2\n    """\n',
)  # fmt: skip


def candidate(problem: Problem, code: str, index: int = 0) -> Candidate:
    return Candidate(problem_id=problem.problem_id, sample_index=index, code=code)


class Tokenizer:
    def apply_chat_template(self, messages, tokenize, add_generation_prompt):
        assert not tokenize
        assert add_generation_prompt
        return "".join(f"<{m['role']}>{m['content']}" for m in messages) + "<assistant>"


def test_the_program_stands_without_its_own_description():
    code = FUNCTION.prompt_text + "    return n + 1  # Add one.\n"
    template = TEMPLATES["smollm2-chat"]
    review = build_review(candidate(FUNCTION, code), FUNCTION, template, Tokenizer())
    assert "Add one" not in review.text
    assert "return n + 1" in review.text
    assert review.text.endswith("<assistant>")
    assert review.task == "Add one.\n>>> f(1)\n2"
    assert build_review(candidate(TASK, code), TASK, template, Tokenizer()).task == "Add one."


def test_a_base_model_is_asked_in_plain_text():
    review = build_review(
        candidate(TASK, "def f(n): return n"), TASK, TEMPLATES["completion"], None
    )
    assert review.text == 'def f(n):\n    return n\n\n# What the code above does:\n"""\n'


def test_programs_that_read_the_same_are_asked_once_and_never_again(tmp_path: Path):
    asked: list[Review] = []

    class Engine:
        identity = "counting 1"

        def review(self, reviews: Sequence[Review]) -> Iterator[list[tuple[Review, float]]]:
            for review in reviews:
                asked.append(review)
                yield [(review, -float(len(review.text)))]

    codes = ["x = 1", "x  =  1 # same", "y = 22"]
    candidates = [candidate(TASK, code, index) for index, code in enumerate(codes)]
    template = TEMPLATES["smollm2-chat"]

    def run(model: str) -> list[float]:
        with ResultStore(tmp_path / "store.sqlite") as store:
            return review_candidates(
                candidates, [TASK], template, Tokenizer(), Engine(), store, model, label="t"
            )

    found = run("model 1")
    assert len(asked) == 2
    assert found[0] == found[1] > found[2]
    assert run("model 1") == found
    assert len(asked) == 2
    run("model 2")
    assert len(asked) == 4


def test_the_real_engine_gives_the_log_probability_that_transformers_gives(tmp_path: Path):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model_path = make_tiny_qwen2(tmp_path / "tiny")
    chosen = problems(3)
    stage = Stage(tmp_path / "stage", model_path, chosen, n=2, max_tokens=24, reviewer=True)
    report = stage.run()
    assert "review main" in report
    candidates = read_records(stage.output, Candidate)
    assert len(candidates) == 9
    tokenizer = AutoTokenizer.from_pretrained(model_path)
    model = AutoModelForCausalLM.from_pretrained(model_path, dtype=torch.float32)
    for found in candidates:
        problem = next(p for p in chosen if p.problem_id == found.problem_id)
        review = build_review(found, problem, TEMPLATES["qwen2.5-coder"], tokenizer)
        text, task = (
            tokenizer(t, return_tensors="pt", add_special_tokens=False)["input_ids"]
            for t in (review.text, review.task)
        )
        ids = torch.cat([text, task], dim=1)
        with torch.no_grad():
            logits = model(ids[:, :-1]).logits[0, text.shape[1] - 1 :]
        wanted = torch.log_softmax(logits, -1).gather(1, task.T).sum().item()
        assert found.review_logprob is not None
        assert abs(found.review_logprob - wanted) < 0.01
    # A second run reads the store, and gives the same bytes without an engine.
    before = stage.output.read_bytes()
    stage.output.unlink()
    assert "tokens/s" not in stage.run()
    assert stage.output.read_bytes() == before
