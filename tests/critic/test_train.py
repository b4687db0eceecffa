"""Training end to end on tiny random backbones of each architecture."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from transformers import pipeline

from ouroboros import store
from ouroboros.critic import train as training
from ouroboros.critic.callbacks import Watcher
from ouroboros.critic.dev import DevSet
from ouroboros.critic.params import CriticParams, CurriculumPhase, LoraParams
from ouroboros.critic.scoring import encoded_rewards, load_critic, read_phases
from ouroboros.critic.train import Outputs, train_critic
from ouroboros.errors import UserError
from ouroboros.records import LabelledProblem, to_dict
from tests.critic.tiny_critics import (
    labelled,
    make_tiny_bert,
    make_tiny_byte_encoder,
    make_tiny_decoder,
)
from tests.support.tiny_models import make_tiny_qwen2

TRAIN = [labelled(n, k) for n, k in enumerate(["ppff", "pfns", "ffff", "pppp", "pnnn", "ppsf"])]
DEV = [labelled(n + 10, k) for n, k in enumerate(["ppff", "pfns", "ffff"])]
CURRICULUM = (
    CurriculumPhase(name="balanced", negatives="balanced"),
    CurriculumPhase(name="hard", negatives="hard", learning_rate_scale=0.5),
)
LORA = LoraParams(rank=4, alpha=8.0)


@pytest.fixture(scope="module")
def backbones(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("backbones")
    return {
        "bert": make_tiny_bert(folder / "bert"),
        "qwen2": make_tiny_qwen2(folder / "qwen2"),
        "llama": make_tiny_decoder(folder / "llama", "llama"),
        "roberta": make_tiny_byte_encoder(folder / "roberta", "roberta"),
        "modernbert": make_tiny_byte_encoder(folder / "modernbert", "modernbert"),
    }


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUROBOROS_CACHE", str(tmp_path / "cache"))


def params_of(backbone: Path, **changes: Any) -> CriticParams:
    settings = {
        "steps": 6,
        "learning_rate": 1e-3,
        "problems_per_step": 2,
        "evaluations_per_phase": 2,
        "max_length": 220,
        "threads": 1,
    }
    return CriticParams(backbone=str(backbone), **{**settings, **changes})


def run(
    params: CriticParams,
    folder: Path,
    *,
    train: Sequence[LabelledProblem] = TRAIN,
    dev: Sequence[LabelledProblem] = DEV,
    curriculum: tuple[CurriculumPhase, ...] = CURRICULUM,
) -> dict[str, Any]:
    outputs = Outputs(
        critic=folder / "critic",
        phases=folder / "phases",
        metrics=folder / "m.json",
        curve=folder / "c.csv",
    )
    return train_critic(params=params, curriculum=curriculum, train=train, dev=dev, outputs=outputs)


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("bert", {}),
        ("bert", {"lora": LORA}),
        ("bert", {"dtype": "bfloat16"}),
        ("bert", {"frozen_layers": 1}),
        ("qwen2", {}),
        ("qwen2", {"lora": LORA, "dtype": "bfloat16", "gradient_checkpointing": True}),
        ("llama", {"lora": LORA}),
        ("roberta", {"max_length": 254}),
        ("roberta", {"lora": LORA, "auxiliary_weight": 0.5}),
        ("modernbert", {}),
        ("modernbert", {"lora": LORA, "auxiliary_weight": 0.5}),
        ("bert", {"auxiliary_weight": 0.5}),
        ("qwen2", {"auxiliary_weight": 0.5}),
        ("qwen2", {"lora": LORA, "auxiliary_weight": 0.5}),
        ("bert", {"frozen_layers": "all"}),
        ("qwen2", {"frozen_layers": "all", "auxiliary_weight": 0.5}),
        ("llama", {"frozen_layers": "all"}),
        ("llama", {"frozen_layers": "all", "dtype": "bfloat16"}),
        ("bert", {"frozen_layers": "all", "dtype": "bfloat16", "auxiliary_weight": 0.5}),
        ("roberta", {"frozen_layers": "all", "max_length": 254}),
        ("modernbert", {"frozen_layers": "all", "auxiliary_weight": 0.5}),
        ("qwen2", {"frozen_layers": "all", "auxiliary_weight": 0.5, "likelihood": True}),
    ],
)
def test_a_critic_trains_saves_reloads_and_scores_the_same(
    backbones: dict[str, Path], tmp_path: Path, kind: str, changes: dict[str, Any]
) -> None:
    metrics = run(params_of(backbones[kind], **changes), tmp_path)
    critic = load_critic(tmp_path / "critic")
    dev = DevSet.of(DEV, critic.serialiser, 4)

    def score(items: Any) -> list[float]:
        return encoded_rewards(
            critic.model,
            items,
            pad_token_id=critic.serialiser.tokenizer.pad_token_id,
            tokens_per_forward=64,
            likelihood_weight=critic.likelihood_weight,
        )

    found = dev.evaluate(score)
    # Merging adapters into bfloat16 weights rounds them; everything else is the same model.
    if changes.get("dtype") != "bfloat16":
        assert found["best_of_k"] == pytest.approx(metrics["kept"]["dev_best_of_k"], abs=1e-5)
    items = [(row.problem, a.candidate.code) for row in DEV for a in row.attempts]
    scores = critic.score(items)
    assert all(0 < item.p_pass < 1 for item in scores)
    # In bfloat16 a sum rounds differently with what shares its batch.
    tolerance = 0.05 if changes.get("lora") and changes.get("dtype") == "bfloat16" else 1e-4
    assert [s.reward for s in scores] == pytest.approx(
        score(critic.serialiser.encode(items)), abs=tolerance
    )
    if changes.get("frozen_layers") == "all":
        assert len({s.reward for s in scores}) > 1, "it learnt nothing"
    ranked = sorted(scores, key=lambda s: s.reward)
    assert [s.p_pass for s in ranked] == sorted(s.p_pass for s in ranked)


def test_the_card_says_what_the_critic_is(backbones: dict[str, Path], tmp_path: Path) -> None:
    metrics = run(params_of(backbones["bert"]), tmp_path)
    card = (tmp_path / "critic" / "README.md").read_text(encoding="utf-8")
    _, front, text = card.split("---\n", 2)
    assert yaml.safe_load(front)["pipeline_tag"] == "text-classification"
    assert f"on the dev problems (phase {metrics['kept']['phase']})" in text.lower()
    assert f"| pairs in the right order | {metrics['kept']['dev_pair_accuracy']:.1%} |" in text
    assert f"| Brier score | {metrics['calibration']['brier']:.3f} |" in text
    digest = store.digest([to_dict(row) for row in TRAIN])
    assert f"| train rows sha256 | {digest} |" in text
    assert "| train problems | 6 |" in text
    assert "| learning rate | 0.001 |" in text
    for part in ("## Intended use", "## Limits", "AutoModelForSequenceClassification"):
        assert part in text
    # Its three lines work as they stand, in a project's root.
    lines = text.split("```python\n")[1].split("```")[0].replace("models/", "")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        names: dict[str, Any] = {}
        exec(lines, names)
    assert names["model"].config.num_labels == 1
    assert names["tokenizer"]("def f(): pass")["input_ids"]


def test_every_phase_leaves_a_critic(backbones: dict[str, Path], tmp_path: Path) -> None:
    metrics = run(params_of(backbones["bert"]), tmp_path)
    critics, kept = read_phases(tmp_path / "phases", tmp_path / "critic")
    assert list(critics) == ["balanced", "hard"]
    assert kept == metrics["kept"]["phase"]
    assert critics[kept] == tmp_path / "critic"
    for name, path in critics.items():
        critic = load_critic(path)
        found = DevSet.of(DEV, critic.serialiser, 4).evaluate(
            lambda items, critic=critic: encoded_rewards(
                critic.model,
                items,
                pad_token_id=critic.serialiser.tokenizer.pad_token_id,
                tokens_per_forward=64,
            )
        )
        best = metrics["phases"][name]["best_dev_best_of_k"]
        assert found["best_of_k"] == pytest.approx(best, abs=1e-5)
    with pytest.raises(UserError, match="the train_critic stage writes it"):
        read_phases(tmp_path / "critic", tmp_path / "critic")


@pytest.mark.parametrize("kind", ["bert", "qwen2"])
def test_plain_transformers_gives_the_same_rewards(
    backbones: dict[str, Path], tmp_path: Path, kind: str
) -> None:
    run(params_of(backbones[kind]), tmp_path)
    critic = load_critic(tmp_path / "critic")
    plain = pipeline("text-classification", model=str(tmp_path / "critic"), device="cpu")
    items = [(row.problem, a.candidate.code) for row in DEV for a in row.attempts]
    texts = [critic.serialiser.text(*item) for item in items]
    theirs = [answer["score"] for answer in plain(texts, function_to_apply="none")]
    assert [score.reward for score in critic.score(items)] == pytest.approx(theirs, abs=1e-4)


@pytest.mark.parametrize("changes", [{}, {"lora": LORA}])
def test_the_same_inputs_give_the_same_bytes(
    backbones: dict[str, Path], tmp_path: Path, changes: dict[str, Any]
) -> None:
    for name in ("one", "other"):
        run(params_of(backbones["bert"], **changes), tmp_path / name)
    assert store.folder_digest(tmp_path / "one") == store.folder_digest(tmp_path / "other")
    run(params_of(backbones["bert"], seed=1, **changes), tmp_path / "third")
    assert store.folder_digest(tmp_path / "one") != store.folder_digest(tmp_path / "third")


def test_outputs_name_no_place_of_this_machine(backbones: dict[str, Path], tmp_path: Path) -> None:
    params = replace(params_of(backbones["bert"]), backbone="backbone")
    here = tmp_path / "project"
    here.mkdir()
    (here / "backbone").symlink_to(backbones["bert"])
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(here)
        run(params, here)
    for path in [here / "m.json", here / "c.csv", *(here / "critic").iterdir()]:
        assert str(tmp_path.parent).encode() not in path.read_bytes(), path.name
    assert {path.name for path in (here / "critic").iterdir()} == {
        "README.md", "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json",
    }  # fmt: skip


@pytest.mark.parametrize("killed_at", [2, 3, 5])
@pytest.mark.parametrize("changes", [{}, {"lora": LORA}])
def test_a_stopped_training_resumes_and_ends_with_the_same_bytes(
    backbones: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, Any],
    killed_at: int,
) -> None:
    params = params_of(backbones["bert"], **changes)
    run(params, tmp_path / "whole")
    trained: list[int] = []
    on_log = Watcher.on_log

    def stop(self: Watcher, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        on_log(self, args, state, control, **kwargs)
        if "loss" in kwargs["logs"]:
            trained.append(self._first_step + state.global_step)
            if len(trained) == killed_at:
                raise KeyboardInterrupt

    monkeypatch.setattr(Watcher, "on_log", stop)
    with pytest.raises(KeyboardInterrupt):
        run(params, tmp_path / "resumed")
    run(params, tmp_path / "resumed")
    # Checkpoints are at steps 2, 3, 5 and 6; a step is logged before its checkpoint is written.
    last = max((step for step in (2, 3, 5) if step < killed_at), default=0)
    assert trained == [*range(1, killed_at + 1), *range(last + 1, 7)]
    assert store.folder_digest(tmp_path / "whole") == store.folder_digest(tmp_path / "resumed")
    assert not list((tmp_path / "cache" / "training").iterdir()), "checkpoints are removed"


def test_a_checkpoint_cut_off_by_a_kill_is_thrown_away(tmp_path: Path) -> None:
    checkpoints = training.Checkpoints(tmp_path, lambda model: {}, "best_of_k")
    for step, whole in ((2, True), (4, False)):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        if whole:
            (folder / "complete.json").write_text('[{"step": 2, "best_of_k": 0.5}]')
    assert checkpoints.resume() == tmp_path / "checkpoint-2"
    assert not (tmp_path / "checkpoint-4").exists()
    assert checkpoints.best == {"step": 2, "best_of_k": 0.5}


def test_the_best_phase_is_kept_not_the_last(
    backbones: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([0.1, 0.4, 0.6, 0.5, 0.2])  # untrained, then two evaluations a phase

    def evaluate(self: DevSet, score: Any) -> dict[str, float]:
        return {"best_of_k": next(answers), "pair_accuracy": 0.5}

    monkeypatch.setattr(DevSet, "evaluate", evaluate)
    metrics = run(params_of(backbones["bert"]), tmp_path)
    assert metrics["kept"]["phase"] == "balanced"
    assert metrics["kept"]["step"] == 3
    assert metrics["phases"]["hard"]["best_dev_best_of_k"] == 0.5
    assert metrics["baseline"]["dev_untrained_best_of_k"] == 0.1


def test_training_learns_and_counts(backbones: dict[str, Path], tmp_path: Path) -> None:
    rows = [labelled(n, "ppffs") for n in range(8)]
    dev = [labelled(n, "ppffs") for n in range(20, 24)]
    params = params_of(backbones["bert"], steps=60, learning_rate=3e-3, evaluations_per_phase=1)
    metrics = run(params, tmp_path, train=rows, dev=dev, curriculum=CURRICULUM[:1])
    assert metrics["kept"]["dev_best_of_k"] > metrics["baseline"]["dev_random"] + 0.3
    assert metrics["data"]["train_programs"] == 40
    assert metrics["data"]["train_passing_programs"] == 16
    assert metrics["data"]["dev_attempts"] == 20
    assert json.loads((tmp_path / "m.json").read_text()) == metrics
    curve = list(csv.DictReader((tmp_path / "c.csv").open()))
    assert [int(row["step"]) for row in curve] == list(range(1, 61))
    assert float(curve[-1]["loss"]) < float(curve[0]["loss"])


def test_cut_programs_are_counted(backbones: dict[str, Path], tmp_path: Path) -> None:
    metrics = run(params_of(backbones["bert"], max_length=44), tmp_path)
    assert metrics["data"]["train_prompts_cut"] > 0
    assert metrics["data"]["train_longest_tokens"] <= 44


NO_PASS = [labelled(n, "ffff") for n in range(4)]


@pytest.mark.parametrize(
    ("train", "dev", "changes", "message"),
    [
        (NO_PASS, DEV, {}, "none of the 16 train candidates passes"),
        ([labelled(0, "pp")], DEV, {}, "all of the 2 train candidates pass"),
        (TRAIN, NO_PASS, {}, "no dev problem of 4 has both"),
        (TRAIN, [], {}, "no dev problem of 0 has both"),
        (TRAIN, DEV, {"max_length": 16}, "too short for any of the 24 train programs"),
        (TRAIN, DEV, {"max_length": 999}, "reads at most 256 tokens"),
        (TRAIN, DEV, {"backbone": "packaged:nothing"}, "unknown packaged model"),
        (TRAIN, DEV, {"backbone": "no/such/folder"}, "was not found"),
        (TRAIN, DEV, {"lora": LoraParams(targets=("nothing",))}, "critic.lora.targets"),
        (TRAIN, DEV, {"frozen_layers": 7}, "has 2 layers"),
    ],
)
def test_what_cannot_work_stops_before_training(
    backbones: dict[str, Path],
    tmp_path: Path,
    train: list[LabelledProblem],
    dev: list[LabelledProblem],
    changes: dict[str, Any],
    message: str,
) -> None:
    params = replace(params_of(backbones["bert"]), **changes)
    with pytest.raises(UserError, match=message):
        run(params, tmp_path, train=train, dev=dev)
    assert not (tmp_path / "critic").exists()


@pytest.mark.parametrize("kind", ["bert", "roberta", "modernbert", "llama", "qwen2"])
def test_weights_that_do_not_fit_their_config_stop_before_training(
    kind: str, backbones: dict[str, Path], tmp_path: Path
) -> None:
    """transformers itself would fill the gap with random weights and go on."""
    folder = shutil.copytree(backbones[kind], tmp_path / "backbone")
    config = json.loads((folder / "config.json").read_text())
    config["num_hidden_layers"] += 1
    config.pop("layer_types", None)
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match=r"holds no weights for [0-9]+ of its parts"):
        run(params_of(folder), tmp_path)
    assert not (tmp_path / "critic").exists()


def test_an_unreachable_hub_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backbones: dict[str, Path]
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    params = replace(params_of(backbones["bert"]), backbone="nobody/no-such-model", revision="abc")
    with pytest.raises(UserError, match="nobody/no-such-model") as caught:
        run(params, tmp_path)
    assert "critic.backbone" in str(caught.value)
