"""How fast does the critic score and learn, against what a user of the libraries would write?

Usage: python benchmarks/critic.py [--critic DIR] [--rounds 3] [--only scoring]

Real programs (HumanEval, one generator, many samples a problem), medians over rounds in which all
rows take turns.
  scoring   `Critic.score` against transformers' text-classification pipeline on the same texts. The
            pipeline gets the texts ready made; ours is charged for writing them. The middle rows
            take our parts away one by one.
  training  `CriticTrainer` on groups against TRL's `RewardTrainer` on the same comparisons written
            out as pairs, the same number a step. Set-up and warm-up steps are not counted.
Only our rows run with torch's deterministic mode. Timings on a busy machine mean little.
"""

from __future__ import annotations

import argparse
import dataclasses
import gzip
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import datasets
import torch
from datasets import Dataset
from transformers import PrinterCallback, TrainerCallback, pipeline
from trl import RewardConfig, RewardTrainer

from ouroboros.critic import backbone as backbones
from ouroboros.critic.pairs import Group, Pool, collapse, draw_groups
from ouroboros.critic.params import CriticParams, CurriculumPhase
from ouroboros.critic.scoring import FORMAT, Critic, load_critic, pad, quiet, set_deterministic
from ouroboros.critic.serialise import Encoded, Serialiser
from ouroboros.critic.trainer import GroupCollator, make_trainer
from ouroboros.errors import UserError, run_main
from ouroboros.problems.formats import load_problems
from ouroboros.records import Attempt, Candidate, LabelledProblem, Problem, Verdict

PHASE = CurriculumPhase(name="benchmark", negatives="balanced")
GROUP_SIZES = (4, 8)
"""Programs in a group; the cpu profile's is the first."""
WARM_UP = 1
"""Training steps that are not timed."""
TOLERANCE = 1e-4
"""Between scores of the same tokens: what shares a batch moves float32 sums by less."""


def read_rows(data: Path) -> list[LabelledProblem]:
    """The problems with all their programs; the verdicts are those the samples came with."""
    problems = {p.problem_id: p for p in load_problems(data / "HumanEval.jsonl.gz")}
    attempts: dict[str, list[Attempt]] = {}
    path = data / "samples" / "humaneval_davinci002_n50.jsonl.gz"
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            key = {"problem_id": row["problem_id"], "sample_index": row["sample_index"]}
            verdict: Literal["pass", "wrong_answer"] = (
                "pass" if row["reported_pass"] else "wrong_answer"
            )
            attempt = Attempt(
                candidate=Candidate(**key, code=row["code"], sampling="sample"),
                verdict=Verdict(**key, verdict=verdict),
            )
            attempts.setdefault(row["problem_id"], []).append(attempt)
    return [LabelledProblem(problem=problems[i], attempts=tuple(a)) for i, a in attempts.items()]


def cpu_params(options: argparse.Namespace) -> CriticParams:
    """The cpu profile's critic."""
    return CriticParams(
        backbone=backbones.MINILM,
        max_length=256,
        steps=60,
        problems_per_step=4,
        programs_per_problem=4,
        # A checkpoint at the end alone, so that none is written in the steps that are timed.
        evaluations_per_phase=1,
        learning_rate=5.0e-5,
        tokens_per_forward=2048,
        threads=options.threads,
    )


def make_critic(folder: Path, params: CriticParams) -> Path:
    """A critic with a new, random head: its speed is that of a trained one."""
    backbone = backbones.resolve(params)
    tokenizer, markers = backbones.load_tokenizer(backbone, params)
    facts = {
        "format": FORMAT,
        "slope": 1.0,
        "intercept": 0.0,
        "max_length": params.max_length,
        "markers": markers,
        "static_facts": params.static_facts,
        "code": params.code,
        "tokens_per_forward": params.tokens_per_forward,
        "threads": params.threads,
    }
    model = backbones.build(backbone, params, tokenizer, markers, None)
    with quiet():
        backbones.save(model, tokenizer, folder, name=params.backbone, facts=facts)
    return folder


# Timing


Timing = tuple[float, float]
"""Seconds by the clock, and seconds of processor time over all threads."""


class Clock:
    def __init__(self) -> None:
        self._begin = time.perf_counter(), time.process_time()

    def read(self) -> Timing:
        return time.perf_counter() - self._begin[0], time.process_time() - self._begin[1]


HEADER = f"{'':34}{{:>11}}{'lowest':>9}{'highest':>9}{'ratio':>8}{'cpu ms each':>13}"


def rates(count: int, timings: Sequence[Timing]) -> list[float]:
    return [count / seconds for seconds, _ in timings]


def table_row(name: str, count: int, timings: Sequence[Timing], base: float | None) -> str:
    found = rates(count, timings)
    median = statistics.median(found)
    processor = statistics.median(seconds for _, seconds in timings) / count * 1e3
    ratio = f"{median / base:8.2f}" if base is not None else " " * 8
    return f"{name:34}{median:11.1f}{min(found):9.1f}{max(found):9.1f}{ratio}{processor:13.1f}"


# Scoring


Items = list[tuple[Problem, str]]
Divide = Callable[[Sequence[Encoded]], list[list[int]]]
OURS = "+ equal texts once (Critic.score)"


def choose_items(
    rows: Sequence[LabelledProblem],
    serialiser: Serialiser,
    problems: int,
    samples: int,
    *,
    cut: bool,
) -> Items:
    """Programs of `problems` problems, `samples` of each, whose texts are (not) cut."""
    chosen: Items = []
    # Shuffled, since neighbours in HumanEval are alike.
    for row in random.Random(0).sample(rows, len(rows)):
        items = [(row.problem, attempt.candidate.code) for attempt in row.attempts]
        encoded = serialiser.encode(items)
        fitting = [i for i, e in zip(items, encoded, strict=True) if e.prompt_cut == cut]
        if len(fitting) >= samples:
            chosen.extend(fitting[:samples])
        if len(chosen) == problems * samples:
            return chosen
    raise UserError(
        f"no {problems} problems with {samples} texts {'longer' if cut else 'shorter'} than "
        f"{serialiser.max_length} tokens\n  lower --problems or --samples"
    )


def in_order(encoded: Sequence[Encoded], size: int) -> list[list[int]]:
    places = list(range(len(encoded)))
    return [places[start : start + size] for start in places[::size]]


def by_length(encoded: Sequence[Encoded], tokens_per_forward: int) -> list[list[int]]:
    batches: list[list[int]] = [[]]
    for place in sorted(range(len(encoded)), key=lambda place: len(encoded[place].ids)):
        if batches[-1] and len(encoded[place].ids) * (len(batches[-1]) + 1) > tokens_per_forward:
            batches.append([])
        batches[-1].append(place)
    return batches


def score_batches(critic: Critic, items: Items, divide: Divide) -> list[float]:
    """Rewards without sharing the work of equal texts, in the given batches."""
    encoded = critic.serialiser.encode(items)
    found = [0.0] * len(encoded)
    with torch.inference_mode():
        for places in divide(encoded):
            input_ids, mask = pad(
                [encoded[place].ids for place in places], critic.serialiser.tokenizer.pad_token_id
            )
            logits = critic.model(input_ids=input_ids, attention_mask=mask).logits
            for place, reward in zip(places, logits[:, 0].tolist(), strict=True):
                found[place] = reward
    return found


def time_scoring(
    folder: Path, rows: Sequence[LabelledProblem], options: argparse.Namespace
) -> None:
    critic = load_critic(folder)
    critic.model.to("cpu")
    torch.set_num_threads(options.threads)
    with quiet():
        classify = pipeline(
            "text-classification",
            model=str(folder),
            device="cpu",
            function_to_apply="none",
            truncation=True,
            max_length=critic.serialiser.max_length,
        )
    items = choose_items(rows, critic.serialiser, options.problems, options.samples, cut=False)
    long = choose_items(
        rows, critic.serialiser, max(1, options.problems // 2), options.samples, cut=True
    )
    texts = {id(some): [critic.serialiser.text(*item) for item in some] for some in (items, long)}
    encoded = critic.serialiser.encode(items)
    distinct = [
        items[place] for place in {e.ids: place for place, e in enumerate(encoded)}.values()
    ]

    def ours(some: Items) -> list[float]:
        set_deterministic(options.threads)
        return [score.reward for score in critic.score(some)]

    def part(divide: Divide) -> list[float]:
        set_deterministic(options.threads)
        return score_batches(critic, items, divide)

    def peer(some: Items, size: int) -> list[float]:
        torch.use_deterministic_algorithms(False)
        return [row["score"] for row in classify(texts[id(some)], batch_size=size)]

    def write() -> list[float]:
        critic.serialiser.encode(items)
        return []

    budget = critic.tokens_per_forward
    acts: dict[str, tuple[Items, Callable[[], list[float]]]] = {
        "pipeline, batch 1": (items, lambda: peer(items, 1)),
        "pipeline, batch 32": (items, lambda: peer(items, 32)),
        "ours, batch 32, in order": (items, lambda: part(lambda e: in_order(e, 32))),
        "+ batches by length": (items, lambda: part(lambda e: by_length(e, budget))),
        OURS: (items, lambda: ours(items)),
        "Critic.score without copies": (distinct, lambda: ours(distinct)),
        "  (writing and tokenizing alone)": (items, write),
        "long: pipeline, batch 1": (long, lambda: peer(long, 1)),
        "long: pipeline, batch 32": (long, lambda: peer(long, 32)),
        "long: Critic.score": (long, lambda: ours(long)),
    }
    ours(items[:8])  # warm up
    timings: dict[str, list[Timing]] = {name: [] for name in acts}
    rewards: dict[str, list[float]] = {}
    for number in range(options.rounds):
        print(f"scoring, round {number + 1} of {options.rounds}", file=sys.stderr)
        for name, (_, act) in acts.items():
            clock = Clock()
            rewards[name] = act()
            timings[name].append(clock.read())

    compared = [name for name, (some, _) in acts.items() if some is items and rewards[name]]
    largest = max(
        abs(a - b) for name in compared for a, b in zip(rewards[name], rewards[OURS], strict=True)
    )
    assert largest <= TOLERANCE, f"scores differ by {largest}"
    spread = max(rewards[OURS]) - min(rewards[OURS])
    lengths = [len(item.ids) for item in encoded]
    limit = critic.serialiser.max_length
    print(
        f"scoring {len(items)} programs ({options.problems} problems), {len(distinct)} of them "
        f"distinct, {min(lengths)} to {max(lengths)} tokens, none cut;\n"
        f"long: {len(long)} programs, all cut to {limit} tokens, by rules that differ\n"
    )
    print(HEADER.format("programs/s"))
    base = max(statistics.median(rates(len(items), timings[name])) for name in list(acts)[:2])
    for name, (some, _) in acts.items():
        if name == "long: pipeline, batch 1":
            base = max(
                statistics.median(rates(len(some), timings[other])) for other in list(acts)[-3:-1]
            )
        print(table_row(name, len(some), timings[name], base if rewards[name] else None))
    print(
        f"ratio: to the better pipeline of the same texts; two scores of one program differ by at "
        f"most {largest:.0e},\nand the scores spread over {spread:.2f}"
    )


# Training


class StepClock(TrainerCallback):  # type: ignore[misc, unused-ignore]
    """Times the steps after the warm-up: from the end of a step to the end of the last."""

    def __init__(self) -> None:
        self._clock: Clock | None = None
        self.timing = (0.0, 0.0)

    def on_step_end(self, _: Any, state: Any, *__: Any, **___: Any) -> None:
        # Before the step's log and checkpoint.
        if state.global_step == WARM_UP:
            self._clock = Clock()
        elif self._clock is not None:
            self.timing = self._clock.read()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Material:
    """What both trainers learn from."""

    backbone: backbones.Backbone
    tokenizer: Any
    markers: bool
    pool: Pool
    ids: Sequence[tuple[int, ...]]
    folder: Path


def our_trainer(
    material: Material, params: CriticParams, groups: Sequence[Group], steps: int, clock: StepClock
) -> Any:
    set_deterministic(params.threads)
    return make_trainer(
        model=backbones.build(
            material.backbone, params, material.tokenizer, material.markers, None
        ),
        tokenizer=material.tokenizer,
        collator=GroupCollator(
            ids=material.ids,
            passed=[program.passed for program in material.pool.programs],
            faults=[program.fault for program in material.pool.programs],
            pad_token_id=material.tokenizer.pad_token_id,
            tokens_per_forward=params.tokens_per_forward,
        ),
        groups=groups,
        params=params,
        phase=PHASE,
        steps=steps,
        folder=material.folder,
        callbacks=[clock],
    )


def plain_pairs(material: Material, groups: Sequence[Group]) -> list[dict[str, list[int]]]:
    """Every comparison as a row of two texts, as token ids: RewardTrainer would drop long texts,
    and adds an end of text that this tokenizer does not have."""
    return [
        {"chosen_ids": list(material.ids[c]), "rejected_ids": list(material.ids[r])}
        for group in groups
        for c in group.chosen
        for r in group.rejected
    ]


def plain_trainer(
    material: Material, params: CriticParams, groups: Sequence[Group], steps: int, clock: StepClock
) -> Any:
    torch.use_deterministic_algorithms(False)
    pairs = plain_pairs(material, groups)
    trainer = RewardTrainer(
        model=backbones.build(
            material.backbone, params, material.tokenizer, material.markers, None
        ),
        args=RewardConfig(
            output_dir=str(material.folder),
            max_steps=steps,
            per_device_train_batch_size=max(1, len(pairs) // steps),
            learning_rate=params.learning_rate,
            weight_decay=params.weight_decay,
            max_length=params.max_length,
            train_sampling_strategy="sequential",
            # Its defaults, bfloat16 and recomputed activations, are slower on a CPU.
            bf16=False,
            gradient_checkpointing=False,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            use_cpu=True,
            dataloader_pin_memory=False,
        ),
        train_dataset=Dataset.from_list(pairs),
        processing_class=material.tokenizer,
        callbacks=[clock],
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def compare_losses(material: Material, params: CriticParams, groups: Sequence[Group]) -> None:
    """With pairs alone the losses are one: of single pairs, and of groups against their pairs."""
    params = dataclasses.replace(params, pointwise_weight=0.0)
    ours = our_trainer(material, params, groups, 1, StepClock())
    plain = plain_trainer(material, params, groups, 1, StepClock())
    single = [Group(chosen=g.chosen[:1], rejected=g.rejected[:1]) for g in groups]
    for name, chosen in {"one pair a group": single, "groups": list(groups)}.items():
        rows = [{"chosen": list(g.chosen), "rejected": list(g.rejected)} for g in chosen]
        with torch.no_grad():
            loss = ours.compute_loss(plain.model, ours.data_collator(rows)).item()
            batch = plain.data_collator(plain_pairs(material, chosen))
            expected = plain.compute_loss(plain.model, batch).item()
        print(
            f"loss without the pointwise term, {name}: {loss:.6f}, RewardTrainer's {expected:.6f}"
        )
        assert abs(loss - expected) < 1e-5


def time_training(
    rows: Sequence[LabelledProblem], options: argparse.Namespace, folder: Path
) -> None:
    base = cpu_params(options)
    set_deterministic(base.threads)
    backbone = backbones.resolve(base)
    tokenizer, markers = backbones.load_tokenizer(backbone, base)
    serialiser = Serialiser(
        tokenizer=tokenizer,
        max_length=base.max_length,
        markers=markers,
        static_facts=base.static_facts,
        code=base.code,
    )
    # Problems with enough programs for whole groups, so that every step has as many comparisons.
    half = max(GROUP_SIZES) // 2
    chosen = []
    for row in random.Random(0).sample(rows, len(rows)):
        programs = collapse([row]).programs
        if half <= sum(program.passed for program in programs) <= len(programs) - half:
            chosen.append(row)
    chosen = chosen[:24]
    pool = collapse(chosen)
    encoded = serialiser.encode([(chosen[p.problem].problem, p.code) for p in pool.programs])
    material = Material(
        backbone=backbone,
        tokenizer=tokenizer,
        markers=markers,
        pool=pool,
        ids=[item.ids for item in encoded],
        folder=folder,
    )
    steps = WARM_UP + options.steps
    runs: list[tuple[str, CriticParams, list[Group], Callable[..., Any]]] = []
    for size in GROUP_SIZES:
        params = dataclasses.replace(
            base,
            programs_per_problem=size,
            problems_per_step=max(1, options.pairs // (size // 2) ** 2),
        )
        groups = draw_groups(
            pool, PHASE, count=steps * params.problems_per_step, size=size, seed="benchmark"
        )
        shape = f"{size // 2} x {size // 2}"
        runs.append((f"{shape}: RewardTrainer", params, groups, plain_trainer))
        runs.append((f"{shape}: CriticTrainer", params, groups, our_trainer))
    print(
        f"\ntraining, {options.pairs} comparisons a step, {options.steps} steps timed after "
        f"{WARM_UP}"
    )
    compare_losses(material, base, runs[0][2][: base.problems_per_step])

    timings: dict[str, list[Timing]] = {name: [] for name, *_ in runs}
    for number in range(options.rounds):
        for name, params, groups, make in runs:
            print(f"training, round {number + 1} of {options.rounds}, {name}", file=sys.stderr)
            clock = StepClock()
            make(material, params, groups, steps, clock).train()
            timings[name].append(clock.timing)

    print("\n" + HEADER.format("pairs/s") + f"{'samples/s':>11}")
    for name, params, groups, make in runs:
        timed = groups[WARM_UP * params.problems_per_step :]
        pairs = sum(group.comparisons for group in timed)
        median = statistics.median(rates(pairs, timings[name]))
        if make is plain_trainer:
            plain = median
        print(f"{table_row(name, pairs, timings[name], plain)}{2 * median:11.1f}")
    print("ratio: to RewardTrainer at the same comparisons; samples: two programs a comparison")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--critic", type=Path, help="a trained critic; by default a new one")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--problems", type=int, default=4, help="whose programs are scored")
    parser.add_argument("--samples", type=int, default=16, help="programs of each")
    parser.add_argument("--steps", type=int, default=2, help="training steps that are timed")
    parser.add_argument("--pairs", type=int, default=16, help="comparisons a training step")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", choices=["scoring", "training"])
    options = parser.parse_args()
    if not (options.data / "HumanEval.jsonl.gz").is_file():
        raise UserError(f"{options.data}: the programs to measure on are not here\n  --data DIR")
    if options.pairs % (max(GROUP_SIZES) // 2) ** 2:
        raise UserError(f"--pairs must be a multiple of {(max(GROUP_SIZES) // 2) ** 2}")
    datasets.disable_progress_bars()
    rows = read_rows(options.data)
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.only != "training":
            critic = options.critic or make_critic(folder / "critic", cpu_params(options))
            time_scoring(critic, rows, options)
        if options.only != "scoring":
            with quiet():
                time_training(rows, options, folder / "training")
    print(f"\n{options.threads} threads, load {load:.1f} before and {os.getloadavg()[0]:.1f} after")


if __name__ == "__main__":
    run_main(main)
