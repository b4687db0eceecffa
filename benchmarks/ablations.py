"""Which ingredient of the critic earns its place? Cross-validated on real programs.

Usage: python benchmarks/ablations.py [--bed davinci] [--seeds 3] [--only NAME ...] [--list]

A bed is a file of real samples, relabelled by the hard verifier and divided into five folds by
problem. Each variant is trained by the pipeline's own `train_critic` on four folds (a fifth of
their problems is dev) and judged on the fifth, for every fold and seed. Every problem is judged
once a seed, by a critic that never saw it; the pooled problems give the intervals (paired
bootstrap over problems, after the mean over seeds).

The queue can be stopped at any moment and started again: finished runs are kept in the store of
finished work, and an unfinished training goes on from its checkpoint.
"""

from __future__ import annotations

import argparse
import gzip
import json
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ouroboros import store
from ouroboros.critic import backbone as backbones
from ouroboros.critic.learners import stored_states
from ouroboros.critic.pairs import with_made
from ouroboros.critic.params import CriticParams, CurriculumPhase
from ouroboros.critic.scoring import Critic, Score, load_critic
from ouroboros.critic.states import HeadOnStates, state_rewards
from ouroboros.critic.train import Outputs, train_critic, training_digest
from ouroboros.estimators import paired_bootstrap
from ouroboros.evaluation.measure import measure
from ouroboros.evaluation.samples import describe_programs, read_samples
from ouroboros.evaluation.selectors import SELECTORS
from ouroboros.generation.extract import program_from_completion
from ouroboros.labelled import join
from ouroboros.made.make import make_negatives
from ouroboros.made.params import MadeNegativesParams
from ouroboros.problems.formats import load_problems
from ouroboros.records import Candidate, LabelledProblem, Problem, Verdict, parse_value, to_dict
from ouroboros.splitting.extra import join_train
from ouroboros.splitting.params import SplitParams
from ouroboros.splitting.split import split_problems
from ouroboros.static_analysis import facts
from ouroboros.verification.params import ExecuteParams
from ouroboros.verification.run import verify

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
FOLDS = 5
KS = (5, 10, 25, 50, 100)
CODE_ONLY = ("shortest", "parses", "static_rules", "majority")
"""The selectors a critic must beat: they too see nothing but prompt and code."""


@dataclass(frozen=True, kw_only=True)
class Bed:
    """Where real samples and their problems are."""

    problems: str
    samples: str


BEDS = {
    "davinci": Bed(
        problems="HumanEval.jsonl.gz", samples="samples/humaneval_davinci002_n50.jsonl.gz"
    ),
    "codegen": Bed(
        problems="HumanEval.jsonl.gz", samples="samples/humaneval_codegen16b_n100.jsonl.gz"
    ),
    "mbpp7": Bed(problems="mbpp.jsonl", samples="samples/mbpp_7_generators.jsonl"),
}


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A critic to compare: what differs from the base.

    Attributes:
        critic: values of the params block `critic`.
        curriculum: the phases; the base's if None.
        made: programs to make for the train problems.
        extra: beds whose programs join train (never those of dev or test problems).
        extra_only: leave out the bed's own train programs: its generator is held out.
    """

    critic: Mapping[str, Any] = field(default_factory=dict)
    curriculum: Sequence[Mapping[str, Any]] | None = None
    made: MadeNegativesParams | None = None
    extra: tuple[str, ...] = ()
    extra_only: bool = False


ONE_PHASE = [{"name": "balanced", "negatives": "balanced"}]
TWO_PHASES = [
    {"name": "balanced", "negatives": "balanced", "step_share": 2},
    {"name": "hard", "negatives": "hard", "step_share": 1, "learning_rate_scale": 0.5},
]
CONTROL = [
    {**ONE_PHASE[0], "step_share": 2},
    {"name": "more", "negatives": "balanced", "step_share": 1, "learning_rate_scale": 0.5},
]
BASE = {
    "backbone": "packaged:smollm2-135m-instruct",
    "dtype": "bfloat16",
    "max_length": 384,
    "frozen_layers": "all",
    "likelihood": True,
    "pointwise_weight": 0.0,
    "steps": 600,
    "problems_per_step": 16,
    "programs_per_problem": 16,
    "evaluations_per_phase": 1,
    "learning_rate": 1e-2,
    "weight_decay": 3.0,
    "tokens_per_forward": 4096,
}
"""A linear head on frozen states is a convex problem: it is trained until it stands still, and the
weight decay, not an early checkpoint, keeps it simple."""
MUTANTS = MadeNegativesParams(mutants_per_problem=10)
WRONG_PROMPTS = MadeNegativesParams(wrong_prompts_per_problem=5)
MINILM = {"backbone": "packaged:minilm-l6", "dtype": "float32", "likelihood": False}
WHOLE = {
    **MINILM,
    "frozen_layers": 0,
    "pointwise_weight": 0.5,
    "max_length": 256,
    "steps": 90,
    "problems_per_step": 4,
    "programs_per_problem": 6,
    "evaluations_per_phase": 2,
    "dev_samples": 16,
    "learning_rate": 1e-4,
    "weight_decay": 0.01,
}
"""Fine-tuning every weight of MiniLM: some five minutes a fold."""
VARIANTS: dict[str, Variant] = {
    # The base trains a head on what SmolLM2, frozen, says of a program: its last state and how
    # likely it finds it. Each of these changes one thing.
    "base": Variant(),
    "no likelihood": Variant(critic={"likelihood": False}),
    "pass or fail too": Variant(critic={"pointwise_weight": 0.5}),
    "pass or fail alone": Variant(critic={"pairwise_weight": 0.0, "pointwise_weight": 1.0}),
    "kind of verdict too": Variant(critic={"auxiliary_weight": 0.5}),
    "curriculum": Variant(curriculum=TWO_PHASES),
    "control": Variant(curriculum=CONTROL),
    "wrong prompts": Variant(made=WRONG_PROMPTS),
    "mutants": Variant(made=MUTANTS),
    "more problems": Variant(extra=("mbpp7",)),
    "another generator": Variant(extra=("codegen",)),
    "another generator alone": Variant(extra=("codegen",), extra_only=True),
    # These read other texts, so every state is computed anew.
    "no static facts": Variant(critic={"static_facts": False}),
    "program as it is": Variant(critic={"code": "source"}),
    "MiniLM": Variant(critic=MINILM),
    "MiniLM, fine-tuned": Variant(critic=WHOLE),
}


def load_bed(name: str) -> tuple[list[LabelledProblem], dict[tuple[str, int], str]]:
    """The bed's programs, labelled by the hard verifier (from the store where it has them).

    Returns:
        the rows, and for a bed of several generators (problem id, sample index) -> generator.
    """
    bed = BEDS[name]
    problems = {p.problem_id: p for p in load_problems(DATA / bed.problems)}
    path = DATA / bed.samples
    counts: Counter[str] = Counter()
    candidates = []
    generators = {}
    with gzip.open(path, "rt") if path.suffix == ".gz" else open(path) as stream:
        for line in stream:
            row = json.loads(line)
            problem_id = row["problem_id"]
            code = row.get("code") or program_from_completion(
                problems[problem_id].prompt_text, row["completion"]
            )
            candidates.append(
                Candidate(problem_id=problem_id, sample_index=counts[problem_id], code=code)
            )
            if "generator" in row:
                generators[candidates[-1].key] = row["generator"]
            counts[problem_id] += 1
    used = [problems[problem_id] for problem_id in sorted(counts)]
    rows = join(used, candidates, _verify(used, candidates, f"label {name}"))
    return rows, generators


def _verify(
    problems: Sequence[Problem], candidates: Sequence[Candidate], label: str
) -> list[Verdict]:
    with store.ResultStore(store.cache_dir() / "verdicts.sqlite") as kept:
        return verify(problems, candidates, ExecuteParams(), store=kept, label=label)


class Queue:
    """Runs of one bed: each trains a critic on some folds and scores the programs of another."""

    def __init__(self, bed: str, kept: store.ResultStore) -> None:
        self.rows, self._generators = load_bed(bed)
        self._kept = kept
        self._extra: dict[str, list[LabelledProblem]] = {}
        self._fold_of = [self._split(fold) for fold in range(FOLDS)]

    def _split(self, fold: int) -> tuple[frozenset[str], frozenset[str], frozenset[str]]:
        params = SplitParams(scheme="folds", folds=FOLDS, fold=fold)
        split = split_problems([row.problem for row in self.rows], [], params)
        return split.train, split.dev, split.test

    def scores(self, variant: Variant, seed: int) -> tuple[dict[tuple[str, str], Score], float]:
        """The score of every program, by a critic that never saw its problem; seconds used."""
        found: dict[tuple[str, str], Score] = {}
        seconds = 0.0
        for fold in range(FOLDS):
            result = self._run(variant, seed, fold)
            seconds += result["seconds"]
            found |= {
                (problem_id, code): Score(reward=reward, p_pass=p_pass)
                for problem_id, code, reward, p_pass in result["scores"]
            }
        return found, seconds

    def _run(self, variant: Variant, seed: int, fold: int) -> Any:
        block = {**BASE, **variant.critic, "seed": seed}
        params = parse_value(CriticParams, block, "critic", "param")
        listed = [dict(phase) for phase in variant.curriculum or ONE_PHASE]
        phases = parse_value(tuple[CurriculumPhase, ...], listed, "curriculum", "param")
        train_ids, dev_ids, test_ids = self._fold_of[fold]
        train = [row for row in self.rows if row.problem_id in train_ids]
        dev = [row for row in self.rows if row.problem_id in dev_ids]
        test = [row for row in self.rows if row.problem_id in test_ids]
        train = self._with_extra(variant, train, dev_ids | test_ids)
        if variant.made is not None:
            train = self._with_made(train, variant.made)
        key = store.digest(
            {
                "training": training_digest(params, phases, params.backbone, train, dev),
                "test": store.digest([to_dict(row) for row in test]),
            }
        )
        known = self._kept.get([key])
        if key in known:
            return known[key]
        start = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            outputs = Outputs(
                critic=Path(folder) / "critic",
                phases=Path(folder) / "phases",
                metrics=Path(folder) / "metrics.json",
                curve=Path(folder) / "curve.csv",
            )
            metrics = train_critic(
                params=params, curriculum=phases, train=train, dev=dev, outputs=outputs
            )
            critic = load_critic(outputs.critic)
            programs = {
                (row.problem_id, a.candidate.code): row.problem
                for row in test
                for a in row.attempts
            }
            scores = _score(critic, params, [(p, code) for (_, code), p in programs.items()])
        result = {
            "seconds": round(time.monotonic() - start, 1),
            "kept": metrics["kept"],
            "scores": [
                [problem_id, code, score.reward, score.p_pass]
                for (problem_id, code), score in zip(programs, scores, strict=True)
            ],
        }
        self._kept.put({key: result})
        return result

    def best_generator(self) -> np.ndarray | None:
        """By problem, whether the program of the best single generator passes.

        Which one that is, is learnt from the other folds. Null where a bed has one generator.
        """
        if not self._generators:
            return None
        values = {}
        for train_ids, dev_ids, test_ids in self._fold_of:
            passes: Counter[str] = Counter()
            for row in self.rows:
                if row.problem_id in train_ids | dev_ids:
                    passes.update(
                        self._generators[attempt.candidate.key]
                        for attempt in row.attempts
                        if attempt.verdict.passed
                    )
            (best, _), *_ = passes.most_common(1)
            for row in self.rows:
                if row.problem_id in test_ids:
                    mine = [
                        attempt.verdict.passed
                        for attempt in row.attempts
                        if self._generators[attempt.candidate.key] == best
                    ]
                    values[row.problem_id] = float(np.mean(mine)) if mine else 0.0
        return np.array([values[row.problem_id] for row in self.rows])

    def _with_extra(
        self, variant: Variant, train: list[LabelledProblem], held_out: frozenset[str]
    ) -> list[LabelledProblem]:
        own = [] if variant.extra_only else train
        for name in variant.extra:
            if name not in self._extra:
                self._extra[name], _ = load_bed(name)
            extra = [row for row in self._extra[name] if row.problem_id not in held_out]
            ids = {row.problem_id for row in (*own, *extra)}
            own, _ = join_train(own, [(name, row) for row in extra], ids)
        return own

    def _with_made(
        self, train: list[LabelledProblem], params: MadeNegativesParams
    ) -> list[LabelledProblem]:
        problems = [row.problem for row in train]
        made = make_negatives(
            train, params, lambda candidates, what: _verify(problems, candidates, f"make {what}")
        )
        return with_made(train, made.rows)


def _score(
    critic: Critic, params: CriticParams, items: Sequence[tuple[Problem, str]]
) -> list[Score]:
    """As `Critic.score`; a frozen body's states come from the store."""
    if params.frozen_layers != "all":
        return critic.score(items)
    backbone = backbones.resolve(params)
    encoded = critic.serialiser.encode(items)
    serialiser = critic.serialiser
    states = stored_states(
        critic.model, encoded, backbone, params, serialiser.tokenizer, serialiser.markers
    )
    head = HeadOnStates(critic.model, likelihood_weight=critic.likelihood_weight)
    rewards = state_rewards(head, states, encoded)
    return [
        Score(reward=reward, p_pass=float(p))
        for reward, p in zip(rewards, critic.calibration.p_pass(rewards), strict=True)
    ]


class Judge:
    """Per-problem pass rates of picks, over all subsets of k samples."""

    def __init__(self, rows: Sequence[LabelledProblem]) -> None:
        self._rows = rows
        self._programs = describe_programs(rows, facts)
        least = min(len(row.samples) for row in rows)
        self.ks = (*(k for k in KS if k < least), least)

    def values(self, scores: Mapping[tuple[str, str], Score]) -> dict[str, np.ndarray]:
        """Selector -> (problems, ks); `random` and `oracle` among them."""
        ids = {id(row.problem): row.problem_id for row in self._rows}
        samples = read_samples(
            self._rows,
            lambda pairs: [scores[ids[id(problem)], code] for problem, code in pairs],
            self._programs,
        )
        wanted = ("random", *CODE_ONLY, "critic", "static_rules_then_critic")
        selectors = [one for one in SELECTORS if one.name in wanted]
        measured = measure(samples, selectors, self.ks, vote_resamples=200, seed=0)
        labels = [item.passed for item in samples]
        table = measured.values(labels)
        found = {name: table[:, measured.index(name)] for name in wanted}
        return {**found, "oracle": measured.oracle(labels)}


def report(
    judge: Judge,
    results: Mapping[str, list[dict[str, np.ndarray]]],
    against: str,
    generators: np.ndarray | None,
) -> None:
    """Print a block per k: share of the gap closed, minus the best code-only selector, and minus
    another variant.

    Intervals are over problems, of the mean over seeds. `generators` are the pass rates, by
    problem, of always taking one generator's program.
    """
    first = next(iter(results.values()))[0]
    for place, k in enumerate(judge.ks):
        at = {name: values[:, place] for name, values in first.items()}
        random, oracle = at["random"], at["oracle"]
        gap = float((oracle - random).mean())
        best = max(CODE_ONLY, key=lambda name: float(at[name].mean()))
        print(f"\npick one of {k}: random {random.mean():.1%}, oracle {oracle.mean():.1%}")
        for name in CODE_ONLY:
            print(f"  {name:<28} {at[name].mean():6.1%}   {(at[name] - random).mean() / gap:5.0%}")
        base = _mean(results[against], "critic", place) if against in results else None
        print(
            f"  {'critic':<28} {'pass@1':>6}  of gap  minus {best:<22} {'minus ' + against:<24}"
            "after static rules"
        )
        for name, runs in results.items():
            values = _mean(runs, "critic", place)
            share = (values - random).mean() / gap
            rival = _interval(values, at[best])
            difference = _interval(values, base) if base is not None and name != against else ""
            spread = np.std([(run["critic"][:, place] - random).mean() / gap for run in runs])
            checked = _mean(runs, "static_rules_then_critic", place).mean()
            print(
                f"  {name:<28} {values.mean():6.1%}   {share:5.0%}  {rival:<28} {difference:<24}"
                f"{checked:6.1%}   seeds +-{spread:.0%}"
            )
            if generators is not None and k == judge.ks[-1]:
                found = _interval(values, generators)
                print(
                    f"  {'':<28} minus the best single generator ({generators.mean():.1%}): {found}"
                )


def _mean(runs: Sequence[dict[str, np.ndarray]], selector: str, place: int) -> np.ndarray:
    return np.mean([run[selector][:, place] for run in runs], axis=0)


def _interval(a: np.ndarray, b: np.ndarray) -> str:
    found = paired_bootstrap(a, b)
    return f"{100 * found.estimate:+.1f} [{100 * found.low:+.1f}, {100 * found.high:+.1f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bed", choices=sorted(BEDS), default="davinci")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--against", default="base", metavar="NAME", help="compared with this")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these variants alone")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=JSON",
        help="another value of the block critic, for all variants",
    )
    parser.add_argument("--list", action="store_true", help="say what there is and stop")
    arguments = parser.parse_args()
    if arguments.list:
        print(*VARIANTS, sep="\n")
        return
    for text in arguments.set:
        key, _, value = text.partition("=")
        BASE[key] = json.loads(value)
    chosen = {name: VARIANTS[name] for name in arguments.only or VARIANTS}
    with store.ResultStore(store.cache_dir() / "ablations.sqlite") as kept:
        queue = Queue(arguments.bed, kept)
        judge = Judge(queue.rows)
        results: dict[str, list[dict[str, np.ndarray]]] = {}
        seconds: dict[str, float] = {}
        for name, variant in chosen.items():
            seeds = range(arguments.seeds)
            for seed in seeds:
                scores, used = queue.scores(variant, seed)
                results.setdefault(name, []).append(judge.values(scores))
                seconds[name] = seconds.get(name, 0.0) + used
            print(
                f"{name}: {seconds[name]:.0f} s for {arguments.seeds} seeds x {FOLDS} folds",
                flush=True,
            )
        print(
            f"\n{arguments.bed}: {len(queue.rows)} problems, "
            f"{sum(len(row.samples) for row in queue.rows)} programs, {FOLDS} folds"
        )
        report(judge, results, arguments.against, queue.best_generator())


if __name__ == "__main__":
    main()
