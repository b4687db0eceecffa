"""Training the critic: phases of the curriculum, choice of the checkpoint, calibration, outputs.

Progress lives outside the stage's outputs, in `<cache>/training/<digest of everything that
determines the critic>`: a killed run resumes from its last checkpoint and ends with the same bytes.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ouroboros import store
from ouroboros.critic import backbone as backbones
from ouroboros.critic.backbone import Backbone
from ouroboros.critic.callbacks import Checkpoints, Watcher
from ouroboros.critic.card import model_card
from ouroboros.critic.dev import DevSet
from ouroboros.critic.learners import HeadAlone, Learner, WholeModel
from ouroboros.critic.pairs import collapse, draw_groups
from ouroboros.critic.params import (
    CriticParams,
    CurriculumPhase,
    check_curriculum,
    steps_of_phases,
)
from ouroboros.critic.report import (
    curve,
    dev_metrics,
    final_metrics,
    phase_report,
    rounded,
    run_params,
)
from ouroboros.critic.scoring import (
    FORMAT,
    PHASES,
    device,
    load_critic,
    quiet,
    set_deterministic,
)
from ouroboros.critic.serialise import Serialiser
from ouroboros.critic.trainer import GroupCollator, make_trainer
from ouroboros.errors import UserError
from ouroboros.jsonl import write_json, write_lines
from ouroboros.progress import Progress
from ouroboros.records import LabelledProblem, to_dict
from ouroboros.tracking import CriticRun

LIBRARIES = ("torch", "transformers", "trl", "peft", "accelerate", "tokenizers")


@dataclass(frozen=True, kw_only=True, slots=True)
class Outputs:
    """The stage's output paths.

    Attributes:
        critic: a folder, the critic.
        phases: a folder with the critics of the phases that were not kept, and `PHASES` naming all.
        metrics, curve: JSON and CSV.
    """

    critic: Path
    phases: Path
    metrics: Path
    curve: Path


def check_rows(train: Sequence[LabelledProblem], dev: Sequence[LabelledProblem]) -> None:
    """Stop before any work on data nothing can be learnt or chosen from.

    Raises:
        UserError: no pass at all, or no failure at all, in train; no dev problem with both.
    """
    verdicts = {a.verdict.passed for row in train for a in row.attempts}
    total = sum(len(row.attempts) for row in train)
    if True not in verdicts:
        raise UserError(
            f"none of the {total} train candidates passes, so there is nothing to learn from\n"
            "  draw more samples (generate.n), use a stronger generator or easier problems"
        )
    if False not in verdicts:
        raise UserError(
            f"all of the {total} train candidates pass, so there is nothing to learn from\n"
            "  use a weaker generator or harder problems"
        )
    if not any(len({a.verdict.passed for a in row.samples}) == 2 for row in dev):
        raise UserError(
            f"no dev problem of {len(dev)} has both passing and failing samples, so no checkpoint "
            "can be chosen\n  raise split.dev_fraction or generate.n"
        )


def train_critic(
    *,
    params: CriticParams,
    curriculum: tuple[CurriculumPhase, ...],
    train: Sequence[LabelledProblem],
    dev: Sequence[LabelledProblem],
    outputs: Outputs,
    start_run: Callable[[str], CriticRun] | None = None,
) -> dict[str, Any]:
    """Train a critic and write it with its metrics and training curve.

    Args:
        start_run: given the training's digest, opens its MLflow run; called when all checks are
            passed. Null leaves MLflow out.

    Returns:
        The metrics, as written.

    Raises:
        UserError: the data, the backbone or a param makes training impossible (before any of it),
            or training diverged.
    """
    check_curriculum(curriculum)
    check_rows(train, dev)
    set_deterministic(params.threads)
    backbone = backbones.resolve(params)
    backbones.check_max_length(backbone, params)
    digest = training_digest(params, curriculum, backbone.identity, train, dev)
    work = store.cache_dir() / "training" / digest
    work.mkdir(parents=True, exist_ok=True)
    with quiet():
        training = _Training(
            params=params, curriculum=curriculum, backbone=backbone, train=train, dev=dev, work=work
        )
        run = start_run(digest) if start_run is not None else None
        metrics = training.run(outputs, run)
        if run is not None:
            run.finish(
                critic=store.folder_digest(outputs.critic),
                metrics=final_metrics(metrics),
                artifacts=[outputs.metrics, outputs.curve],
            )
    shutil.rmtree(work)
    return metrics


def training_digest(
    params: CriticParams,
    curriculum: tuple[CurriculumPhase, ...],
    backbone: str,
    train: Sequence[LabelledProblem],
    dev: Sequence[LabelledProblem],
) -> str:
    """SHA-256 of everything that determines the critic: data, params, weights, code, libraries."""
    package = Path(__file__).parent
    sources = [*sorted(package.glob("*.py")), package.parent / "static_analysis.py"]
    return store.digest(
        {
            "params": asdict(params),
            "curriculum": [asdict(phase) for phase in curriculum],
            "backbone": backbone,
            "train": store.digest([to_dict(row) for row in train]),
            "dev": store.digest([to_dict(row) for row in dev]),
            "code": [hashlib.sha256(path.read_bytes()).hexdigest() for path in sources],
            "libraries": {name: importlib.metadata.version(name) for name in LIBRARIES},
            "device": device().type,
        }
    )


class _Training:
    """One training run: what its phases share."""

    def __init__(
        self,
        *,
        params: CriticParams,
        curriculum: tuple[CurriculumPhase, ...],
        backbone: Backbone,
        train: Sequence[LabelledProblem],
        dev: Sequence[LabelledProblem],
        work: Path,
    ) -> None:
        self._params, self._curriculum, self._backbone = params, curriculum, backbone
        self._work = work
        self._run: CriticRun | None = None
        self._steps = steps_of_phases(params.steps, curriculum)
        self._digests = {
            f"{name}_rows_sha256": store.digest([to_dict(row) for row in rows])
            for name, rows in (("train", train), ("dev", dev))
        }
        self._tokenizer, self._markers = backbones.load_tokenizer(backbone, params)
        serialiser = Serialiser(
            tokenizer=self._tokenizer,
            max_length=params.max_length,
            markers=self._markers,
            static_facts=params.static_facts,
            code=params.code,
        )
        self._pool = collapse(train)
        self._encoded = serialiser.encode(
            [(train[program.problem].problem, program.code) for program in self._pool.programs]
        )
        self._dev = DevSet.of(dev, serialiser, params.selection_k, params.dev_samples)
        self._check_lengths()
        parts = (backbone, params, self._tokenizer, self._markers)
        self._learner: Learner = (
            WholeModel(*parts)
            if params.frozen_layers != "all"
            else HeadAlone(*parts, train=self._encoded, others=self._dev.items())
        )

    def run(self, outputs: Outputs, run: CriticRun | None) -> dict[str, Any]:
        """Train every phase (those not finished by an earlier run), then write the outputs."""
        self._run = run
        baseline = self._stored("baseline.json", self._baseline)
        phases: list[dict[str, Any]] = []
        kept: dict[str, Any] | None = None
        for index, phase in enumerate(self._curriculum):
            result = self._phase(index, phase, kept)
            phases.append(result)
            if kept is None or result["best"]["best_of_k"] > kept["best"]["best_of_k"]:
                kept = result
        assert kept is not None
        figures = self._save(kept, baseline, outputs.critic)
        self._save_others(phases, kept, baseline, outputs.phases)
        metrics = {
            "baseline": baseline,
            "phases": {result["name"]: phase_report(result) for result in phases},
            "kept": {
                "phase": kept["name"],
                "step": kept["first_step"] + kept["best"]["step"],
                "dev_best_of_k": kept["best"]["best_of_k"],
                "dev_pair_accuracy": kept["best"]["pair_accuracy"],
            },
            "calibration": figures,
            "data": self._counts(),
        }
        metrics = rounded(metrics)
        write_json(outputs.metrics, metrics)
        write_lines(outputs.curve, curve(phases, baseline))
        return metrics

    def _phase(
        self, index: int, phase: CurriculumPhase, kept: dict[str, Any] | None
    ) -> dict[str, Any]:
        folder = self._work / f"phase-{index}"
        folder.mkdir(exist_ok=True)
        first_step, steps = sum(self._steps[:index]), self._steps[index]
        done = folder / "done.json"
        if done.is_file():
            result: dict[str, Any] = json.loads(done.read_text(encoding="utf-8"))
            self._log_dev(first_step, result["history"])
            return result
        model = self._learner.model(self._checkpoint(kept) if kept is not None else None)
        rewards = None
        if phase.negatives == "hard":
            rewards = self._stored(
                f"phase-{index}/mined.json",
                lambda: self._mine(model, phase.name),
            )
        groups = draw_groups(
            self._pool,
            phase,
            count=steps * self._params.problems_per_step,
            size=self._params.programs_per_problem,
            seed=f"{self._params.seed}/{index}",
            rewards=rewards,
        )
        checkpoints = Checkpoints(folder, self._evaluate_checkpoint, "best_of_k")
        resumed = checkpoints.resume()
        self._log_dev(first_step, checkpoints.history)
        done_steps = int(checkpoints.history[-1]["step"]) if resumed else 0
        with Progress(steps, f"train {phase.name}", "steps", done=done_steps) as progress:
            trainer = make_trainer(
                model=model,
                tokenizer=self._tokenizer,
                collator=GroupCollator(
                    ids=[item.ids for item in self._encoded],
                    passed=[program.passed for program in self._pool.programs],
                    faults=[program.fault for program in self._pool.programs],
                    pad_token_id=self._tokenizer.pad_token_id,
                    tokens_per_forward=self._params.tokens_per_forward,
                    states=self._learner.states,
                ),
                groups=groups,
                params=self._params,
                phase=phase,
                steps=steps,
                folder=folder,
                callbacks=[checkpoints, Watcher(progress, checkpoints, first_step, self._run)],
            )
            trainer.train(resume_from_checkpoint=str(resumed) if resumed else None)
        result = {
            "index": index,
            "name": phase.name,
            "first_step": first_step,
            "steps": steps,
            "best": checkpoints.best,
            "history": checkpoints.history,
            "log": [entry for entry in trainer.state.log_history if "loss" in entry],
            "groups": len(groups),
            "groups_with_pairs": sum(group.comparisons > 0 for group in groups),
            "comparisons": sum(group.comparisons for group in groups),
            "programs": sum(len(group.chosen) + len(group.rejected) for group in groups),
        }
        if self._run is not None:
            self._run.flush()
        _write_atomically(done, result)
        checkpoints.keep_only_best()
        return result

    def _stored(self, name: str, compute: Callable[[], Any]) -> Any:
        """A small result that is computed once and kept beside the checkpoints."""
        path = self._work / name
        if not path.is_file():
            _write_atomically(path, compute())
        return json.loads(path.read_text(encoding="utf-8"))

    def _checkpoint(self, result: dict[str, Any]) -> Path:
        return self._work / f"phase-{result['index']}" / f"checkpoint-{result['best']['step']}"

    def _mine(self, model: Any, phase: str) -> list[float]:
        with Progress(len(self._encoded), f"{phase}: mine negatives", "programs") as progress:
            return self._learner.rewards(model, self._encoded, progress.advance)

    def _evaluate(self, model: Any) -> dict[str, float]:
        return self._dev.evaluate(lambda items: self._learner.rewards(model, items))

    def _evaluate_checkpoint(self, model: Any) -> dict[str, float]:
        # Before the checkpoint counts as whole: a run resumed from it logs later steps alone.
        if self._run is not None:
            self._run.flush()
        return self._evaluate(model)

    def _log_dev(self, first_step: int, history: Sequence[dict[str, float]]) -> None:
        """Log the evaluations of an earlier run, which may have been killed before it did."""
        if self._run is not None:
            for figures in history:
                self._run.log(first_step + int(figures["step"]), dev_metrics(figures))

    def _baseline(self) -> dict[str, float]:
        """Dev figures without training: random choice, the oracle, and the new, random head."""
        untrained = self._evaluate(self._learner.model(None))
        return {
            "dev_random": self._dev.references()["random"],
            "dev_oracle_at_k": self._dev.references()["oracle_at_k"],
            "dev_untrained_best_of_k": untrained["best_of_k"],
            "dev_untrained_pair_accuracy": untrained["pair_accuracy"],
        }

    def _check_lengths(self) -> None:
        if all(item.code_cut for item in self._encoded):
            raise UserError(
                f"critic.max_length is {self._params.max_length}, too short for any of the "
                f"{len(self._encoded)} train programs\n  raise it"
            )

    def _counts(self) -> dict[str, Any]:
        programs = self._pool.programs
        return {
            "train_problems": len(self._pool.by_problem),
            "train_problems_with_both": len(self._pool.mixed()),
            "train_attempts": self._pool.attempts,
            "train_contradictory_attempts": self._pool.contradictory,
            "train_programs": len(programs),
            "train_made_programs": sum(program.made for program in programs),
            "train_passing_programs": sum(program.passed for program in programs),
            "train_prompts_cut": sum(item.prompt_cut for item in self._encoded),
            "train_programs_cut": sum(item.code_cut for item in self._encoded),
            "train_longest_tokens": max(len(item.ids) for item in self._encoded),
            **self._dev.counts(),
        }

    def _save_others(
        self,
        phases: Sequence[dict[str, Any]],
        kept: dict[str, Any],
        baseline: dict[str, float],
        target: Path,
    ) -> None:
        """Write what the phases that were not kept ended with, so that they can be judged too."""
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        for result in phases:
            if result is not kept:
                self._save(result, baseline, target / result["name"])
        names = [result["name"] for result in phases]
        write_json(target / PHASES, {"kept": kept["name"], "phases": names})

    def _save(
        self, result: dict[str, Any], baseline: dict[str, float], target: Path
    ) -> dict[str, Any]:
        """Write the critic that a phase ended with; returns the figures of its calibration."""
        draft = self._work / "critic"
        shutil.rmtree(draft, ignore_errors=True)
        facts: dict[str, Any] = {
            "format": FORMAT,
            "slope": 1.0,
            "intercept": 0.0,
            "max_length": self._params.max_length,
            "markers": self._markers,
            "static_facts": self._params.static_facts,
            "code": self._params.code,
            "tokens_per_forward": self._params.tokens_per_forward,
            "threads": self._params.threads,
        }
        model = self._learner.model(self._checkpoint(result))
        facts["likelihood_weight"] = self._learner.likelihood_weight(model)
        backbones.save(
            self._learner.whole(model),
            self._tokenizer,
            draft,
            name=self._params.backbone,
            facts=facts,
        )
        # Calibrated as it will be used: merging adapters and storing in bfloat16 shift rewards.
        critic = load_critic(draft)
        scaling, figures = self._dev.calibrate(
            lambda items: self._learner.saved_rewards(critic, items)
        )
        config = json.loads((draft / "config.json").read_text(encoding="utf-8"))
        config["ouroboros"] |= asdict(scaling)
        write_json(draft / "config.json", config)
        card = model_card(
            params=run_params(self._params, self._curriculum),
            revision=self._params.revision,
            phase=result["name"],
            dev=result["best"],
            baseline=baseline,
            calibration=figures,
            scaling=asdict(scaling),
            likelihood_weight=facts["likelihood_weight"],
            data={**self._counts(), **self._digests},
        )
        write_lines(draft / "README.md", [card])
        shutil.rmtree(target, ignore_errors=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(draft, target)
        return figures


def _write_atomically(path: Path, value: object) -> None:
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(value), encoding="utf-8")
    os.replace(temporary, path)
