"""The reviewer score: how likely the generator finds the task, given a program for it.

log p(task | program), the reverse of what the generator draws from. Alone it ranks programs by how
well they explain the task; added to log p(program | task) it is the coder-reviewer score (Zhang et
al. 2023, "Coder Reviewer Reranking for Code Generation", arXiv 2211.16490). Both are text
likelihoods: rivals that a verifier learned from execution must beat.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ouroboros.critic.normalise import readable
from ouroboros.generation.prompts import PromptTemplate, is_function
from ouroboros.progress import Progress
from ouroboros.records import Candidate, Problem
from ouroboros.store import ResultStore, digest


@dataclass(frozen=True, kw_only=True, slots=True)
class Review:
    """A text, and what the model is asked to find likely after it."""

    text: str
    task: str

    def key(self, source: Sequence[str]) -> str:
        """The digest of everything that decides the answer; `source` as for a request."""
        return digest({"source": list(source), "review": self.text, "task": self.task})


class ReviewEngine(Protocol):
    """Says how likely texts are. Which engine, with which settings, `identity` says."""

    @property
    def identity(self) -> str: ...

    def review(self, reviews: Sequence[Review]) -> Iterator[list[tuple[Review, float]]]:
        """Each review with the summed natural-log probability of its task's tokens, each batch as
        soon as it is finished, in any order."""


def build_review(
    candidate: Candidate, problem: Problem, template: PromptTemplate, tokenizer: Any
) -> Review:
    """What the model reads of a candidate.

    The program stands without comments and docstrings: a function to complete repeats its own
    description there, which would only have to be copied.
    """
    program = readable(candidate.code)
    if template.form == "completion":
        return Review(text=f'{program}\n\n# What the code above does:\n"""\n', task=_task(problem))
    request = template.review.replace("{program}", program)
    messages = [{"role": "user", "content": request}]
    if template.system is not None:
        messages.insert(0, {"role": "system", "content": template.system})
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    return Review(text=text, task=_task(problem))


def _task(problem: Problem) -> str:
    """The task in words: the text, or the description in a function's docstring."""
    if not is_function(problem):
        return problem.prompt_text.strip()
    try:
        functions = [
            n for n in ast.parse(problem.prompt_text).body if isinstance(n, ast.FunctionDef)
        ]
    except SyntaxError:
        functions = []
    for function in functions:
        if function.name == problem.entry_point:
            return ast.get_docstring(function) or problem.prompt_text.strip()
    return problem.prompt_text.strip()


def review_candidates(
    candidates: Sequence[Candidate],
    problems: Sequence[Problem],
    template: PromptTemplate,
    tokenizer: Any,
    engine: ReviewEngine,
    store: ResultStore,
    model_identity: str,
    *,
    label: str,
) -> list[float]:
    """log p(task | program) of every candidate, natural, summed over the task's tokens.

    Programs that read the same share it; what the store has is not asked again.
    """
    by_id = {problem.problem_id: problem for problem in problems}
    reviews = [build_review(c, by_id[c.problem_id], template, tokenizer) for c in candidates]
    source = (model_identity, engine.identity)
    wanted = {review.key(source): review for review in reviews}
    known = store.get(wanted)
    missing = [review for key, review in wanted.items() if key not in known]
    if missing:
        done = len(wanted) - len(missing)
        with Progress(len(wanted), f"review {label}", "programs", done=done) as progress:
            for batch in engine.review(missing):
                fresh = {review.key(source): value for review, value in batch}
                store.put(fresh)
                known |= fresh
                progress.advance(len(batch))
    return [float(known[review.key(source)]) for review in reviews]
