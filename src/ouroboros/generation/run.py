"""Drawing candidates for a list of problems: the `generate` stage's work.

    from ouroboros.generation.run import generate
    candidates = generate(problems, params, cache=cache_dir(), label="starter")

What a candidate is depends on its model, prompt, sampling settings, seed, problem and sample index
alone. Each is kept in a store under the digest of these, so a run that was killed goes on where it
stopped, and one with more problems or a larger n draws only what is new.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ouroboros.errors import UserError
from ouroboros.generation.candidate_files import read_candidate_file
from ouroboros.generation.extract import program_from_chat, program_from_completion
from ouroboros.generation.openai_engine import OpenaiEngine
from ouroboros.generation.params import GenerateParams
from ouroboros.generation.prompts import (
    TEMPLATES,
    Prompt,
    PromptTemplate,
    build_prompt,
    is_function,
)
from ouroboros.generation.requests import Completion, Drawn, Engine, Request, sample_seed
from ouroboros.generation.review import review_candidates
from ouroboros.generation.vllm_engine import VllmEngine, prepare_process
from ouroboros.generation.weights import (
    PACKAGED_PREFIX,
    is_hub_id,
    packaged_model,
    resolve_model,
)
from ouroboros.progress import Progress
from ouroboros.records import GREEDY_INDEX, Candidate, Problem, to_dict
from ouroboros.store import ResultStore

TRUNCATION_WARNING = 0.02
"""A larger share of replies cut at `max_tokens` is warned about."""


def generate(
    problems: Sequence[Problem],
    params: GenerateParams,
    *,
    cache: Path,
    label: str,
    on_drawn: Callable[[Drawn], None] = lambda _: None,
) -> list[Candidate]:
    """Draw (or read) the candidates of all problems.

    Args:
        cache: where finished samples (`samples.sqlite`) and converted weights are kept.
        label: the problem set: which file engine `file` reads, and what the progress line says.
        on_drawn: told the totals, if anything had to be drawn.

    Returns:
        Per problem the greedy candidate and samples 0..n-1; for engine `file` what the file holds.

    Raises:
        UserError: no such model or file, a prompt longer than the context, no room for the store,
            or an endpoint that does not answer as it should.
    """
    if params.engine == "file":
        if label not in params.files:
            raise UserError(
                f"generate.engine is file, but generate.files names no file for set {label!r}"
            )
        return read_candidate_file(params.files[label], problems)
    if params.engine == "openai":
        return _from_endpoint(problems, params, cache, label, on_drawn)
    prepare_process()
    model = resolve_model(str(params.model), params.revision, cache)
    tokenizer = _load_tokenizer(model.path)
    engine = VllmEngine(model, params.vllm, tokenizer)
    with ResultStore(cache / "samples.sqlite") as store:
        candidates = _draw_candidates(
            problems, params, tokenizer, engine, store, model.identity, label, on_drawn
        )
        if not params.reviewer:
            return candidates
        template = TEMPLATES[str(params.prompt)]
        found = review_candidates(
            candidates, problems, template, tokenizer, engine, store, model.identity, label=label
        )
    return [
        replace(candidate, review_logprob=value)
        for candidate, value in zip(candidates, found, strict=True)
    ]


def _from_endpoint(
    problems: Sequence[Problem],
    params: GenerateParams,
    cache: Path,
    label: str,
    on_drawn: Callable[[Drawn], None],
) -> list[Candidate]:
    name = str(params.model)
    tokenizer = None
    if params.openai.api == "completions":
        tokenizer = _tokenizer_of(name, params.revision, cache)
    engine = OpenaiEngine(name, params.openai, tokenizer)
    # What the params state, since the endpoint's own weights cannot be looked at.
    identity = f"stated:{name}@{params.revision}"
    with ResultStore(cache / "samples.sqlite") as store:
        return _draw_candidates(
            problems, params, tokenizer, engine, store, identity, label, on_drawn
        )


def _draw_candidates(
    problems: Sequence[Problem],
    params: GenerateParams,
    tokenizer: Any,
    engine: Engine,
    store: ResultStore,
    model_identity: str,
    label: str,
    on_drawn: Callable[[Drawn], None],
) -> list[Candidate]:
    template = TEMPLATES[str(params.prompt)]
    examples = examples_of(problems, params)
    prompts = [build_prompt(problem, template, tokenizer, examples) for problem in problems]
    engine.check(prompts, params.max_tokens)
    requests = [request for prompt in prompts for request in requests_of(prompt, params)]
    completions = draw(requests, engine, store, model_identity, label=label, on_drawn=on_drawn)
    _report_truncation(completions, label)
    by_id = {problem.problem_id: problem for problem in problems}
    return [
        candidate_of(request, completion, by_id[request.problem_id], template)
        for request, completion in zip(requests, completions, strict=True)
    ]


def examples_of(problems: Sequence[Problem], params: GenerateParams) -> list[Problem]:
    """The problems of `generate.few_shot`; none for a set of functions to complete."""
    if all(is_function(problem) for problem in problems):
        return []
    by_id = {problem.problem_id: problem for problem in problems if problem.reference.strip()}
    for problem_id in params.few_shot:
        if problem_id not in by_id:
            raise UserError(
                f"generate.few_shot names {problem_id!r}, but no problem of this set with a "
                "reference has that id\n  take the problem into the set (problems.<set>.ids), or "
                "name another"
            )
    return [by_id[problem_id] for problem_id in params.few_shot]


def requests_of(prompt: Prompt, params: GenerateParams) -> list[Request]:
    """The greedy request of a problem, then its n sampled ones."""
    return [
        Request(
            prompt=prompt,
            sample_index=index,
            temperature=0.0 if index == GREEDY_INDEX else params.temperature,
            top_p=params.top_p,
            max_tokens=params.max_tokens,
            seed=sample_seed(params.seed, prompt.problem_id, index),
        )
        for index in (GREEDY_INDEX, *range(params.n))
    ]


def draw(
    requests: Sequence[Request],
    engine: Engine,
    store: ResultStore,
    model_identity: str,
    *,
    label: str,
    on_drawn: Callable[[Drawn], None] = lambda _: None,
) -> list[Completion]:
    """The completions of `requests`, in their order; only those not in the store are drawn, and
    each is stored as soon as it is finished. `on_drawn` as for `generate`."""
    source = (model_identity, engine.identity)
    keys = [request.key(source) for request in requests]
    known = store.get(keys)
    missing = [request for request, key in zip(requests, keys, strict=True) if key not in known]
    if missing:
        started = time.monotonic()
        tokens = cut = 0
        with Progress(
            len(requests), f"generate {label}", "candidates", done=len(requests) - len(missing)
        ) as progress:
            for batch in engine.complete(missing):
                fresh = {request.key(source): to_dict(answer) for request, answer in batch}
                store.put(fresh)
                known |= fresh
                tokens += sum(answer.num_tokens for _, answer in batch)
                cut += sum(answer.finish_reason == "length" for _, answer in batch)
                rate = tokens / (time.monotonic() - started)
                progress.advance(len(batch), note=f"{rate:.0f} tokens/s")
        seconds = time.monotonic() - started
        print(
            f"generate {label}: {len(missing)} candidates, {tokens} tokens in {seconds:.1f} s "
            f"({tokens / seconds:.0f} tokens/s, engine start included)",
            file=sys.stderr,
        )
        on_drawn(Drawn(candidates=len(missing), tokens=tokens, seconds=seconds, cut=cut))
    return [Completion(**known[key]) for key in keys]


def candidate_of(
    request: Request, completion: Completion, problem: Problem, template: PromptTemplate
) -> Candidate:
    """The candidate in a completion."""
    prompt = request.prompt
    if template.form == "completion":
        code = program_from_completion(prompt.reply, completion.text)
    else:
        code = program_from_chat(prompt.reply + completion.text, problem)
    return Candidate(
        problem_id=problem.problem_id,
        sample_index=request.sample_index,
        code=code,
        completion=completion.text,
        finish_reason=completion.finish_reason,
        num_tokens=completion.num_tokens,
        sum_logprob=completion.sum_logprob,
        sampling="greedy" if request.sample_index == GREEDY_INDEX else "sample",
    )


def _load_tokenizer(path: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(path)


def _tokenizer_of(model: str, revision: str | None, cache: Path) -> Any:
    """The tokenizer alone of a model whose weights are elsewhere."""
    from transformers import AutoTokenizer

    if model.startswith(PACKAGED_PREFIX):
        return _load_tokenizer(packaged_model(model.removeprefix(PACKAGED_PREFIX), cache))
    problem = "no such directory"
    if Path(model).is_dir() or is_hub_id(model):
        try:
            return AutoTokenizer.from_pretrained(model, revision=revision)
        except (OSError, ValueError) as error:
            problem = str(error).strip().split("\n")[0]
    raise UserError(
        f"the tokenizer of generate.model {model!r} at revision {revision} could not be loaded: "
        f"{problem}\n  generate.openai.api completions needs it to build the prompts: give a "
        "transformers directory or a hub id whose tokenizer can be had, or set "
        "generate.openai.api to chat"
    )


def _report_truncation(completions: Sequence[Completion], label: str) -> None:
    cut = sum(completion.finish_reason == "length" for completion in completions)
    if cut > TRUNCATION_WARNING * len(completions):
        print(
            f"generate {label}: warning: {cut} of {len(completions)} replies "
            f"({cut / len(completions):.0%}) were cut at generate.max_tokens",
            file=sys.stderr,
        )
