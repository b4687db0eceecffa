"""What the critic is and how it is trained: the params blocks `critic` and `curriculum`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from ouroboros.params import require


@dataclass(frozen=True, kw_only=True, slots=True)
class LoraParams:
    """Low-rank adapters instead of full fine-tuning (arXiv 2106.09685); merged when saved.

    Attributes:
        rank: rank of each adapter.
        alpha: scale; the update is weighted alpha / rank.
        targets: names of the linear layers adapted; null for every linear layer of the body.
    """

    rank: int = 16
    alpha: float = 32.0
    targets: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        require(self.rank >= 1, f"lora.rank must be at least 1, found {self.rank}")
        require(self.alpha > 0, f"lora.alpha must be above 0, found {self.alpha}")
        require(self.targets != (), "lora.targets must be null or name at least one layer")


@dataclass(frozen=True, kw_only=True, slots=True)
class CriticParams:
    """The params block `critic`.

    Science:
        seed: of the new head, the order of problems and the programs drawn.
        pointwise_weight: weight of the pass/fail cross-entropy beside the pairwise loss, whose
            weight is 1. 0 trains on pairs alone.
        pairwise_weight: weight of the pairwise loss. 0 trains on pass/fail alone.
        auxiliary_weight: weight of a second question put to the same states, which kind of verdict
            a program gets (`pairs.FAULTS`), as fault-aware rankers do (CodeRanker, arXiv
            2206.03865). Its outputs are thrown away when the critic is saved. 0 leaves it out.
        likelihood: whether the mean log-probability per token that the frozen backbone itself gives
            the program joins the inputs of the head (`likelihood`); for `frozen_layers: all`.
        code: what is read of a program: "normalised" (formatting, comments, docstrings and
            top-level demonstration calls removed) or "source" (as it is).
        static_facts: whether facts known without running are written into the text.
        markers: whether line breaks, indentation and capitals are written as tokens of their own:
            "auto" does so exactly where the backbone's tokenizer would lose them.
        selection_k: a checkpoint is chosen by dev best-of-k at this k (lowered to the number of
            samples where there are fewer).
        warmup_fraction: share of a phase's steps over which the learning rate rises.
        weight_decay: AdamW's.
        dropout: whether the backbone's dropout stays on in training.

    Scale:
        backbone: "packaged:minilm-l6", "packaged:smollm2-135m-instruct", a folder, or a model on
            the hub; anything `AutoModelForSequenceClassification` loads.
        revision: the hub commit; null for the other sources.
        dtype: "bfloat16" trains in mixed precision (adapters and optimizer stay in float32).
        max_length: tokens the critic reads of a prompt with its program.
        steps: optimizer steps over all phases.
        problems_per_step: problems in one step; each gives one group of programs.
        programs_per_problem: most programs of one problem in one step, passes and failures.
        evaluations_per_phase: how often a phase is evaluated on dev, and a checkpoint kept.
        dev_samples: a checkpoint is chosen, and p_pass calibrated, on at most so many samples of
            each dev problem, from the first; null takes all.
        learning_rate: peak; it falls linearly to zero within each phase.
        lora: adapters; null trains every weight.
        frozen_layers: how many of the backbone's lower layers keep their weights. 0 trains all.
            "all" trains the head alone, on states computed once (`states`): seconds for what takes
            minutes.
        gradient_checkpointing: recompute activations, for memory.
        tokens_per_forward: padded tokens encoded at once; a step with more is cut into several
            passes, which does not change its loss.
        threads: CPU threads. Part of the critic's identity: sums differ with their number.
    """

    seed: int = 0
    pointwise_weight: float = 0.5
    pairwise_weight: float = 1.0
    auxiliary_weight: float = 0.0
    likelihood: bool = False
    code: Literal["normalised", "source"] = "normalised"
    static_facts: bool = True
    markers: Literal["auto", "always", "never"] = "auto"
    selection_k: int = 4
    warmup_fraction: float = 0.1
    weight_decay: float = 0.01
    dropout: bool = False

    backbone: str
    revision: str | None = None
    dtype: Literal["float32", "bfloat16"] = "float32"
    max_length: int = 384
    steps: int
    problems_per_step: int = 8
    programs_per_problem: int = 4
    evaluations_per_phase: int = 3
    dev_samples: int | None = None
    learning_rate: float
    lora: LoraParams | None = None
    frozen_layers: int | Literal["all"] = 0
    gradient_checkpointing: bool = False
    tokens_per_forward: int = 4096
    threads: int = 2

    def __post_init__(self) -> None:
        for name, low in {
            "max_length": 16,
            "steps": 1,
            "problems_per_step": 1,
            "programs_per_problem": 2,
            "evaluations_per_phase": 1,
            "selection_k": 1,
            "tokens_per_forward": 1,
            "threads": 1,
            "seed": 0,
        }.items():
            value = getattr(self, name)
            require(value >= low, f"{name} must be at least {low}, found {value}")
        require(
            self.dev_samples is None or self.dev_samples >= 2,
            f"dev_samples must be null or at least 2, found {self.dev_samples}",
        )
        require(
            self.frozen_layers == "all" or self.frozen_layers >= 0,
            f"frozen_layers must be all, or at least 0, found {self.frozen_layers}",
        )
        require(
            self.learning_rate > 0, f"learning_rate must be above 0, found {self.learning_rate}"
        )
        for name in ("pointwise_weight", "pairwise_weight", "auxiliary_weight", "weight_decay"):
            value = getattr(self, name)
            require(value >= 0, f"{name} must not be negative, found {value}")
        require(
            self.pointwise_weight + self.pairwise_weight > 0,
            "pointwise_weight and pairwise_weight must not both be 0",
        )
        require(
            0 <= self.warmup_fraction < 1,
            f"warmup_fraction must be in [0, 1), found {self.warmup_fraction}",
        )
        require(
            not self.likelihood or self.frozen_layers == "all",
            "likelihood needs frozen_layers: all; a body that is trained is no language model",
        )
        require(
            not (self.lora and self.frozen_layers),
            "frozen_layers must be 0 with lora, which freezes every layer itself",
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class CurriculumPhase:
    """One entry of the params block `curriculum`, a list of phases trained one after another.

    Attributes:
        name: shown in metrics and plots; letters, digits, - and _.
        negatives: how failures are drawn: "balanced" takes them at random; "hard" mines them with
            the critic as it stands when the phase begins.
        made_fraction: of the failures, the share drawn among made ones (mutants, programs under a
            wrong prompt), where there are any; the other shares below are of what remains.
        hard_fraction: of the real failures in a hard phase, the share drawn among those the
            critic scores highest.
        near_miss_fraction: the share drawn among failures that pass at least one test. What hard
            and near-miss leave is drawn at random (easy failures, so that what was learnt stays).
        hard_cap: per problem, how many of the highest-scored failures count as hard.
        step_share: this phase's share of `critic.steps`, relative to the other phases.
        learning_rate_scale: times `critic.learning_rate`.
    """

    name: str
    negatives: Literal["balanced", "hard"]
    made_fraction: float = 0.5
    hard_fraction: float = 0.5
    near_miss_fraction: float = 0.25
    hard_cap: int = 8
    step_share: float = 1.0
    learning_rate_scale: float = 1.0

    def __post_init__(self) -> None:
        require(
            re.fullmatch(r"[A-Za-z0-9_-]+", self.name) is not None,
            f"name must be letters, digits, - and _, found {self.name!r}",
        )
        for name in ("made_fraction", "hard_fraction", "near_miss_fraction"):
            value = getattr(self, name)
            require(0 <= value <= 1, f"{name} must be in [0, 1], found {value}")
        require(
            self.hard_fraction + self.near_miss_fraction <= 1,
            "hard_fraction + near_miss_fraction must not be above 1",
        )
        require(self.hard_cap >= 1, f"hard_cap must be at least 1, found {self.hard_cap}")
        require(self.step_share > 0, f"step_share must be above 0, found {self.step_share}")
        require(
            self.learning_rate_scale > 0,
            f"learning_rate_scale must be above 0, found {self.learning_rate_scale}",
        )


def check_curriculum(phases: tuple[CurriculumPhase, ...]) -> None:
    """Raise `InputError` unless there is a phase and every name stands once."""
    require(len(phases) > 0, "curriculum: needs at least one phase")
    names = [phase.name for phase in phases]
    for name in names:
        require(names.count(name) == 1, f"curriculum: two phases are named {name!r}")


def steps_of_phases(steps: int, phases: tuple[CurriculumPhase, ...]) -> list[int]:
    """Divide `steps` among the phases by their shares; at least one each, largest remainder."""
    total = sum(phase.step_share for phase in phases)
    exact = [steps * phase.step_share / total for phase in phases]
    given = [max(1, int(value)) for value in exact]
    order = sorted(range(len(phases)), key=lambda i: (int(exact[i]) - exact[i], i))
    for index in order:
        if sum(given) >= steps:
            break
        given[index] += 1
    return given
