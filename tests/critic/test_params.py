"""Params of the critic and the curriculum: what is refused, and with what message."""

from __future__ import annotations

from pathlib import Path

import pytest

from ouroboros.critic.params import (
    CriticParams,
    CurriculumPhase,
    check_curriculum,
    steps_of_phases,
)
from ouroboros.errors import InputError
from ouroboros.params import load_params

ROOT = Path(__file__).resolve().parents[2]


def write(folder: Path, critic: str, curriculum: str) -> Path:
    (folder / "params").mkdir()
    (folder / "params.yaml").write_text(f"profile: p\ncritic: {critic}\ncurriculum: {curriculum}\n")
    (folder / "params" / "p.yaml").write_text("critic: {backbone: b, steps: 5, learning_rate: 1}\n")
    return folder


@pytest.mark.parametrize("profile", ["cpu", "a100"])
def test_both_profiles_load(tmp_path: Path, profile: str) -> None:
    text = (ROOT / "params.yaml").read_text().replace("profile: cpu", f"profile: {profile}")
    (tmp_path / "params.yaml").write_text(text)
    (tmp_path / "params").symlink_to(ROOT / "params")
    params = load_params("critic", CriticParams, root=tmp_path)
    assert (params.lora is not None) == (profile == "a100")
    check_curriculum(load_params("curriculum", tuple[CurriculumPhase, ...], root=tmp_path))


@pytest.mark.parametrize(
    ("critic", "message"),
    [
        ("{sede: 0}", "unknown param 'critic.sede'"),
        ("{seed: zero}", "critic.seed: expected an integer"),
        ("{code: formatted}", "expected one of 'normalised', 'source'"),
        ("{pointwise_weight: -1}", "pointwise_weight must not be negative"),
        ("{pointwise_weight: 0, pairwise_weight: 0}", "must not both be 0"),
        ("{selection_k: 0}", "selection_k must be at least 1"),
        ("{lora: {rnak: 4}}", "unknown param 'rnak'"),
        ("{lora: {rank: 0}}", "lora.rank must be at least 1"),
        ("{lora: {}, frozen_layers: 2}", "frozen_layers must be 0 with lora"),
    ],
)
def test_a_wrong_critic_param_is_named(tmp_path: Path, critic: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_params("critic", CriticParams, root=write(tmp_path, critic, "[]"))


@pytest.mark.parametrize(
    ("curriculum", "message"),
    [
        ("[{name: a, negatives: soft}]", "expected one of 'balanced', 'hard'"),
        ("[{name: a, negatives: hard, hardness: 1}]", "unknown param 'hardness'"),
        ("[{negatives: hard}]", "missing param 'name'"),
        ("[{name: 'a b', negatives: hard}]", "name must be letters, digits"),
        ("[{name: a, negatives: hard, hard_fraction: 0.8, near_miss_fraction: 0.5}]", "above 1"),
        ("[{name: a, negatives: hard, hard_cap: many}]", "expected an integer"),
        ("{name: a}", "expected a list"),
    ],
)
def test_a_wrong_phase_is_named(tmp_path: Path, curriculum: str, message: str) -> None:
    root = write(tmp_path, "{seed: 0}", curriculum)
    with pytest.raises(InputError, match=message) as caught:
        load_params("curriculum", tuple[CurriculumPhase, ...], root=root)
    assert "curriculum" in str(caught.value)


def test_a_curriculum_needs_phases_of_different_names() -> None:
    phase = CurriculumPhase(name="a", negatives="balanced")
    with pytest.raises(InputError, match="at least one phase"):
        check_curriculum(())
    with pytest.raises(InputError, match="two phases are named 'a'"):
        check_curriculum((phase, phase))


@pytest.mark.parametrize(
    ("steps", "shares", "expected"),
    [(60, [2, 1], [40, 20]), (10, [1, 1, 1], [4, 3, 3]), (1, [1, 1], [1, 1]), (7, [1], [7])],
)
def test_steps_are_shared_out(steps: int, shares: list[float], expected: list[int]) -> None:
    phases = tuple(
        CurriculumPhase(name=str(n), negatives="balanced", step_share=share)
        for n, share in enumerate(shares)
    )
    assert steps_of_phases(steps, phases) == expected
